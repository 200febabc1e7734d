"""From a detector's dense predictions to labels, a fixed number of places per image, without waiting for the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.loss.detection import MOST as MOST_OBJECTS
from utils.devices import sent

CANDIDATES, MOST = 300, 100  # per image: before and after NMS
IOU = 0.6  # of NMS
UNSURE = 0.1  # a detection that is no label, but has this score, is not learnt as background either


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


class PseudoLabels(NamedTuple):
    """What the loss of one view is told of the teacher's detections.

    confidence: (B, K) what the label in each place counts, 0 for none. unsure: (B, K, 4) x1 y1 x2 y2 as fractions of the image,
    of what may or may not be an object; empty boxes where there is none.
    """

    confidence: Tensor
    unsure: Tensor


def pseudo_labels(found: Detections, confidence: Tensor, size: tuple[int, int]) -> tuple[dict[str, Any], PseudoLabels]:
    """Labels as the detection loss reads them, and what they are worth.

    confidence: (B, K). size: (height, width) px of the images.
    Labels come first; places without one are empty boxes, which the loss ignores. On a CPU, places that no image uses are left
    out.
    """
    confidence, order = confidence.sort(dim=1, descending=True, stable=True)
    scores, classes = found.scores.gather(1, order), found.classes.gather(1, order)
    boxes = found.boxes.gather(1, order[..., None].expand(-1, -1, 4))
    sides = sent(torch.tensor([size[1], size[0]] * 2, dtype=boxes.dtype), boxes.device)
    boxes = (boxes / sides).clamp(0, 1)  # (B, K, 4)
    labelled = (confidence > 0)[..., None]
    unsure = boxes * (~labelled & (scores >= UNSURE)[..., None])
    low, high = boxes.split(2, 2)
    boxes = torch.cat([(low + high) / 2, high - low], 2) * labelled
    if confidence.device.type == "cpu":
        used = max(1, int((confidence > 0).sum(1).max()))
        boxes, classes, confidence = boxes[:, :used], classes[:, :used], confidence[:, :used]
    images, places = confidence.shape
    owner = torch.arange(images, device=boxes.device).repeat_interleave(places)
    labels = {"bboxes": boxes.flatten(0, 1), "cls": classes.float().reshape(-1, 1), "batch_idx": owner.float()}
    return {**labels, MOST_OBJECTS: places}, PseudoLabels(confidence, unsure)


def covered(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points (A, 2) lie in some of an image's boxes (B, K, 4), x1 y1 x2 y2 in the same unit: (B, A)."""
    x, y = points.T[:, None, :, None]  # (1, A, 1) each
    left, top, right, bottom = boxes[:, None].unbind(3)  # (B, 1, K) each
    return ((x > left) & (x < right) & (y > top) & (y < bottom)).any(2)
