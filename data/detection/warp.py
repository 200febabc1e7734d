"""The affine warp of several images at once, bit for bit as OpenCV warps them stacked."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

GREY = (114, 114, 114, 114)
_SCALE, _STEPS = 1024, 32  # per px: OpenCV's fixed-point unit, and the positions that it interpolates at
Maps = tuple[np.ndarray, np.ndarray]


def warp_alike(images: Sequence[np.ndarray], matrix: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Each image (H, W, 3) uint8 under the same matrix (2 or 3, 3), which takes source to target pixels, grey outside.

    size: (width, height) px of the results. They are the parts of `cv2.warpAffine` of all images stacked. That path of
    OpenCV, for more than four channels, rounds positions to 1/32 px and is slow; `cv2.remap` at the same positions gives
    the same bits.
    """
    maps = fixed_maps(matrix, size)
    if maps is None:
        return np.split(
            cv2.warpAffine(np.concatenate(images, 2), matrix[:2], dsize=size, borderValue=GREY), len(images), axis=2
        )
    return [
        cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=GREY) for image in images
    ]


def fixed_maps(matrix: np.ndarray, size: tuple[int, int]) -> Maps | None:
    """Source position of each target pixel: whole px (H, W, 2) int16, and the fraction in 1/32 px (H, W) uint16.

    A fraction is 32 * row + column. As `cv::warpAffine` computes them. None where a position does not fit into int16.
    """
    (a, b, c), (d, e, f) = matrix[:2].astype(np.float64).tolist()
    factor = a * e - b * d
    factor = 1 / factor if factor else 0.0
    a, b, d, e = e * factor, -b * factor, -d * factor, a * factor
    c, f = -a * c - b * f, -d * c - e * f
    column, row = np.arange(size[0]), np.arange(size[1])
    steps = [_fixed(slope * column) for slope in (a, d)]  # (W,) each
    starts = [_fixed(slope * row + offset) + _SCALE // _STEPS // 2 for slope, offset in ((b, c), (e, f))]  # (H,) each
    ends = [side.max() + start.max() for side, start in zip(steps, starts, strict=True)]
    ends += [-side.min() - start.min() for side, start in zip(steps, starts, strict=True)]
    if not max(ends) < 32767 * _SCALE:
        return None
    x, y = (
        (start.astype(np.int32)[:, None] + side.astype(np.int32)) >> 5
        for start, side in zip(starts, steps, strict=True)
    )  # (H, W) each, in 1/32 px
    whole = cv2.merge([(x >> 5).astype(np.int16), (y >> 5).astype(np.int16)])
    x &= _STEPS - 1
    y &= _STEPS - 1
    y *= _STEPS
    y |= x
    return whole, y.astype(np.uint16)


def _fixed(positions: np.ndarray) -> np.ndarray:
    """px to 1/1024 px, rounded."""
    return np.rint(positions * _SCALE)
