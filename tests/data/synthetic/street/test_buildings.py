"""Standing objects of the street: where they reach, and what they light."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.street.buildings import bench, bin_, bollard, building, furnishings, lamp_post, sign, tree
from tests.data.synthetic.extent import extent


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
    objects = furnishings(np.random.default_rng(2), 4.0, 7.0)
    assert objects
    assert all(abs(place.x) > 4.0 for _, place in objects)


@pytest.mark.parametrize("make", [tree, bin_, bollard, sign, bench])
def test_small_objects_stand_on_the_ground_and_vary(make):
    first, again, other = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
    low, high = extent(first)
    assert -0.2 <= low[1] <= 0.05
    assert high[1] == pytest.approx(first.size[1], abs=0.9 if make is tree else 0.15)
    assert str(first) == str(again)
    assert str(first) != str(other)
    assert first.lamps == ()


def test_some_windows_are_lit():
    """About a fifth of the windows of a street, and never a wall."""
    materials = [m for seed in range(8) for m in building(np.random.default_rng(seed), 12.0, 1).shapes[0].materials]
    glass = [m for m in materials if m.gloss > 0.3]
    lit = [m for m in glass if sum(m.emission) > 0]
    assert 0.1 < len(lit) / len(glass) < 0.45
    assert all(sum(m.emission) == 0 for m in materials if m.texture >= 0.1)
