"""Images that are the same but for coding and size: copies of test images among those that are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.io.images import in_threads

CELLS = 16  # cells of a thumbnail, across and down
ALIKE, MOST = 0.5, 3.0  # grey levels: mean and largest difference of two thumbnails up to which images are copies
SLACK = 0.1  # tolerated difference, of the contrast around a cell in both images: scaling shifts edges a little
FLAT = 1.0  # grey levels: standard deviation of a thumbnail with too little in it to tell
BLOCK = 256  # images compared with all others at a time
Thumbnails = NDArray[np.float32]  # (n, CELLS * CELLS) mean brightness of each cell, 0 to 255


def copies(pool: Sequence[Path], held_out: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """(image, the held-out image that it copies) of the pool, one for each image that has such; unreadable ones have none.

    Coding anew at another quality or size passes this; another frame of the same camera does not, as soon as something in it
    moved.
    """
    ours, others = _thumbnails(pool), _thumbnails(held_out)
    if not len(others):
        return
    edges = contrast(others)
    for start in range(0, len(ours), BLOCK):
        block = ours[start : start + BLOCK]
        best, place = _nearest(block, others, edges)
        for number in np.flatnonzero(best <= ALIKE):
            yield pool[start + int(number)], held_out[int(place[number])]


def contrast(images: Thumbnails) -> Thumbnails:
    """The difference between the brightest and the darkest of the nine cells around each."""
    cells = np.nan_to_num(images.reshape(-1, CELLS, CELLS))  # unreadable ones differ from all others anyway
    around = np.ones((3, 3), np.uint8)
    found = [cv2.dilate(one, around) - cv2.erode(one, around) for one in cells]
    return np.asarray(found, np.float32).reshape(images.shape)


def _nearest(images: Thumbnails, others: Thumbnails, edges: Thumbnails) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The smallest mean difference of each image to one of the others, and which; those of unreadable ones are NaN.

    edges: the contrast of the others.
    """
    own = contrast(images)
    nearest = np.full(len(images), np.inf, np.float32)
    which = np.zeros(len(images), np.intp)
    for number, other in enumerate(others):
        difference = images - other  # (n, cells)
        difference = np.abs(
            difference - difference.mean(1, keepdims=True)
        )  # decoders differ by half a level throughout
        difference = np.maximum(difference - SLACK * np.minimum(own, edges[number]), 0)
        mean = np.where(difference.max(1) <= MOST, difference.mean(1), np.inf)  # (n,)
        closer = mean < nearest
        nearest[closer], which[closer] = mean[closer], number
    return nearest, which


def _thumbnails(files: Sequence[Path]) -> Thumbnails:
    rows = list(in_threads(_thumbnail, files, "comparing target and test images"))
    return np.stack(rows) if rows else np.zeros((0, CELLS * CELLS), np.float32)


def _thumbnail(file: Path) -> NDArray[np.float32]:
    """Of one image; NaN where it cannot be read, or is so flat that it is like any other flat one."""
    image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return np.full(CELLS * CELLS, np.nan, np.float32)
    small = cv2.resize(image.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel() if small.std() > FLAT else np.full(CELLS * CELLS, np.nan, np.float32)
