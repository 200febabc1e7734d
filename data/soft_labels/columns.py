"""The row of each object in the teacher cache, through mosaic, mixup, affine and flips, and how much of it is still seen.

Both travel as columns of `cls`, which every transform indexes and joins together with the boxes: class, row, share.
Boxes are cut in two places, the mosaic's canvas and the affine's window; the mixins multiply the share there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

NO_ROW = -1  # this object has no soft label
LEAST = 0.5  # less of an object than this, and the teacher has seen another thing
MOST_ROWS = 1 << 24  # float32 counts exactly up to here


def first_rows(counts: Sequence[int]) -> NDArray[np.int64]:
    """The first row of each image, and the number of all rows, from the objects of each: (n + 1,).

    Raises ValueError for more rows than float32 can count.

    >>> first_rows([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)
    if offsets[-1] > MOST_ROWS:
        raise ValueError(f"{offsets[-1]} objects; rows are exact up to {MOST_ROWS}")
    return offsets


def with_rows(classes: NDArray[np.float32], first: int) -> NDArray[np.float32]:
    """(n, 1) class numbers to (n, 3): class, row first + place, share 1."""
    count = len(classes)
    rows = np.arange(first, first + count, dtype=np.float32)
    return np.stack([classes.reshape(count), rows, np.ones(count, np.float32)], 1)


def cut_shares(
    columns: NDArray[np.float32], boxes: NDArray[np.float32], width: int, height: int
) -> NDArray[np.float32]:
    """The columns (n, 3), the share of each times the part of its box that lies in the window.

    boxes: (n, 4) x1 y1 x2 y2 px, before they are cut; the window is (0, 0, width, height). A box without area keeps none.
    """
    limits = np.array([width, height, width, height], np.float32)
    seen, whole = _areas(np.clip(boxes, 0, limits)), _areas(boxes)
    part = np.divide(seen, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.concatenate([columns[:, :2], columns[:, 2:] * part[:, None]], 1).astype(np.float32)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def take_rows(columns: NDArray[np.float32], least: float = LEAST) -> tuple[NDArray[np.float32], torch.Tensor]:
    """(n, 3) to classes (n, 1) and rows (n,) int64, NO_ROW where less than `least` of the object is seen."""
    seen = columns[:, 2] >= least - 1e-6  # half an object, rounded in float32, is half an object
    rows = np.where(seen, columns[:, 1], NO_ROW).astype(np.int64)
    return columns[:, :1], torch.from_numpy(rows)


class TakeRows:
    """The transform after the geometry: `cls` (n, 1) again, and `soft_id` (n,) beside it."""

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """labels: one item of the transforms, `cls` (n, 3)."""
        labels["cls"], labels["soft_id"] = take_rows(labels["cls"])
        return labels


class MosaicShares:
    """Put before the stock mosaic: class RowMosaic(MosaicShares, Mosaic)."""

    imgsz: int

    def _cat_labels(self, mosaic_labels: list[dict[str, Any]]) -> dict[str, Any]:
        """mosaic_labels: tiles at their places on the canvas of 2 x 2 sizes, boxes in pixels, not yet cut."""
        for labels in mosaic_labels:
            labels["cls"] = cut_shares(labels["cls"], labels["instances"].bboxes, 2 * self.imgsz, 2 * self.imgsz)
        joined: dict[str, Any] = super()._cat_labels(mosaic_labels)  # type: ignore[misc]
        return joined


class AffineShares:
    """Put before the stock affine: class RowPerspective(AffineShares, RandomPerspective)."""

    def apply_instances(self, labels: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """labels: an item before its boxes move; params: the stock transform's, `M` and `size` among them."""
        instances = labels["instances"]
        instances.convert_bbox(format="xyxy")
        instances.denormalize(*params["orig_shape"][::-1])
        moved = self.apply_bboxes(instances.bboxes, params["M"])  # type: ignore[attr-defined]
        labels["cls"] = cut_shares(labels["cls"], moved, *params["size"])
        result: dict[str, Any] = super().apply_instances(labels, params)  # type: ignore[misc]
        return result
