"""How far the detector's view of a degraded image is from that of the clean one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def prediction_distance(degraded: Mapping[str, Tensor], clean: Mapping[str, Tensor]) -> Tensor:
    """Divergence of class scores and box distributions from the clean image's, where the clean image shows something.

    degraded, clean: `scores` (B, C, A) logits and `boxes` (B, 4 R, A) logits of R bins a side, or 4 distances where R is 1.
    Binary KL of each class and KL of each side's bins (absolute difference of distances), weighted by the clean image's
    highest score and divided by the sum of these weights. The clean side is not differentiated. A scalar >= 0.

    >>> logits = {"scores": torch.zeros(1, 1, 2), "boxes": torch.zeros(1, 8, 2)}
    >>> prediction_distance(logits, logits).item()
    0.0
    """
    target = clean["scores"].detach().float().sigmoid()  # (B, C, A)
    weight = target.amax(1)  # (B, A)
    classes = F.binary_cross_entropy_with_logits(degraded["scores"].float(), target, reduction="none")
    with torch.autocast(target.device.type, enabled=False):  # which refuses this on CUDA, whatever the precision
        entropy = F.binary_cross_entropy(target, target, reduction="none")
    boxes = _box_distance(degraded["boxes"].float(), clean["boxes"].detach().float())  # (B, A)
    distance = ((classes - entropy).sum(1) + boxes) * weight
    return distance.sum() / weight.sum().clamp_min(1e-6)


def _box_distance(degraded: Tensor, clean: Tensor) -> Tensor:
    """(B, A), summed over the four sides. degraded, clean: (B, 4 R, A)."""
    images, channels, points = degraded.shape
    if channels == 4:
        return (degraded - clean).abs().sum(1)
    log_q, log_p = (x.view(images, 4, channels // 4, points).log_softmax(2) for x in (degraded, clean))
    return (log_p.exp() * (log_p - log_q)).sum((1, 2))


def feature_distance(degraded: Mapping[str, Tensor], clean: Mapping[str, Tensor]) -> Tensor:
    """One minus the cosine at each place, averaged over places and levels; the clean side is not differentiated. In [0, 2].

    degraded, clean: name -> (B, C, h, w).
    """
    levels = [
        1 - F.cosine_similarity(x.float(), clean[name].detach().float(), dim=1).mean() for name, x in degraded.items()
    ]
    return torch.stack(levels).mean()


def dense(predictions: Any) -> Mapping[str, Tensor]:
    """The one-to-many predictions of a head in training mode."""
    found: Mapping[str, Tensor] = predictions.get("one2many", predictions)
    return found
