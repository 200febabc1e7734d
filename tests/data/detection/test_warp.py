"""Images warped one by one are the parts of their stack, warped."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.detection.warp import GREY, fixed_maps, warp_alike


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_every_bit_is_that_of_the_stack(seed: int, members: int, dtype: type) -> None:
    """Rotated, scaled, sheared and moved by random amounts, in and out of the image."""
    generator = np.random.default_rng(seed)
    images = [generator.integers(0, 256, (90, 130, 3), np.uint8) for _ in range(members)]
    matrix = (np.eye(3) + generator.normal(0, 0.4, (3, 3))).astype(dtype)
    matrix[:2, 2] = generator.normal(0, 40, 2)
    expected = cv2.warpAffine(np.concatenate(images, 2), matrix[:2], dsize=(72, 56), borderValue=GREY)
    found = warp_alike(images, matrix, (72, 56))
    assert fixed_maps(matrix, (72, 56)) is not None
    assert np.array_equal(np.concatenate(found, 2), expected)


def test_positions_by_hand() -> None:
    """Twice as large, moved by 3 px to the right: pixel (4, 1) shows position (0.5, 0.5)."""
    whole, fraction = fixed_maps(np.array([[2.0, 0, 3], [0, 2, 0], [0, 0, 1]]), (5, 2)) or (None, None)
    assert whole is not None and fraction is not None
    assert whole[1, 4].tolist() == [0, 0] and fraction[1, 4] == 16 * 32 + 16
    assert whole[0, 0].tolist() == [-2, 0] and fraction[0, 0] == 16  # -1.5


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e-3])
def test_what_is_far_outside(scale: float) -> None:
    """Positions that no int16 holds, and a matrix without an inverse."""
    images = [np.full((8, 8, 3), value, np.uint8) for value in (9, 200)]
    matrix = np.diag([scale, scale, 1.0])
    expected = cv2.warpAffine(np.concatenate(images, 2), matrix[:2], dsize=(64, 64), borderValue=GREY)
    assert np.array_equal(np.concatenate(warp_alike(images, matrix, (64, 64)), 2), expected)
