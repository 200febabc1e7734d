"""Brightening dark images before a detector sees them: Zero-DCE, CLAHE, or one gamma curve per image.

All take RGB floats in [0, 1]. Zero-DCE is a small network (models/zero_dce.py); without a file of the user's it has the
weights that the project trained itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from data.degrade import to_bytes
from engine.checkpoint.state_dict import as_safetensors, load_strict
from engine.checkpoint.weights import load_weights
from engine.options.common import SCALES, SHIPPED
from models.zero_dce import ZeroDCE, apply_small_curves
from utils.errors import UserError
from utils.files import atomic_write, find_weights

Area = tuple[int, int, int, int]  # top, left, height, width of an image within its padding, px
Preprocess = Callable[[np.ndarray], np.ndarray]
LEVEL = 0.5  # the mean that gamma would bring an even image to
STEEPEST = 0.2  # the smallest exponent of gamma: below it, little but noise comes up
CLIP, TILES = 2.0, (8, 8)  # of CLAHE: limit of a bin in times of an even histogram, and parts across and down
REACH = 7  # px that a curve depends on in each direction: seven 3 x 3 convolutions
AT_ONCE = 2_000_000  # px that go through the network together at full size; 2 million take about 1.5 GB on the way


class Enhancer:
    """A way to brighten images, on `device`.

    name: what outputs say, such as "zero-dce (zero-dce-demo, scale 4)". work: RGB (B, 3, H, W) in [0, 1] to the same.
    """

    def __init__(self, name: str, work: Callable[[Tensor], Tensor], device: torch.device | str = "cpu") -> None:
        self.name, self.work, self.device = name, work, torch.device(device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """images: RGB (B, 3, H, W) floats in [0, 1], on any device. Returns the same shape, range and device."""
        return self.work(images.to(self.device)).clamp(0, 1).to(images)

    def within(self, images: Tensor, areas: Sequence[Area]) -> Tensor:
        """The same for images that lie in padding: it stays as it is, and no enhancer sees it.

        images: (B, 3, H, W), not written to; areas: where each image lies.
        """
        result = images.clone()
        for area in dict.fromkeys(areas):
            top, left, height, width = area
            places = [place for place, other in enumerate(areas) if other == area]
            inside = (slice(None), slice(top, top + height), slice(left, left + width))
            brightened = self(torch.stack([images[place][inside] for place in places]))  # (k, 3, height, width)
            for place, image in zip(places, brightened, strict=True):
                result[place][inside] = image
        return result

    def image(self, image: np.ndarray) -> np.ndarray:
        """One image (H, W, 3) uint8, blue-green-red, to the same; float in between, rounded at the end."""
        pixels = torch.from_numpy(np.array(image[..., ::-1], order="C")).to(self.device)
        bright = to_bytes(self(pixels.permute(2, 0, 1)[None].float() / 255))[0]  # (3, H, W)
        return np.ascontiguousarray(bright.permute(1, 2, 0).cpu().numpy()[..., ::-1])


def open_enhancer(
    method: str,
    weights: Path | None = None,
    scale: int | None = None,
    device: torch.device | str = "cpu",
    option: str = "--enhance",
) -> Enhancer | None:
    """The enhancer of that name, None for "none".

    weights, scale: of zero-dce; by default the shipped ones, and the scale that the weights were trained at. option: that
    named the method. Raises UserError where these are given for another method, and for an unfit file.
    """
    if method != "zero-dce":
        for name, given in (("weights", weights is not None), ("scale", scale is not None)):
            if given:
                raise UserError(
                    f"{option} {method}: only zero-dce has a network with {name}. Leave that option out, or choose zero-dce."
                )
        return Enhancer(method, SIMPLE[method], device) if method != "none" else None
    file = find_weights(weights or SHIPPED)
    network: Any = load_zero_dce(file, scale).to(device).eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # a third faster on a CPU
    name = f"zero-dce ({file.stem}, scale {network.scale})"
    return Enhancer(name, lambda images: brightened(network, images), device)


def enhancer_of(options: Any, device: torch.device | str) -> Enhancer | None:
    """What --enhance, --enhance-weights and --enhance-scale of detect.py and val.py ask for."""
    return open_enhancer(options.enhance, options.enhance_weights, options.enhance_scale, device)


def chained(first: Preprocess | None, enhancer: Enhancer | None) -> Preprocess | None:
    """Both steps on an image (H, W, 3) uint8, the enhancer last; None where there is neither."""
    if first is None or enhancer is None:
        return first or (enhancer.image if enhancer else None)
    return lambda image: enhancer.image(first(image))


def gamma(images: Tensor) -> Tensor:
    """One curve x^g an image, g = ln 0.5 / ln mean, within [0.2, 1]: images of mean 0.5 or more stay as they are.

    An even image comes to 0.5; others near it. images: (B, 3, H, W) in [0, 1]. Returns the same.
    """
    mean = images.mean((1, 2, 3)).clamp(1e-4, 1 - 1e-4)  # (B,)
    exponent = (math.log(LEVEL) / mean.log()).clamp(STEEPEST, 1.0)
    return images ** exponent.view(-1, 1, 1, 1)


def clahe(images: Tensor) -> Tensor:
    """Contrast-limited adaptive histogram equalisation of the lightness L of CIE Lab, by OpenCV, in 8 bits.

    8 x 8 parts, clip limit 2. images: (B, 3, H, W) in [0, 1]. Returns the same. Source: Zuiderveld, Graphics Gems IV.
    """
    equaliser = cv2.createCLAHE(CLIP, TILES)
    found = []
    for image in to_bytes(images).permute(0, 2, 3, 1).cpu().numpy():  # (H, W, 3)
        lab = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2LAB)
        lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
        found.append(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    return torch.from_numpy(np.stack(found)).to(images.device).permute(0, 3, 1, 2).float() / 255


SIMPLE: dict[str, Callable[[Tensor], Tensor]] = {"clahe": clahe, "gamma": gamma}


@torch.no_grad()
def brightened(network: ZeroDCE, images: Tensor) -> Tensor:
    """Zero-DCE's enhanced images, in less time and memory than by its own call. (B, 3, H, W) in [0, 1] to the same."""
    if network.scale == 1:
        return in_bands(network, images)
    at_once = {} if images.device.type == "cpu" else {"at_once": images.numel()}  # a GPU likes few large steps
    return apply_small_curves(images, network.small_curves(images), **at_once)


def in_bands(network: ZeroDCE, images: Tensor, most: int = AT_ONCE) -> Tensor:
    """Zero-DCE of scale 1: large images go through in bands of rows, with the same result and less memory.

    images: (B, 3, H, W). most: px at once, at least one row.
    """
    batch, _, height, width = images.shape
    rows = max(1, most // (batch * width))
    if rows >= height:
        return network(images)[0]
    bands = []
    for top in range(0, height, rows):
        first = max(0, top - REACH)  # what lies beyond its reach cannot change a band
        band = network(images[:, :, first : top + rows + REACH])[0]
        bands.append(band[:, :, top - first : top - first + rows])
    return torch.cat(bands, 2)


def load_zero_dce(path: Path, scale: int | None = None) -> ZeroDCE:
    """The network of a file: ours, or a state dict as published, which has the same names.

    scale: by default the one that the file says it was trained at, 1 where it says nothing. Raises UserError for what
    `load_weights` refuses, and names the tensors of another architecture that differ.
    """
    weights = load_weights(path)
    network = ZeroDCE(scale or trained_scale(weights.meta))
    remedy = "Name a file that prepare.py train-enhancer wrote, or the state dict of the published network."
    load_strict(network, weights.state, path, "Zero-DCE", remedy)
    return network


def trained_scale(meta: Mapping[str, Any]) -> int:
    """The scale in the header that `prepare.py train-enhancer` writes; 1 for any other."""
    options = meta.get("options")
    scale = options.get("scale") if isinstance(options, Mapping) else None
    return scale if scale in SCALES else 1


def save_zero_dce(path: Path, network: ZeroDCE, facts: Mapping[str, Any]) -> None:
    """Write the weights as safetensors with a JSON header of `facts`, whole or not at all; about 0.3 MB."""
    atomic_write(path, as_safetensors(network.state_dict(), {"network": "zero-dce"}, facts))
