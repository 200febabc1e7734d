"""Water by hand: what is lost on the way, what the haze adds, and how the types differ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from data.synthetic.underwater.scene import SeaFloor, draw_sea
from data.synthetic.underwater.water import (
    TYPES,
    Water,
    _scattered,
    _snow,
    clear,
    clear_water,
    murky,
    murky_water,
    through_water,
)

STILL = Water((0.0, 0.0, 0.0), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), 0.0, 0.0, 0, 1e9)


@pytest.fixture(scope="module")
def floors() -> list[SeaFloor]:
    return [draw_sea(seed, (96, 72)) for seed in range(4)]


def level(value: float, shape: tuple[int, ...] = (12, 16)) -> np.ndarray:
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize(
    ("attenuation", "metres", "expected"),
    [
        ((0.0, 0.0, 0.0), 9.0, (0.5, 0.5, 0.5)),  # nothing lost, nothing added
        ((1.0, 1.0, 1.0), 0.0, (0.5, 0.5, 0.5)),  # at the lens
        ((math.log(2), math.log(2), math.log(2)), 1.0, (0.3, 0.35, 0.4)),  # half of 0.5, half of the veil
        ((math.log(4), math.log(2), 0.0), 1.0, (0.2, 0.35, 0.5)),  # red: 0.5 / 4 + 0.1 * 3 / 4
        ((9.0, 9.0, 9.0), 9.0, (0.1, 0.2, 0.3)),  # only the veil
    ],
)
def test_through_water_by_hand(attenuation, metres, expected):
    """J exp(-beta z) + B (1 - exp(-beta z)) with J = 0.5 and B = (0.1, 0.2, 0.3)."""
    lit = level(0.5, (12, 16, 3))
    found = through_water(lit, level(metres), replace(STILL, attenuation=attenuation))
    np.testing.assert_allclose(found, np.broadcast_to(expected, lit.shape), rtol=1e-5)


def test_blur_grows_with_the_way():
    """A bright column keeps its light and spreads: its peak falls with attenuation lengths, and stays at none."""
    lit = level(0.0, (40, 320, 3))
    lit[:, 160] = 1
    lengths = (0.0, 0.5, 1.0, 2.0, 4.0)
    rows = [_scattered(lit, level(length, (40, 320)), 0.8)[20, :, 0] for length in lengths]
    assert [row.sum() for row in rows] == pytest.approx([1] * 5, rel=1e-3)
    peaks = [row.max() for row in rows]
    assert peaks[0] == 1 and all(a > b for a, b in zip(peaks, peaks[1:], strict=False))


@pytest.mark.parametrize("kind", TYPES)
def test_red_is_lost_first(kind):
    ratios, veil, lamp = TYPES[kind]
    assert ratios[0] == max(ratios) > 1.5 and ratios[1] == 1
    assert veil[0] == min(veil) and lamp[0] == min(lamp)


@pytest.mark.parametrize(("draw", "least", "most"), [(clear_water, 0.03, 0.10), (murky_water, 0.35, 1.15)])
def test_how_much_green_the_middle_of_a_scene_loses(draw, least, most):
    """Attenuation lengths to the middle do not depend on how far it is: 0.5 or 2 m."""
    for metres in (0.5, 2.0):
        waters = [draw(np.random.default_rng(seed), metres) for seed in range(200)]
        lengths = np.array([water.attenuation[1] * metres for water in waters])
        assert least <= lengths.min() < least + 0.1 * (most - least)
        assert most - 0.1 * (most - least) < lengths.max() <= most


def test_all_types_of_murky_water_come():
    waters = [murky_water(np.random.default_rng(seed), 1.0) for seed in range(60)]
    ratios = {round(water.attenuation[0] / water.attenuation[1], 1) for water in waters}
    assert ratios == {kind[0][0] for kind in TYPES.values()}
    assert all(10 <= water.snow < 120 and water.waves < 0.07 for water in waters)


def test_snow_adds_light_and_takes_none():
    water = replace(STILL, snow=60)
    flakes = _snow(np.random.default_rng(3), (120, 160), water)
    assert flakes.shape == (120, 160, 3) and flakes.min() >= 0
    assert 0.005 < (flakes.max(2) > 0.01).mean() < 0.3
    assert np.median(flakes) == 0


@pytest.mark.parametrize("look", [clear, murky])
def test_the_same_seed_gives_the_same_image(look, floors):
    one, again, other = look(floors[0], 0), look(floors[0], 0), look(floors[0], 1)
    assert one.shape == (72, 96, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_murky_water_hides_contrast_and_red(floors):
    """Of the same floors: less than 0.7 of the deviation within a channel on the whole, and red is the darkest one."""
    images = [[look(floor, seed).astype(float) for seed, floor in enumerate(floors)] for look in (clear, murky)]
    deviation = [sum(image.std((0, 1)).mean() for image in look) for look in images]
    assert deviation[1] < 0.7 * deviation[0]
    assert all(image.mean((0, 1)).argmin() == 0 and 40 < image.mean() < 170 for image in images[1])
