"""The index of each object through mosaic, mixup, affine and flips, and the fraction of it that is still seen.

Both travel as columns of `cls`, which every transform indexes and joins together with the boxes: class, index, fraction.
Boxes are cut in two places, the mosaic's canvas and the affine's window; the transforms multiply the fraction there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

IGNORE = -1  # what is left of this object is another thing
LEAST = 0.5  # fraction of an object that must be left
MOST_OBJECTS = 1 << 24  # float32 counts exactly up to here


def first_indices(counts: Sequence[int]) -> NDArray[np.int64]:
    """The index of each image's first object, and the number of all objects, from the objects of each image: (n + 1,).

    Raises ValueError for more objects than float32 can count.

    >>> first_indices([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)
    if offsets[-1] > MOST_OBJECTS:
        raise ValueError(f"{offsets[-1]} objects; their indices are exact up to {MOST_OBJECTS}")
    return offsets


def with_indices(classes: NDArray[np.float32], first: int) -> NDArray[np.float32]:
    """(n, 1) class numbers to (n, 3): class, index from `first` on, fraction 1."""
    count = len(classes)
    indices = np.arange(first, first + count, dtype=np.float32)
    return np.stack([classes.reshape(count), indices, np.ones(count, np.float32)], 1)


def cut_fractions(
    columns: NDArray[np.float32], boxes: NDArray[np.float32], width: int, height: int
) -> NDArray[np.float32]:
    """The columns (n, 3), the fraction of each times the part of its box that lies in the window.

    boxes: (n, 4) x1 y1 x2 y2 px, before they are cut; the window is (0, 0, width, height). A box without area keeps none.
    """
    limits = np.array([width, height, width, height], np.float32)
    sides = (part[:, 2:] - part[:, :2] for part in (np.clip(boxes, 0, limits), boxes))
    seen, whole = (side[:, 0] * side[:, 1] for side in sides)
    part = np.divide(seen, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.concatenate([columns[:, :2], columns[:, 2:] * part[:, None]], 1).astype(np.float32)


def take_indices(columns: NDArray[np.float32], least: float = LEAST) -> tuple[NDArray[np.float32], torch.Tensor]:
    """(n, 3) to classes (n, 1) and indices (n,) int64, IGNORE where less than `least` of the object is seen."""
    seen = columns[:, 2] >= least - 1e-6  # half an object, rounded in float32, is half an object
    indices = np.where(seen, columns[:, 1], IGNORE).astype(np.int64)
    return columns[:, :1], torch.from_numpy(indices)
