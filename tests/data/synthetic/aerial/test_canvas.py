"""The canvas of images from above: boxes by hand, what the border cuts, shadows, free places and the camera."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.synthetic.aerial.canvas import FINER, MARGIN, Ground, beside, ellipse, rectangle

GREY = (0.5, 0.5, 0.5)
SIZE = (160, 120)


@pytest.fixture
def ground() -> Ground:
    """Even grey land with the sun in the west: shadows fall to the east."""
    bare = Ground(0, SIZE, ("hut", "car"), [GREY])
    bare.dots[:], bare.sun = 0.5, (1.0, 0.0)
    return bare


def changed(ground: Ground) -> list[float]:
    """Left, top, right and bottom of what is no longer grey, px."""
    there = (ground.dots != 0.5).any(2)
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return (edges / FINER - MARGIN).tolist()


@pytest.mark.parametrize(
    ("angle", "box"),
    [
        (0.0, [46, 38, 54, 42]),  # 8 x 4 px about (50, 40)
        (math.pi / 2, [48, 36, 52, 44]),
        (math.pi / 4, [50 - 6 / 2**0.5, 40 - 6 / 2**0.5, 50 + 6 / 2**0.5, 40 + 6 / 2**0.5]),  # (4 + 2) / sqrt 2
    ],
)
def test_a_box_by_hand(ground, angle, box):
    """To one dot, a quarter of a px, and just around what is painted."""
    assert ground.add("car", rectangle(8, 4), (50, 40), angle)
    ground.fill(rectangle(8, 4), (0.9, 0.1, 0.1), (50, 40), angle)
    number, x, y, width, height = ground.labels[0]
    found = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2]) * [*SIZE, *SIZE]
    assert number == 1
    np.testing.assert_allclose(found, box, atol=1.1 / FINER)
    np.testing.assert_allclose(found, changed(ground), atol=1.1 / FINER)


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ((80.0, 60.0), True),
        ((1.0, 60.0), True),  # 5 of 8 px are seen
        ((-1.5, 60.0), False),  # 2.5 of 8 px: less than 0.4
        ((159.5, 60.0), True),
        ((80.0, 119.9), True),  # 2.1 of 4 px
        ((80.0, 121.0), False),  # 1 px
        ((-20.0, 60.0), False),
        ((-900.0, 60.0), False),  # not even on the canvas
    ],
)
def test_what_is_cut_by_the_border(ground, place, kept):
    assert ground.add("car", rectangle(8, 4), place, 0.0) == kept
    assert len(ground.labels) == kept
    if kept:
        _, x, y, width, height = ground.labels[0]
        assert x - width / 2 >= 0 <= y - height / 2
        assert x + width / 2 <= 1 >= y + height / 2


def test_shadows_fall_away_from_the_sun(ground):
    """A tall object's shadow begins under it, 46 to 54 px, and ends 6 px further; a raised one's lies apart from it."""
    ground.shade(rectangle(8, 4), (50, 40), 0.0, 6.0)
    np.testing.assert_allclose(changed(ground), [46, 38, 60, 42], atol=1.1 / FINER)
    assert ground.dots.min() == 0.25
    ground.dots[:] = 0.5
    ground.shade(rectangle(8, 4), (50, 40), 0.0, 6.0, raised=True)
    np.testing.assert_allclose(changed(ground), [52, 38, 60, 42], atol=1.1 / FINER)


def test_covering_lays_another_surface(ground):
    ground.cover([(0, 0), (80, 0), (80, 120), (0, 120)], [(0.1, 0.2, 0.9)], rough=0.0)
    assert changed(ground) == pytest.approx([0, 0, 80, 120], abs=1.1 / FINER)
    red, green, blue = ground.dots[(60 + MARGIN) * FINER, (40 + MARGIN) * FINER]
    assert blue / red == pytest.approx(9)
    assert green / red == pytest.approx(2)


def test_free_places(ground):
    ground.taken.append((80.0, 60.0, 10.0))
    assert not ground.is_free((92.0, 60.0), 2.0)  # 12 px apart: 10 + 2 touch
    assert ground.is_free((92.1, 60.0), 2.0)
    place = ground.somewhere(5.0)
    assert math.dist(place, (80, 60)) > 15
    ground.taken.append((80.0, 60.0, 300.0))
    assert ground.somewhere(5.0) is None
    assert ground.somewhere(0.0, lambda place: False) is None


def test_the_camera(ground):
    """0.5 of the light in 0.69 to 1.19 exposures and tints, to the power of 1 / 1.4: 118 to 182; noise of 1.5 to 4."""
    image = ground.photograph()
    assert image.shape == (120, 160, 3)
    assert image.dtype == np.uint8
    assert 118 < image.mean() < 183
    assert 1.3 < image[..., 0].std() < 4.2


def test_shapes_by_hand():
    assert rectangle(4, 2) == [(-2, -1), (2, -1), (2, 1), (-2, 1)]
    np.testing.assert_allclose(ellipse(4, 2, 4), [(2, 0), (0, 1), (-2, 0), (0, -1)], atol=1e-12)
    assert beside((10, 20), math.pi / 2, 3, 1) == pytest.approx((9, 23))
