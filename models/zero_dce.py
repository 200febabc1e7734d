"""Zero-DCE: brighten a dark image by curves that a small network estimates for every pixel (Guo et al., CVPR 2020).

It trains on dark images alone: four losses say what a well-lit image is like, and no label or pair is needed. The
published weights are for non-commercial use; their tensors have the names used here, so that whoever has them may load
them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32  # channels of every hidden layer
STEPS = 8  # curves applied one after the other
LEVEL = 0.6  # the mean grey of a well-lit patch
WEIGHTS = {"smooth": 200.0, "spatial": 1.0, "colour": 5.0, "exposure": 10.0}
"""Of the four terms in the sum, as published."""


class ZeroDCE(nn.Module):
    """Image to enhanced image and curve maps; 79,416 parameters, any size.

    scale: the curves are estimated on an image so many times smaller and enlarged again (1 = as published). Curves are
    smooth, so little is lost; time falls nearly with the square. Raises ValueError for a scale below 1.

    >>> enhanced, curves = ZeroDCE()(torch.rand(1, 3, 20, 30))
    >>> enhanced.shape, curves.shape
    (torch.Size([1, 3, 20, 30]), torch.Size([1, 24, 20, 30]))
    """

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(
                f"a scale of {scale}: curves are estimated at 1/scale of the size, so it must be 1 or more"
            )
        self.scale = scale
        self.e_conv1 = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.e_conv2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.e_conv3 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.e_conv4 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.e_conv5 = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.e_conv6 = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.e_conv7 = nn.Conv2d(2 * WIDTH, 3 * STEPS, 3, padding=1)
        for layer in self.children():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: RGB (B, 3, H, W) in [0, 1]. Returns the enhanced image, same shape and range, and curves (B, 24, H, W)."""
        curves = self.curves(x)
        return apply_curves(x, curves), curves

    def curves(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 24, H, W) in [-1, 1]: 8 maps of 3 channels; negative values brighten."""
        small, size = self.small_curves(x), [*x.shape[-2:]]
        return small if self.scale == 1 else F.interpolate(small, size, mode="bilinear", align_corners=False)

    def small_curves(self, x: Tensor) -> Tensor:
        """The same before it is enlarged: (B, 24, H / scale, W / scale), sides rounded up.

        Four layers down the line, then three that read them again in reverse.
        """
        if self.scale > 1:
            x = F.interpolate(x, [-(-side // self.scale) for side in x.shape[-2:]], mode="area")
        x1 = self.e_conv1(x).relu()  # (B, 32, H, W), as all below
        x2 = self.e_conv2(x1).relu()
        x3 = self.e_conv3(x2).relu()
        x4 = self.e_conv4(x3).relu()
        x5 = self.e_conv5(torch.cat([x3, x4], 1)).relu()
        x6 = self.e_conv6(torch.cat([x2, x5], 1)).relu()
        return self.e_conv7(torch.cat([x1, x6], 1)).tanh()  # (B, 24, H, W)


def apply_curves(x: Tensor, curves: Tensor) -> Tensor:
    """x <- x + r (x^2 - x) for each of the curve maps in turn.

    x: (B, 3, H, W) in [0, 1]; curves: (B, 3n, H, W) in [-1, 1]. Returns (B, 3, H, W) in [0, 1]; 0 and 1 stay exactly.
    Source: Guo et al., eq. 3.
    """
    for curve in curves.split(3, 1):  # (B, 3, H, W)
        x = torch.addcmul(x, curve, x.square() - x)
    return x


def apply_small_curves(x: Tensor, curves: Tensor, at_once: int = 20_480) -> Tensor:
    """What `apply_curves` gives with curves enlarged bilinearly to the image's size, without gradients.

    x: (B, 3, H, W) in [0, 1]; curves: (B, 3n, h, w) in [-1, 1]. Works in bands of about `at_once` px, whose curves stay
    in a processor's cache: half the time on a CPU, and no memory for the curves of a large image.
    """
    batch, _, height, width = x.shape
    columns = _enlargement(curves.shape[3], width, curves)
    above, below, share = _neighbours(curves.shape[2], height, x.device)
    wide = curves.contiguous() @ columns.T  # (B, 3n, h, W)
    result, rows = x.clone(), max(1, at_once // (batch * width))
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        upper, lower = wide.index_select(2, above[band]), wide.index_select(2, below[band])
        maps = torch.lerp(upper, lower, share[band].to(x).view(-1, 1))  # (B, 3n, rows, W)
        part = result[:, :, band]
        for curve in maps.split(3, 1):
            part.addcmul_(curve, part.square().sub_(part))
    return result


def _neighbours(few: int, many: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each of `many` pixels the two of `few` samples around it, and the second's share; half a pixel is the border."""
    place = ((torch.arange(many, device=device) + 0.5) * (few / many) - 0.5).clamp(0, few - 1)
    low = place.floor().long()
    return low, (low + 1).clamp(max=few - 1), place - low


def _enlargement(few: int, many: int, like: Tensor) -> Tensor:
    """The matrix (many, few) that enlarges linearly."""
    low, high, share = _neighbours(few, many, like.device)
    matrix = like.new_zeros(many, few)
    rows = torch.arange(many, device=like.device)
    matrix[rows, low] += (1 - share).to(like)
    matrix[rows, high] += share.to(like)
    return matrix


def smoothness_loss(curves: Tensor) -> Tensor:
    """Total variation of the curve maps, summed over channels: neighbours should be brightened alike.

    curves: (B, C, H, W). Returns 2 / B * (sum of dh^2 / ((H-1) W) + sum of dw^2 / (H (W-1))), a scalar.
    """
    batch, _, height, width = curves.shape
    down = curves.diff(dim=2).square().sum() / ((height - 1) * width)
    across = curves.diff(dim=3).square().sum() / (height * (width - 1))
    return 2 * (down + across) / batch


def spatial_loss(enhanced: Tensor, image: Tensor) -> Tensor:
    """Differences between neighbouring 4x4 patches should stay as they were.

    Both (B, 3, H, W), sides of 4 px or more. Returns a scalar: the squared change of the difference to each of the four
    neighbours, summed over them and averaged over patches. What lies outside counts as black, as published, so that a
    brightened border costs a little.
    """
    change = F.avg_pool2d((enhanced - image).mean(1, keepdim=True), 4)  # (B, 1, H/4, W/4)
    padded = F.pad(change, (1, 1, 1, 1))
    rows, columns = padded[..., 1:-1], padded[..., 1:-1, :]
    neighbours = (rows[..., :-2, :], rows[..., 2:, :], columns[..., :-2], columns[..., 2:])
    return torch.stack([(change - other).square() for other in neighbours]).sum(0).mean()


def colour_loss(enhanced: Tensor) -> Tensor:
    """The mean red, green and blue of an image should agree (the grey-world hypothesis).

    (B, 3, H, W) to a scalar, the mean over images of sqrt((R-G)^4 + (R-B)^4 + (G-B)^4).
    """
    red, green, blue = enhanced.mean((2, 3)).unbind(1)  # (B,) each
    squares = torch.stack([(red - green).square(), (red - blue).square(), (green - blue).square()])
    return torch.linalg.vector_norm(squares, dim=0).mean()  # its gradient at grey is 0, a square root's is not a number


def exposure_loss(enhanced: Tensor, level: float = LEVEL, patch: int = 16) -> Tensor:
    """Mean squared distance of the grey of each patch x patch square to `level`. (B, 3, H, W) to a scalar."""
    return (F.avg_pool2d(enhanced.mean(1, keepdim=True), patch) - level).square().mean()


def zero_reference_terms(enhanced: Tensor, image: Tensor, curves: Tensor, level: float = LEVEL) -> dict[str, Tensor]:
    """The four weighted terms by name; their sum is Zero-DCE's loss.

    enhanced, image: (B, 3, H, W) in [0, 1]; curves: (B, 24, H, W); level: of exposure. Sides of at least 16 px.
    """
    terms = {
        "smooth": smoothness_loss(curves),
        "spatial": spatial_loss(enhanced, image),
        "colour": colour_loss(enhanced),
        "exposure": exposure_loss(enhanced, level),
    }
    return {name: WEIGHTS[name] * term for name, term in terms.items()}
