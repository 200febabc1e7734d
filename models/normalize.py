"""What networks expect in place of RGB in [0, 1]: each channel minus its mean, over its standard deviation."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

Triple = tuple[float, float, float]


class Normalize(NamedTuple):
    """Mean and standard deviation of each RGB channel.

    >>> white = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))(torch.ones(1, 3, 1, 1))
    >>> white.flatten().tolist()
    [2.0, 2.0, 2.0]
    """

    mean: Triple
    std: Triple

    def __call__(self, x: Tensor) -> Tensor:
        """x: images (B, 3, H, W) or clips (B, 3, T, H, W) in [0, 1]. Returns the same shape."""
        mean, std = (_constant(values, x.ndim, x.dtype, x.device) for values in self)
        return (x - mean) / std

    def mean_like(self, x: Tensor) -> Tensor:
        """The mean as a colour (3, 1, 1, ...) of the type and on the device of x."""
        return _constant(self.mean, x.ndim, x.dtype, x.device)


@lru_cache(maxsize=64)
def _constant(values: Triple, dimensions: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3, 1, 1, ...), made once per device: each making is a copy for which the host waits."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).view(3, *[1] * (dimensions - 2))


IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS = Normalize((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
CLIP = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALVES = Normalize((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))  # MViT's
