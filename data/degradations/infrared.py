"""Infrared: what a camera without colours shows at night by the infrared lamp beside its lens.

Daylight is nearly gone and the lamp's falls off with the square of the distance: what is near is overexposed, what is far
is dark, and the exposure is a compromise. Eyes and number plates, which throw the light straight back, are left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from data.degradations.common import BatchParameters, RandomFields, Range, linear_to_srgb, srgb_to_linear
from data.degradations.kernels import gaussian_kernels
from data.degradations.weather import pseudo_depth
from utils.devices import sent

INFRARED_LEAST = 0.5  # the mildest severity that is drawn where none is given: below it daylight is still stronger
INFRARED_RANGES = {
    "daylight": Range((0.0, 0.5), (5.0, 8.0), "stops of daylight lost"),
    "lamp": Range((0.0, 0.01), (0.4, 1.0), "light of the lamp at 5 m, relative to daylight"),
    "falloff": Range((1.6, 2.0), (1.6, 2.0), "power of the distance with which it falls; 2 for a bare lamp"),
    "beam": Range((0.7, 1.0), (0.3, 0.5), "deviation of its beam, fraction of the longer side"),
    "aim": Range((0.4, 0.6), (0.4, 0.6), "where its beam points, fraction of width and height"),
    "exposure": Range((0.16, 0.24), (0.10, 0.24), "mean that the camera's gain aims at, linear light"),
    "glare": Range((0.0, 0.02), (0.05, 0.3), "of overexposed parts, and of the lamp in the lens' cover"),
    "foliage": Range((0.0, 0.6), (0.0, 0.6), "how much brighter green things are than to the eye"),
    "electrons": Range((3000.0, 6000.0), (60.0, 300.0), "charge of a full pixel at that gain", geometric=True),
    "read": Range((0.001, 0.002), (0.008, 0.03), "read noise, fraction of a full pixel", geometric=True),
    "far": Range((18.0, 40.0), (18.0, 40.0), "metres to what lies above the horizon; for the pseudo-depth"),
    "horizon": Range((0.15, 0.42), (0.15, 0.42), "row of the horizon, fraction of the height; for the pseudo-depth"),
}
_AT = 5.0  # metres at which the lamp's light is stated
_MOST = 8.0  # times full: brighter light than this glares no more
_CELL = 8  # px: glare is smooth, and computed on cells of this side


def infrared(image: Tensor, p: BatchParameters, fields: RandomFields, depth: Tensor | None = None) -> Tensor:
    """Reflected daylight and lamplight, exposed for their mean; overexposed parts glare; a sensor's noise. Grey.

    depth: (B, 1, H, W) metres; without it `pseudo_depth`. The sensor counts photons of all three colours alike, and leaves
    reflect more of them than the eye sees. Shot and read noise are normal draws of one field, variance = a signal + b
    (Foi et al., IEEE TIP 2008).
    """
    size = (image.shape[2], image.shape[3])
    metres = pseudo_depth(size, p["horizon"], p["far"]) if depth is None else depth
    surface = _reflectance(srgb_to_linear(image), p["foliage"])  # (B, 1, H, W)
    beam = _beam(size, p["aim"], p["beam"])
    lamp = p["lamp"] * beam * (_AT / metres.clamp_min(0.5)) ** p["falloff"]
    light = surface * (torch.exp2(-p["daylight"]) + lamp)
    light = light * (p["exposure"] / light.mean((2, 3), keepdim=True).clamp_min(1e-6))
    light = light + p["glare"] * (_spread((light - 1).clamp(0, _MOST)) + beam * beam * p["exposure"])
    noise = (light.clamp(0, 1) / p["electrons"] + p["read"] ** 2).sqrt() * fields.normal(1, *size)
    return linear_to_srgb(light + noise).expand_as(image)


def _reflectance(light: Tensor, foliage: Tensor) -> Tensor:
    """(B, 1, H, W): the mean of the three, and more where green is the strongest."""
    red, green, blue = light.split(1, 1)
    return light.mean(1, keepdim=True) + foliage * (green - torch.maximum(red, blue)).clamp_min(0)


def _beam(size: tuple[int, int], aim: Tensor, width: Tensor) -> Tensor:
    """A round beam (B, 1, H, W), 1 at its centre. width: its deviation, fraction of the longer side."""
    height, across = size
    longer = max(size)
    rows = (torch.arange(height, device=aim.device) + 0.5).view(1, 1, -1, 1) - aim * height
    columns = (torch.arange(across, device=aim.device) + 0.5).view(1, 1, 1, -1) - aim * across
    inverse = -0.5 / (width * longer) ** 2
    return torch.exp(rows**2 * inverse) * torch.exp(columns**2 * inverse)


def _spread(excess: Tensor) -> Tensor:
    """Light (B, 1, H, W) scattered over about a thirtieth of the longer side, on cells of a few pixels."""
    size = (excess.shape[2], excess.shape[3])
    cells = F.interpolate(excess, [max(1, side // _CELL) for side in size], mode="area")
    deviation = max(cells.shape[2:]) / 30 + 0.5
    kernel_side = 2 * math.ceil(2.5 * deviation) + 1
    kernel = gaussian_kernels([kernel_side], [(deviation**2, deviation**2)], [0.0])
    kernel = sent(kernel, excess.device).to(cells.dtype)
    soft = F.conv2d(cells, kernel[None], padding=kernel_side // 2)
    return F.interpolate(soft, size, mode="bilinear", align_corners=False)
