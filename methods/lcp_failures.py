"""Where a detector fails: the cells of an image that its missed objects and its false alarms cover.

LCP's paper calls the crux map a map of the regions where detection fails, but supervises it only through the detection
loss; here is the term that says it, which is not published.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from models.detector import non_max_suppression
from models.graph import evaluating

CELL = 8  # px
CONFIDENCE = 0.25  # of a detection that counts
IOU = 0.5  # at which a detection is one of an object
TINY = 1e-4  # keeps logarithms finite


def detect(detector: Any, images: Tensor) -> list[Tensor]:
    """What the detector finds in images (B, 3, H, W) as it is now: (n, 6) each, xyxy px, confidence, class."""
    with evaluating(detector):
        predictions = detector(images)
        end2end = bool(getattr(detector, "end2end", False))
        found: list[Tensor] = non_max_suppression(predictions, CONFIDENCE, end2end=end2end, max_time_img=float("inf"))
    return found


def failed_boxes(found: Tensor, objects: Tensor, classes: Tensor) -> Tensor:
    """Boxes (k, 4) of missed objects and false alarms, xyxy px.

    found: (n, 6) xyxy, confidence, class; objects: (m, 4) xyxy; classes: (m,). An object is missed without a detection of
    its class at IoU 0.5 or more; a detection is false without an object of its class there.
    """
    same = classes[:, None].to(found) == found[None, :, 5]  # (m, n)
    alike = torch.where(same, box_iou(objects, found[:, :4]), 0.0) >= IOU  # (m, n)
    return torch.cat([objects[~alike.any(1)], found[~alike.any(0), :4]])


def cells_in(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cells (h, w) of CELL px, bool, of an image of so many px that some box (k, 4) xyxy px overlaps."""
    rows, columns = (torch.arange(side // CELL, device=boxes.device) * CELL for side in (height, width))
    left, top, right, bottom = boxes[:, :, None].unbind(1)  # (k, 1) each
    across = (left < columns + CELL) & (right > columns)  # (k, w)
    down = (top < rows + CELL) & (bottom > rows)  # (k, h)
    return (down[:, :, None] & across[:, None]).any(0)


def failing_cells(found: list[Tensor], batch: dict[str, Tensor]) -> Tensor:
    """Cells (B, H/8, W/8), bool, of a batch in which detection fails. found: of each image, as `detect` gives it."""
    _, _, height, width = batch["img"].shape
    centre, size = (batch["bboxes"] * batch["bboxes"].new_tensor([width, height, width, height])).split(2, 1)
    corners = torch.cat([centre - size / 2, centre + size / 2], 1)  # (N, 4) px
    classes, owner = batch["cls"].view(-1), batch["batch_idx"]
    own = [owner == number for number in range(len(found))]
    return torch.stack(
        [
            cells_in(failed_boxes(each, corners[mine], classes[mine]), height, width)
            for each, mine in zip(found, own, strict=True)
        ]
    )


def failure_loss(mask: Tensor, cells: Tensor) -> Tensor:
    """Binary cross-entropy of a map (B, 1, H, W) in [0, 1], averaged in each cell, with failing cells (B, H/8, W/8).

    Cells that fail and cells that do not weigh the same together, as far as there are some of both. A scalar, float32.
    """
    p = F.avg_pool2d(mask.float(), CELL)[:, 0].clamp(TINY, 1 - TINY)  # (B, h, w)
    weight = torch.where(cells, 0.5 / cells.sum().clamp(min=1), 0.5 / (~cells).sum().clamp(min=1))
    return -(weight * torch.where(cells, p, 1 - p).log()).sum()
