"""From a detector's raw output to detections: the confidence threshold and NMS, for one image after another.

Equal to Ultralytics' `non_max_suppression` (without its `multi_label`), bit for bit, but only what passes the threshold is
looked at, and torchvision, which takes seconds to import, is not needed unless an image is crowded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CROWDED = 1000  # boxes, above which comparing all pairs takes longer than torchvision's loop
CLASS_OFFSET = 7680.0  # px by which boxes of another class are moved, so that they do not meet; Ultralytics' value
MOST_BOXES = 30_000  # of an image before NMS; Ultralytics' value


@dataclass(frozen=True)
class DetectionFilter:
    """How raw output becomes detections.

    conf, iou: thresholds in [0, 1]. classes: numbers to keep, () = all. agnostic: boxes of different classes may be one object.
    overlaps: whether boxes of one object may overlap in the output, so that NMS must follow.
    """

    conf: float = 0.25
    iou: float = 0.45
    max_det: int = 300
    classes: Sequence[int] = ()
    agnostic: bool = False
    overlaps: bool = True

    def __call__(self, output: Tensor) -> list[Tensor]:
        """output: (B, 4 + classes, N) with centre boxes, or without overlaps (B, n, 6) with corner boxes, on any device.

        Returns float32 (n, 6) on the CPU per image: x1 y1 x2 y2, confidence, class; by descending confidence.
        """
        if not self.overlaps:
            return [self._of_class(rows[rows[:, 4] > self.conf][: self.max_det].cpu()) for rows in output]
        confident = output[:, 4:].amax(1) > self.conf  # (B, N)
        return [self._detections(rows[:, kept].T.cpu()) for rows, kept in zip(output, confident, strict=True)]

    def _detections(self, rows: Tensor) -> Tensor:
        """rows: (k, 4 + classes), each above the threshold. Returns (n, 6)."""
        conf, number = rows[:, 4:].max(1, keepdim=True)  # (k, 1)
        centre, half = rows[:, :2], rows[:, 2:4] / 2
        found = self._of_class(torch.cat([centre - half, centre + half, conf, number.float()], 1))  # (k, 6)
        if len(found) > MOST_BOXES:
            found = found[found[:, 4].argsort(descending=True)[:MOST_BOXES]]
        apart = found[:, :4] if self.agnostic else found[:, :4] + found[:, 5:] * CLASS_OFFSET
        return found[nms(apart, found[:, 4], self.iou)[: self.max_det]]

    def _of_class(self, found: Tensor) -> Tensor:
        """Those (n, 6) whose class is wanted."""
        return found[torch.isin(found[:, 5], torch.tensor(self.classes))] if self.classes else found


def nms(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Greedy NMS: indices of the boxes kept, by descending score.

    boxes: (n, 4) x1 y1 x2 y2 on the CPU, float32; scores: (n,). A box goes where its IoU with a kept one exceeds `iou`.

    >>> nms(torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]]), torch.tensor([0.5, 0.9, 0.7]), 0.5).tolist()
    [1, 2]
    """
    if len(boxes) > CROWDED:
        from torchvision.ops import nms as compiled

        kept: Tensor = compiled(boxes, scores, iou)
        return kept
    order = np.argsort(-scores.numpy(), kind="stable")
    rivals = overlapping(boxes.numpy()[order], iou)
    gone = np.zeros(len(order), bool)
    for place, row in enumerate(rivals):
        if not gone[place]:
            gone[place + 1 :] |= row[place + 1 :]
    return torch.from_numpy(order[~gone])


def overlapping(boxes: NDArray[np.float32], iou: float) -> NDArray[np.bool_]:
    """Which pairs of boxes (n, 4) have an IoU above `iou`: (n, n)."""
    corner, other = (
        np.maximum(boxes[:, None, :2], boxes[None, :, :2]),
        np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]),
    )
    common = np.clip(other - corner, 0, None).prod(2)  # (n, n)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(common / (area[:, None] + area[None] - common) > np.float64(iou))
