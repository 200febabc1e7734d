"""data.classification.transforms: crops from a seed, the centre, one colour change a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.classification.transforms import ASPECTS, Crop, centre, draw_crop, draw_hole, jittered


def test_a_crop_depends_on_its_entropy_alone_and_keeps_its_share():
    crops = [draw_crop((0, 0, index), 60, 80, 0.5) for index in range(200)]
    assert crops == [draw_crop((0, 0, index), 60, 80, 0.5) for index in range(200)]
    for crop in crops:
        assert 0 <= crop.top <= 60 - crop.height and 0 <= crop.left <= 80 - crop.width
        assert 0.5 * 4800 - 80 <= crop.height * crop.width <= 4800
        assert ASPECTS[0] - 0.05 <= crop.width / crop.height <= ASPECTS[1] + 0.05
    assert 60 < sum(crop.mirrored for crop in crops) < 140


def test_a_ribbon_keeps_its_middle():
    """10 x 200: no crop of aspect 3:4 to 4:3 holds half of it, so the middle 10 x 10, from column (200 - 10) / 2."""
    assert draw_crop((1,), 10, 200, 0.5) == Crop(0, 95, 10, 10, draw_crop((1,), 10, 200, 0.5).mirrored)


def test_crop_by_hand():
    """Columns 1 and 2 of 0, 1, 2, 3, mirrored: 2, 1."""
    image = np.tile(np.arange(4, dtype=np.uint8)[None, :, None], (2, 1, 3))
    assert Crop(0, 1, 2, 2, mirrored=True)(image, 2)[0, :, 0].tolist() == [2, 1]
    assert Crop(0, 1, 2, 2)(image, 2)[0, :, 0].tolist() == [1, 2]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 200), (9, 7), (300, 30)])
def test_centre_always_fits(height: int, width: int):
    assert centre(np.zeros((height, width, 3), np.uint8), 28).shape == (28, 28, 3)


def test_centre_by_hand():
    """16 px at side 14: the shorter side stays 16 = 14 * 8 / 7, one pixel goes on each side."""
    image = np.tile(np.arange(16, dtype=np.uint8)[None, :, None], (16, 1, 3))
    assert centre(image, 14)[0, :, 0].tolist() == list(range(1, 15))


def test_colours_change_once_for_the_whole_batch():
    """Two equal images stay equal, another entropy gives another image, and no strength changes nothing."""
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    changed = jittered(images, (0, 5))
    assert torch.equal(changed[0], changed[1]) and changed.min() >= 0 and changed.max() <= 1
    assert torch.equal(changed, jittered(images, (0, 5))) and not torch.equal(changed, jittered(images, (0, 6)))
    assert torch.equal(jittered(images, (0, 5), 0.0, 0.0), images)


def test_a_hole_depends_on_its_entropy_alone_and_keeps_its_share():
    holes = [draw_hole((0, 0, index, 3), 100, 0.5) for index in range(400)]
    assert holes == [draw_hole((0, 0, index, 3), 100, 0.5) for index in range(400)]
    sides = np.array([[part.stop - part.start for part in hole] for hole in holes if hole[0].stop])
    assert 160 < len(sides) < 240
    areas, ratios = sides.prod(1) / 1e4, sides[:, 0] / sides[:, 1]
    assert areas.min() > 0.015 and areas.max() < 0.34 and ratios.min() > 0.28 and ratios.max() < 3.5
    assert all(part.start >= 0 and part.stop <= 100 for hole in holes for part in hole)


def test_no_hole_without_probability():
    assert draw_hole((1,), 10, 0.0) == (slice(0, 0), slice(0, 0))
