"""AERIS's restoring decoder: from features of a degraded image back to the clean one (Cui et al., ECCV 2022).

It trains beside the detector and is dropped at the end; its output has a fixed size, whatever the size of its input.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 4  # the last step: 3 * 4 * 4 channels become 4 x 4 pixels
WIDE, NARROW = 3 * FACTOR**2, 16


class Residual(nn.Module):
    """z + conv(relu(conv(z))), 48 channels to 16 and back."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(WIDE, NARROW, 3, padding=1)
        self.expand = nn.Conv2d(NARROW, WIDE, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """(B, 48, h, w) to the same."""
        return z + self.expand(self.squeeze(z).relu())


class RestorationDecoder(nn.Module):
    """Features (B, c1, h, w) of any h and w to an image (B, 3, *size), not clipped.

    size: (height, width), both divisible by 4. 34,736 parameters for 16 channels. Source: the arbitrary-resolution decoder
    without ratio (specification 2.4); one resize of the sum in place of two. Raises ValueError for another size.
    """

    def __init__(self, c1: int = 16, size: tuple[int, int] = (512, 512)) -> None:
        super().__init__()
        if any(side < FACTOR or side % FACTOR for side in size):
            raise ValueError(f"a restored image of {size[0]} x {size[1]} px: both sides must be divisible by {FACTOR}")
        self.size = size
        self.conv_init = nn.Conv2d(c1, WIDE, 3, padding=1)
        self.res_1, self.res_2 = Residual(), Residual()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        first = self.conv_init(x)  # (B, 48, h, w)
        total = first + self.res_2(self.res_1(first))
        grid = F.interpolate(total, [side // FACTOR for side in self.size], mode="bilinear", align_corners=False)
        return F.pixel_shuffle(grid, FACTOR)


class RestorationBranch(nn.Module):
    """The decoder with the adapter that leads from a detector's features (B, c1, h, w) to its 16 channels at (2h, 2w).

    144 c1 + 4,160 parameters besides the decoder's. Plain convolutions where the original has deformable ones.
    """

    def __init__(self, c1: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.adapter = nn.Sequential(
            nn.Conv2d(c1, NARROW, 3, padding=1, bias=False), nn.BatchNorm2d(NARROW), nn.ReLU(),
            nn.ConvTranspose2d(NARROW, NARROW, 4, 2, 1, bias=False), nn.BatchNorm2d(NARROW), nn.ReLU(),
        )  # fmt: skip
        self.decoder = RestorationDecoder(NARROW, size)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 3, *size)."""
        return self.decoder(self.adapter(features))
