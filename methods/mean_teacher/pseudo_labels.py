"""From a detector's dense predictions to labels, a fixed number of places per image, without waiting for the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

CANDIDATES, MOST = 300, 100  # per image: before and after NMS
IOU = 0.6  # of NMS


class Detections(NamedTuple):
    """Detections of a batch, the most confident first; places that are not used have the score 0.

    boxes: (B, K, 4) x1 y1 x2 y2 px. scores: (B, K). classes: (B, K) int64.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


def decode(output: Any) -> Detections:
    """The best candidates of a head in evaluation mode: (B, 4 + C, A) of centres and sizes, or (B, A, 6) of an end-to-end one."""
    dense: Tensor = output[0] if isinstance(output, (tuple, list)) else output
    if dense.shape[2] == 6:  # x1, y1, x2, y2, score, class
        boxes, scores, classes = dense[..., :4], dense[..., 4], dense[..., 5].long()
    else:
        centre, size = dense[:, :2].transpose(1, 2), dense[:, 2:4].transpose(1, 2)  # (B, A, 2)
        boxes = torch.cat([centre - size / 2, centre + size / 2], 2)  # (B, A, 4)
        scores, classes = dense[:, 4:].max(1)  # (B, A)
    best, places = scores.float().topk(min(CANDIDATES, scores.shape[1]), 1)  # (B, K)
    return Detections(boxes.float().gather(1, places[..., None].expand(-1, -1, 4)), best, classes.gather(1, places))


def suppress(found: Detections, iou: float = IOU) -> Detections:
    """Fast NMS: a detection goes where a more confident one of its class overlaps it by more than `iou`.

    Source: Bolya et al., YOLACT (ICCV 2019), section 4: one matrix in place of a loop, so that what is suppressed suppresses too.
    The MOST best of each image are kept; empty places are last, of score 0.
    """
    overlap = box_ious(found.boxes, found.boxes)  # (B, K, K)
    same = found.classes[:, :, None] == found.classes[:, None]
    worst = (overlap * same).triu(1).amax(1)  # (B, K), by a better one
    scores = torch.where(worst <= iou, found.scores, torch.zeros_like(found.scores))
    kept, places = scores.topk(min(MOST, scores.shape[1]), 1)
    return Detections(found.boxes.gather(1, places[..., None].expand(-1, -1, 4)), kept, found.classes.gather(1, places))


def box_ious(a: Tensor, b: Tensor) -> Tensor:
    """Overlaps (B, n, m) of boxes (B, n, 4) and (B, m, 4), x1 y1 x2 y2; 0 for empty boxes."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    common = (high - low).clamp_min(0).prod(3)  # (B, n, m)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).clamp_min(0).prod(2) for x in (a, b))
    return common / (area_a[:, :, None] + area_b[:, None] - common).clamp_min(1e-9)


def as_labels(found: Detections, confidence: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Labels as the detection loss reads them; places of confidence 0 become empty boxes, which it ignores.

    confidence: (B, K). size: (height, width) px of the images. On a CPU, places that no image uses are left out.
    """
    if confidence.device.type == "cpu":
        used = max(1, int((confidence > 0).sum(1).max()))
        found = Detections(found.boxes[:, :used], found.scores[:, :used], found.classes[:, :used])
        confidence = confidence[:, :used]
    height, width = size
    scale = found.boxes.new_tensor([width, height])
    low, high = (found.boxes[..., part] / scale for part in (slice(0, 2), slice(2, 4)))
    low, high = low.clamp(0, 1), high.clamp(0, 1)
    boxes = torch.cat([(low + high) / 2, high - low], 2) * (confidence > 0)[..., None]  # (B, K, 4)
    images, places = confidence.shape
    owner = torch.arange(images, device=boxes.device).repeat_interleave(places)
    return {"bboxes": boxes.flatten(0, 1), "cls": found.classes.float().view(-1, 1), "batch_idx": owner.float()}
