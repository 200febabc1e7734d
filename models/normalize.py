"""What networks expect in place of RGB in [0, 1]: each channel minus its mean, over its standard deviation."""

from __future__ import annotations

from typing import NamedTuple

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
        shape = (3, *[1] * (x.ndim - 2))
        return (x - x.new_tensor(self.mean).view(shape)) / x.new_tensor(self.std).view(shape)


IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS = Normalize((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
CLIP = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALVES = Normalize((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))  # MViT's
