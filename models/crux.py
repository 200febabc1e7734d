"""LCP's blocks: find the regions in which detection fails, and push their features (Fu et al., TCSVT 2024).

In a crux model the image and its crux (image times a soft map of the failing regions) go through the same shallow
layers as one batch of twice the size; a 1x1 convolution then mixes both halves (docs/methods/lcp.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph import LayerSpec, register_layers, run_layers
from models.normalize import IMAGENET

FORMS = {"published": 1, "half": 2, "cheap": 4}
"""Forms of the crux learner -> the factor by which the image it looks at is shrunk."""


class CruxLearner(nn.Module):
    """A small network on the image itself that says how crucial each pixel is (specification 2.1).

    num_blocks: at least 3; three have 4,479 parameters and see 9 x 9 px. threshold, sharpness: the heat at which the
    map is one half, and how steep it is there. Any normalisation of the input happens outside.
    """

    def __init__(self, num_blocks: int = 3, threshold: float = 0.5, sharpness: float = 10.0) -> None:
        super().__init__()
        if num_blocks < 3:
            raise ValueError(f"a crux learner has at least 3 blocks, not {num_blocks}")
        self.threshold, self.sharpness = threshold, sharpness
        middle = [_block(16, 16, 3) for _ in range(num_blocks - 2)]
        self.blocks = nn.Sequential(_block(3, 16, 3), *middle, _block(16, 1, 5))

    def heat(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 1, H, W), any real value."""
        return self.blocks(x)

    def mask(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 1, H, W) in [0, 1]; its gradient is finite for every heat."""
        return torch.sigmoid(self.sharpness * (self.heat(x) - self.threshold))

    def forward(self, x: Tensor) -> Tensor:
        """The crux: x times its map."""
        return x * self.mask(x)


def _block(c1: int, c2: int, kernel: int) -> nn.Sequential:
    """1x1 to three times the channels, depthwise, 1x1; no norm, and nothing after the last convolution."""
    wide = 3 * c1
    return nn.Sequential(
        nn.Conv2d(c1, wide, 1),
        nn.ReLU(),
        nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide),
        nn.ReLU(),
        nn.Conv2d(wide, c2, 1),
    )


class CatchUpLearner(nn.Module):
    """Corrects the deeper features of a crux from its shallower ones (specification 2.2).

    activations: 1 as the published code ran, 2 as it was meant. (B, c1, H, W) to (B, c2, H/2, W/2), H and W even.
    """

    def __init__(self, c1: int, c2: int, activations: int = 1) -> None:
        super().__init__()
        if activations not in (1, 2):
            raise ValueError(f"a catch-up learner has 1 or 2 activations, not {activations}")
        self.pool = nn.MaxPool2d(2)
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(c, c2, 3, padding=1) for c in (c1, c2, c2))
        self.between = nn.ReLU() if activations == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        hidden = self.conv1(self.pool(x)).relu()  # (B, c2, H/2, W/2)
        return self.conv3(self.between(self.conv2(hidden)))


class CruxSplit(nn.Module):
    """Layer: a batch of images (B, 3, H, W) in [0, 1] becomes the images and then their cruxes, (2B, 3, H, W).

    form: one of FORMS. Where the learner looks at a smaller image (averaged), its map is enlarged bilinearly.
    normalize: the learner, and nothing else, sees the image with ImageNet's mean and deviation taken out. start:
    added to the heat at first, so that the map starts near sigmoid(10 (start - 0.5)): 0 as published, nearly black; 0.5 half.
    supervised: while it trains, the map has a loss of its own, and what comes after it does not change it.
    """

    supervised = False

    def __init__(self, form: str = "cheap", normalize: bool = False, start: float = 0.0) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"crux: {form} is none of {', '.join(FORMS)}")
        self.scale, self.normalize = FORMS[form], normalize
        self.learner = CruxLearner()
        *_, last = (part for part in self.learner.modules() if isinstance(part, nn.Conv2d))
        last.bias.data += start  # type: ignore[union-attr]  # every convolution of it has one
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def mask_of(self, images: Tensor) -> Tensor:
        """The crux map (B, 1, H, W) in [0, 1] of images (B, 3, H, W); H and W divisible by the shrinking factor."""
        x = F.avg_pool2d(images, self.scale) if self.scale > 1 else images  # (B, 3, H/scale, W/scale)
        mask = self.learner.mask((x - self.mean) / self.deviation if self.normalize else x)
        if self.scale == 1:
            return mask
        return F.interpolate(mask, scale_factor=float(self.scale), mode="bilinear", align_corners=False)

    def crux(self, images: Tensor) -> Tensor:
        """Images times their maps, (B, 3, H, W)."""
        mask = self.mask_of(images)
        return images * (mask.detach() if self.supervised else mask)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([x, self.crux(x)])


class PlainHalf(nn.Module):
    """Layer: the features of the images themselves, (2B, C, H, W) to (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x[: x.shape[0] // 2]


class CatchUpFuse(nn.Module):
    """Layer reading two others, (2B, c1, 2H, 2W) and (2B, c2, H, W): the mix (B, c2, H, W) of plain and pushed crux features.

    identity: start as the plain detector, with fusion [I | 0] and a catch-up learner that answers zero. Source: 2.3.
    """

    def __init__(self, c1: int, c2: int, activations: int = 1, identity: bool = False) -> None:
        super().__init__()
        self.catch_up = CatchUpLearner(c1, c2, activations)
        self.fusion = nn.Conv2d(2 * c2, c2, 1)
        if identity:
            for tensor in (*self.fusion.parameters(), *self.catch_up.conv3.parameters()):
                nn.init.zeros_(tensor)
            nn.init.eye_(self.fusion.weight.data.view(c2, 2 * c2))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See the class."""
        shallow, deep = features
        size = deep.shape[0] // 2
        pushed = deep[size:] + self.catch_up(shallow[size:])  # no activation: may be negative
        return self.fusion(torch.cat([deep[:size], pushed], 1))


def find_layer(model: Any, kind: type[nn.Module]) -> Any:
    """The first layer of this kind in a detector, or None."""
    return next((layer for layer in model.model if isinstance(layer, kind)), None)


def find_split(model: Any) -> CruxSplit | None:
    """The layer that makes cruxes, None in a model without."""
    return find_layer(model, CruxSplit)


def shallow_layers(model: Any) -> list[nn.Module]:
    """The layers that images and cruxes share: all between the split and the first layer that takes its halves apart."""
    split, fuse = find_layer(model, CruxSplit), find_layer(model, CatchUpFuse)
    return list(model.model[split.i + 1 : max(fuse.f) + 1])


def crux_features(model: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the fusing layer reads of the cruxes: (B, c1, 2H, 2W) and (B, c2, H, W), without the catch-up learner.

    images: (B, 3, H', W') in [0, 1]. Only cruxes are computed, not the features of the images themselves.
    """
    return shared_features(model, find_layer(model, CruxSplit).crux(images))


def shared_features(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same of any images (B, 3, H', W'): cruxes, or the images themselves."""
    first, second = find_layer(model, CatchUpFuse).f
    indices = {"first": first, "second": second}
    features = run_layers(model.model, x, indices, start=find_layer(model, CruxSplit).i + 1)
    return features["first"], features["second"]


LAYERS = {
    "CruxSplit": LayerSpec(lambda inputs, stand_in, args: CruxSplit(*args), heat_map="mask_of"),
    "PlainHalf": LayerSpec(lambda inputs, stand_in, args: PlainHalf(*args)),
    "CatchUpFuse": LayerSpec(
        lambda inputs, stand_in, args: CatchUpFuse(inputs[0], inputs[1], *args), "CBFuse", lambda args: [[0]]
    ),
}
register_layers("models/crux.py", LAYERS)
