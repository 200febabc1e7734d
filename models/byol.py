"""Heads of BYOL (Grill et al., NeurIPS 2020) as WiiD sizes them, and the momentum update of its target."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Projector(nn.Module):
    """Feature map to vector: 3x3 convolution, batch norm, ReLU, global average, two linear layers.

    Source: Watching it in Dark (ECCV 2024), detection branch. 576 * c1 + 25,280 parameters at the default sizes.

    >>> Projector(64)(torch.zeros(2, 64, 8, 8)).shape
    torch.Size([2, 128])
    """

    def __init__(self, c1: int, hidden: int = 64, out: int = 128) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(c1, hidden, 3, padding=1), nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.03), nn.ReLU(inplace=True)
        )
        self.linear = nn.Sequential(
            nn.Linear(hidden, out), nn.BatchNorm1d(out), nn.ReLU(inplace=True), nn.Linear(out, out)
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, c1, H, W). Returns (B, out). Batch norm needs B >= 2 in training."""
        pooled = self.conv(x).mean((2, 3))  # (B, hidden)
        return self.linear(pooled)  # (B, out)


class VectorProjector(nn.Sequential):
    """BYOL's projector for features that are pooled already: linear, batch norm, ReLU, linear; (B, c1) to (B, out).

    82,432 parameters from 512 to 128. Batch norm needs B >= 2 in training. Source: Watching it in Dark (ECCV 2024),
    classification branch.

    >>> sum(parameter.numel() for parameter in VectorProjector(512).parameters())
    82432
    """

    def __init__(self, c1: int, out: int = 128) -> None:
        super().__init__(nn.Linear(c1, out), nn.BatchNorm1d(out), nn.ReLU(inplace=True), nn.Linear(out, out))
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


class Predictor(nn.Sequential):
    """Vector to vector: linear, batch norm, ReLU, linear; the asymmetry that keeps BYOL from collapsing.

    33,280 parameters at dim 128.
    """

    def __init__(self, dim: int = 128) -> None:
        super().__init__(nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.ReLU(inplace=True), nn.Linear(dim, dim))


@torch.no_grad()
def momentum_update(target: Iterable[Tensor], online: Iterable[Tensor], momentum: float) -> None:
    """target <- momentum * target + (1 - momentum) * online, tensor by tensor, in place.

    Raises ValueError when the two sequences differ in length.
    """
    kept, new = list(target), list(online)
    if len(kept) != len(new):
        raise ValueError(f"momentum update of {len(kept)} tensors from {len(new)}")
    if kept:
        torch._foreach_lerp_(kept, [tensor.detach() for tensor in new], 1.0 - momentum)
