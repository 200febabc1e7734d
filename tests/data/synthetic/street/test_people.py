"""People and dogs: as large as they say, posed as asked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.synthetic.street.people import dog, person, pose
from tests.data.synthetic.extent import extent


@pytest.mark.parametrize("kind", ["walk", "stand", "bicycle", "motorbike"])
def test_people_stand_on_the_ground_or_ride(kind):
    for seed in range(5):
        model = person(np.random.default_rng(seed), kind, phase=0.7)
        low, high = extent(model)
        assert 1.1 <= high[1] <= 2.1
        assert low[1] == pytest.approx(0.0 if kind in ("walk", "stand") else 0.2, abs=0.12)


def test_walking_moves_the_legs_against_each_other():
    """A quarter of a step in, the right foot is ahead by the stride and the left one behind by as much."""
    joints = pose("walk", math.pi / 2)
    assert joints["right_foot"][0] == pytest.approx(0.34)
    assert joints["left_foot"][0] == pytest.approx(-0.34)
    assert joints["right_hand"][0] < joints["left_hand"][0]


def test_phase_changes_the_pose_and_not_the_looks():
    first, later = (person(np.random.default_rng(3), "walk", phase) for phase in (0.0, 1.5))
    assert [shape.material for shape in first.shapes] == [shape.material for shape in later.shapes]
    assert first.shapes != later.shapes


def test_dogs_are_low_and_long():
    for seed in range(6):
        low, high = extent(dog(np.random.default_rng(seed)))
        assert 0.7 < high[1] < 1.4
        assert high[0] - low[0] > 1.0
        assert low[1] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("make", [person, dog])
def test_same_looks_same_being(make):
    first, again, other = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("kind", "low", "high"), [("bicycle", 0.9, 1.2), ("motorbike", 0.75, 1.1)])
def test_riders_sit_on_their_machine(kind, low, high):
    """Hips at the height of the saddle, hands ahead of them at the handlebar, both feet off the ground."""
    joints = pose(kind, phase=0.3)
    for side in ("left", "right"):
        assert low - 0.1 < joints[f"{side}_hip"][1] < high
        assert joints[f"{side}_hand"][0] > joints[f"{side}_hip"][0] + 0.3
        assert 0.1 < joints[f"{side}_foot"][1] < 0.6


def test_pedalling_goes_round():
    """Half a turn of the crank exchanges the feet."""
    first, later = pose("bicycle", 0.0), pose("bicycle", math.pi)
    for axis in (0, 1):
        assert first["left_foot"][axis] == pytest.approx(later["right_foot"][axis])


def test_clothes_and_bags_vary():
    """Over forty people: several heights, and not all drawn with as many shapes (skirts, coats, bags)."""
    people = [person(np.random.default_rng(seed)) for seed in range(40)]
    assert len({len(model.shapes) for model in people}) >= 3
    assert np.ptp([model.size[1] for model in people]) > 0.3


def test_a_body_has_two_sides():
    """Standing still, each limb has its mirror image."""
    model = person(np.random.default_rng(2), "stand", 0.0)
    rights = sorted(round(shape.a[2], 3) for shape in model.shapes if abs(shape.a[2]) > 1e-6)
    assert rights == pytest.approx([-value for value in reversed(rights)], abs=1e-3)
