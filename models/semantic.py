"""RichSem's semantic branch: what a detector's class feature says, in the words of a frozen text encoder.

It trains beside the detector and is dropped at the end. A detector's class branch ends in a 1x1 convolution; what that
reads, the penultimate class feature, has as many channels at every level, so one linear map serves all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 100.0  # exp(logit_scale) of CLIP's published weights


def penultimate_names(detector: Any) -> list[str]:
    """Dotted names of the modules that put out the penultimate class feature, a level each, the finest first.

    detector: its last layer has class branches `cv3`, each a sequence that ends in a 1x1 convolution. Of a head with two
    branches these are the one-to-many ones. Raises ValueError for another head.

    >>> penultimate_names(yolo)  # doctest: +SKIP
    ['model.23.cv3.0.1', 'model.23.cv3.1.1', 'model.23.cv3.2.1']
    """
    head = detector.model[-1]
    branches = getattr(head, "cv3", None)
    if not isinstance(branches, nn.ModuleList) or not all(_ends_in_convolution(branch) for branch in branches):
        raise ValueError(f"a head of type {type(head).__name__} has no class branches that end in a 1x1 convolution")
    names = {module: name for name, module in detector.named_modules()}
    return [names[list(branch.children())[-2]] for branch in branches]


def penultimate_channels(detector: Any) -> int:
    """Channels of the penultimate class feature. Raises ValueError where the levels differ."""
    counts = {branch[-1].in_channels for branch in detector.model[-1].cv3}
    if len(counts) != 1:
        raise ValueError(f"the levels' class features have different channels: {sorted(counts)}")
    return counts.pop()


def _ends_in_convolution(branch: Any) -> bool:
    return isinstance(branch, nn.Sequential) and len(branch) > 1 and isinstance(branch[-1], nn.Conv2d)


def anchor_features(levels: Sequence[Tensor]) -> Tensor:
    """Maps (B, C, h, w) of all levels, the finest first, as one row an anchor: (B, A, C), in the loss's order."""
    return torch.cat([level.flatten(2) for level in levels], 2).transpose(1, 2)


class SemanticBranch(nn.Module):
    """Class features (M, c) to logits (M, C): scale x cosine between a linear map of the feature and the text embeddings.

    102,400 parameters for 100 channels and 1024 dimensions; no bias; drawn from N(0, 1 / dimensions), as published
    (specification 2.3). The text embeddings do not train, and are in no state dict.
    """

    text: Tensor

    def __init__(self, channels: int, text: Tensor, scale: float = SCALE) -> None:
        """text: (C, D), any lengths but 0. Raises ValueError for a class without a direction."""
        super().__init__()
        lengths = text.float().norm(dim=1)
        if text.ndim != 2 or not bool((torch.isfinite(lengths) & (lengths > 0)).all()):
            raise ValueError(f"text embeddings {tuple(text.shape)} need one finite row other than 0 for each class")
        self.scale = scale
        self.project = nn.Linear(channels, text.shape[1], bias=False)
        nn.init.normal_(self.project.weight, std=text.shape[1] ** -0.5)
        self.register_buffer("text", F.normalize(text.float(), dim=1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """features: (M, c). Returns logits (M, C) within +-scale, float32 also under autocast."""
        with torch.autocast(features.device.type, enabled=False):
            return self.logits(self.project(features.float()))

    def logits(self, embeddings: Tensor) -> Tensor:
        """Embeddings (M, D) of images, of any length, to logits (M, C): what the teacher says of them."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.scale * F.normalize(embeddings.float(), dim=1) @ self.text.T
