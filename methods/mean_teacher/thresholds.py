"""Confidence thresholds that adapt to each class: as many labels as the labelled images let one expect."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BINS = 100
MEMORY = 0.99  # of the counts, per batch


class ClassThresholds(nn.Module):
    """For each class the score above which an image has on average `reliable` x as many detections as it has objects.

    Both sides are counted in the batches themselves: detections of target images by class and score, objects of labelled
    images by class, each with the same slow decay. Until anything is counted, the threshold is `low`.
    Source: LabelMatch (Chen et al., CVPR 2022), whose label distribution sets thresholds, as Efficient Teacher's epoch adaptor
    (Xu et al., 2023) does for one-stage detectors with two of them: above `threshold(1)` a detection may be right, above
    `threshold(reliable)` it is taken for right.
    """

    detections: Tensor
    objects: Tensor

    def __init__(self, classes: int, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.register_buffer("detections", torch.zeros(classes, BINS))
        self.register_buffer("objects", torch.zeros(classes))

    @torch.no_grad()
    def update(self, scores: Tensor, classes: Tensor, objects: Tensor) -> None:
        """Count a batch, over all ranks. scores, classes: (B, K) of target images, score 0 where nothing is. objects: (n,)
        classes of as many labelled images.
        """
        bins = (scores * BINS).long().clamp(0, BINS - 1)
        found = torch.zeros_like(self.detections).flatten()
        found.index_add_(0, (classes * BINS + bins).flatten(), (scores > 0).float().flatten())
        present = torch.zeros_like(self.objects).index_add_(0, objects, torch.ones_like(objects, dtype=torch.float32))
        both = summed(torch.cat([found, present]))
        self.detections.mul_(MEMORY).add_(both[: len(found)].view_as(self.detections))
        self.objects.mul_(MEMORY).add_(both[len(found) :])

    def forward(self, fraction: float) -> Tensor:
        """The thresholds (C,) at a fraction of the expected number of objects, between `low` and `high`."""
        above = self.detections.flip(1).cumsum(1).flip(1)  # (C, BINS): detections in this bin or a better one
        wanted = fraction * self.objects[:, None]
        first = (above > wanted).sum(1) / BINS  # lower edge of the first bin that few enough reach
        return first.clamp(self.low, self.high)


def summed(numbers: Tensor) -> Tensor:
    """Numbers added over all ranks, in place."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(numbers)
    return numbers


def confidences(scores: Tensor, classes: Tensor, possible: Tensor, reliable: Tensor) -> Tensor:
    """How much each detection counts, (B, K): 1 above its class's reliable threshold, its score above the possible one, else 0.

    scores, classes: (B, K). possible, reliable: (C,), the former not above the latter.
    """
    lower, upper = possible[classes], reliable[classes]
    uncertain = torch.where(scores >= lower, scores, torch.zeros_like(scores))
    return torch.where((scores >= upper) & (scores > 0), torch.ones_like(scores), uncertain)
