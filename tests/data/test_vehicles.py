"""Every made-up thing: as large as it says, the same for the same looks, and lit only when asked to be."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from data.beings import dog, person, pose
from data.render import Blob, Solid
from data.shapes import Model
from data.town import bench, bin_, bollard, building, furnishings, lamp_post, sign, tree
from data.vehicles import BUILDERS

VEHICLES: list[tuple[str, float, float]] = [  # name, least and greatest length in metres
    ("bicycle", 1.6, 1.9),
    ("bus", 8.4, 10.6),
    ("car", 3.6, 4.9),
    ("motorbike", 1.9, 2.3),
]


def extent(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (forward, up, right) of all shapes."""
    low, high = [], []
    for shape in model.shapes:
        if isinstance(shape, Solid):
            low.append(shape.points.min(0))
            high.append(shape.points.max(0))
        elif isinstance(shape, Blob):
            low.append(np.array(shape.centre) - shape.radius)
            high.append(np.array(shape.centre) + shape.radius)
        else:
            low.append(np.minimum(np.array(shape.a) - shape.radius_a, np.array(shape.b) - shape.radius_b))
            high.append(np.maximum(np.array(shape.a) + shape.radius_a, np.array(shape.b) + shape.radius_b))
    return np.min(low, 0), np.max(high, 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "least", "most"), VEHICLES)
def test_vehicles_have_their_size(name, least, most, seed):
    model = BUILDERS[name](np.random.default_rng(seed), False)
    low, high = extent(model)
    assert least <= high[0] - low[0] <= most + 0.15
    assert low[1] >= -0.02
    assert high[1] == pytest.approx(model.size[1], abs=0.2)
    assert low[2] == pytest.approx(-high[2], abs=0.25)


@pytest.mark.parametrize("name", [row[0] for row in VEHICLES])
def test_only_lit_vehicles_shine(name):
    dark, lit = (BUILDERS[name](np.random.default_rng(1), switch) for switch in (False, True))
    assert dark.lamps == ()
    assert any(lamp.aim is not None and lamp.aim[0] > 0.9 for lamp in lit.lamps)  # a beam ahead
    assert any(lamp.colour[0] > 5 * lamp.colour[1] for lamp in lit.lamps)  # red behind
    shining = [any(sum(material.emission) for material in _materials(model)) for model in (dark, lit)]
    assert shining == [False, True]


def _materials(model: Model) -> list:
    return [m for shape in model.shapes for m in (shape.materials if isinstance(shape, Solid) else (shape.material,))]


MAKERS: list[Callable[[np.random.Generator], Model]] = [
    person, dog, tree, bin_, bollard, sign, bench,
    *(lambda rng, name=name: BUILDERS[name](rng, True) for name in BUILDERS),
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_same_looks_same_thing(make):
    first, again, other = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert str(first) == str(again)
    assert str(first) != str(other)


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


@pytest.mark.parametrize(("side", "across"), [(-1, (-9.0, 0.0)), (1, (0.0, 9.0)), (0, (-30.0, 30.0))])
def test_buildings_stand_behind_the_pavement(side, across):
    """A house on the right begins at its own 0 and goes 9 m away from the street; one across is 60 m wide."""
    model = building(np.random.default_rng(0), 10.0, side)
    low, high = extent(model)
    assert (low[2], high[2]) == pytest.approx(across)
    assert high[1] == pytest.approx(model.size[1])


def test_far_houses_are_drawn_with_less():
    near, far = (building(np.random.default_rng(0), 10.0, 1, near=close) for close in (True, False))
    assert len(far.shapes[0].parent) < len(near.shapes[0].parent)


@pytest.mark.parametrize(("kind", "warm"), [(0.1, True), (0.9, False)])
def test_lamp_posts_light_downwards(kind, warm):
    model = lamp_post(kind, 40.0)
    (lamp,) = model.lamps
    assert lamp.aim == (0.0, -1.0, 0.0)
    assert lamp.power == 40.0
    assert (lamp.colour[0] > lamp.colour[2]) is warm
    assert lamp_post(kind, 0.0).lamps == ()


def test_furnishings_keep_off_the_road():
    things = furnishings(np.random.default_rng(2), 4.0, 7.0)
    assert things
    assert all(abs(place.x) > 4.0 for _, place in things)
