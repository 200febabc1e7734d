"""Resampling behind a small blur, so that fine detail does not turn into false patterns (Zhang, ICML 2019).

Filters are buffers named `filt`, one copy a channel, as published networks store them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Blur(nn.Module):
    """Holds the filter (channels, 1, n, n): the outer product of `taps` with itself, scaled to the given sum."""

    filt: Tensor

    def __init__(self, channels: int, taps: Sequence[float], total: float) -> None:
        super().__init__()
        row = torch.tensor(taps)
        square = torch.outer(row, row)
        self.register_buffer("filt", (total * square / square.sum()).repeat(channels, 1, 1, 1))


class BlurDown(_Blur):
    """(B, C, H, W) to half the size, rounded up: [1, 2, 1] x [1, 2, 1] / 16, mirrored border, stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, (1.0, 2.0, 1.0), total=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class BlurUp(_Blur):
    """(B, C, H, W) to twice the size: [1, 3, 3, 1] x [1, 3, 3, 1] / 16, repeated border."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, (1.0, 3.0, 3.0, 1.0), total=4.0)  # three of four samples are zeros put between

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, self.filt, stride=2, padding=2, groups=x.shape[1])[..., 1:-1, 1:-1]
