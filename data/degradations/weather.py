"""Fog, rain, snow and water before the camera, in linear light.

Each function takes images (B, 3, H, W) in [0, 1], its drawn parameters and random fields, and returns new images.
Lengths are fractions of the image's longer side, so that small and large images look alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from data.degradations.common import (
    BatchParameters,
    RandomFields,
    Range,
    constant,
    grey,
    linear_to_srgb,
    srgb_to_linear,
)
from data.degradations.kernels import correlate, gaussian_kernels, line_kernels

FOG_RANGES = {
    "visibility": Range((1500.0, 3000.0), (25.0, 50.0), "metres at which 5 % of a contrast are left", geometric=True),
    "airlight": Range((0.55, 0.75), (0.55, 0.75), "brightness of the fog itself, linear light"),
    "warmth": Range((-0.04, 0.04), (-0.06, 0.04), "log2 of red over blue of the fog"),
    "patches": Range((0.0, 0.1), (0.0, 0.25), "deviation of its density along neighbouring lines of sight"),
    "horizon": Range((0.36, 0.46), (0.36, 0.46), "row of the horizon, fraction of the height; for the pseudo-depth"),
}
RAIN_RANGES = {
    "drops": Range((0.6, 1.0), (9.0, 14.0), "streaks a thousand px of an image 320 px wide", geometric=True),
    "length": Range((0.015, 0.025), (0.05, 0.10), "of a near streak"),
    "angle": Range((-0.1, 0.1), (-0.45, 0.45), "of their fall from the vertical, radians"),
    "opacity": Range((0.25, 0.35), (0.55, 0.8), "fraction of light that a near streak replaces"),
    "veil": Range((0.02, 0.08), (0.30, 0.50), "fraction of light that the far drops replace"),
    "dimming": Range((0.05, 0.1), (0.4, 0.8), "stops of light that the clouds take"),
}
SNOW_RANGES = {
    "flakes": Range((0.4, 0.7), (20.0, 28.0), "a thousand px of an image 320 px wide", geometric=True),
    "flake": Range((0.003, 0.004), (0.005, 0.007), "radius of a near flake"),
    "angle": Range((-0.3, 0.3), (-0.9, 0.9), "of their fall from the vertical, radians"),
    "speed": Range((0.004, 0.008), (0.01, 0.03), "way of a near flake while the shutter is open"),
    "veil": Range((0.02, 0.06), (0.3, 0.5), "fraction of light that the far flakes replace"),
}
UNDERWATER_RANGES = {
    "reach": Range((0.1, 0.2), (1.2, 1.8), "attenuation lengths of green light to the middle of the image", True),
    "hue": Range((0.0, 1.0), (0.0, 1.0), "of the water: 0 green, 1 blue"),
    "veil": Range((0.6, 0.9), (0.7, 1.1), "brightness of the light that the water scatters back"),
    "aside": Range((0.0006, 0.001), (0.001, 0.002), "blur of light that crossed one attenuation length"),
}
# A kind of water: attenuation relative to green's, and colour of its own light; green coastal and blue ocean water
# (values in the range of Akkaynak and Treibitz, CVPR 2018, and of data/synthetic/underwater/water.py's types).
_GREEN = ((1.7, 1.0, 1.35), (0.075, 0.23, 0.13))
_BLUE = ((3.2, 1.0, 0.85), (0.025, 0.13, 0.23))
_FAR, _EYE = 70.0, 1.6  # metres: where the pseudo-depth ends, and height of the camera


def pseudo_depth(size: tuple[int, int], horizon: Tensor, far: float | Tensor = _FAR) -> Tensor:
    """Metres along each line of sight over flat ground, (B, 1, H, W), where nobody measured any.

    horizon: (B, 1, 1, 1), as a fraction of the height; far: metres, likewise or one number. The camera stands 1.6 m high
    and sees some 53 degrees across. What lies above the horizon is `far` away, and what lies below it gently nears that:
    1 / d = 1 / ground + 1 / far. Things that stand on the ground are taken for the ground behind them.
    """
    height, width = size
    rows = (torch.arange(height, device=horizon.device) + 0.5).view(1, 1, -1, 1) / height
    across = (torch.arange(width, device=horizon.device) + 0.5).view(1, 1, 1, -1) / width - 0.5
    below = (rows - horizon) * height / width  # tangent of the angle below the horizon, with the width as focal length
    slant = (1 + across**2 + below**2).sqrt()
    return slant / (below.clamp_min(0) / _EYE + 1 / far)


def fog(image: Tensor, p: BatchParameters, fields: RandomFields, depth: Tensor | None = None) -> Tensor:
    """Koschmieder's law: I = J t + A (1 - t), t = exp(-beta d), beta = ln 20 / visibility.

    depth: (B, 1, H, W) metres, for instance of a renderer; without it `pseudo_depth`.
    Source: Koschmieder (1924); Sakaridis et al., Semantic Foggy Scene Understanding (IJCV 2018).
    """
    size = (image.shape[2], image.shape[3])
    metres = pseudo_depth(size, p["horizon"]) if depth is None else depth
    density = (1 + p["patches"] * fields.clouds(size, 3)).clamp(0.3, 1.7)
    through = torch.exp(-math.log(20) / p["visibility"] * density * metres)  # (B, 1, H, W)
    return linear_to_srgb(through * srgb_to_linear(image) + (1 - through) * p["airlight"] * _tint(p["warmth"]))


def rain(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """Streaks of near drops, fine ones of drops further off, a veil of those that no one can tell apart, less light.

    Source: Garg and Nayar, Vision and Rain (IJCV 2007): a drop shows the sky, and its streak replaces a fraction of what
    is behind it that is the time it covered the pixel.
    """
    side = max(image.shape[2:])
    light = srgb_to_linear(image) * torch.exp2(-p["dimming"])
    sky = _bright(light)  # (B, 1, 1, 1)
    light = _veiled(light, 0.75 * sky, p["veil"])
    lean = math.pi / 2 + p.host("angle")
    density = 1e-3 * p["drops"] * (320 / side) ** 2
    for fraction, scale, width in ((0.8, 0.4, 0.6), (0.2, 1.0, 0.9)):  # far ones first
        lengths = scale * p.host("length") * side
        stroke = line_kernels(lengths, lean, max(0.35, 0.5 * width * side / 320))
        drops = _points(fields, image, fraction * density)
        cover = correlate(drops, stroke / stroke.amax((1, 2), keepdim=True)).clamp(0, 1) * p["opacity"] * width
        light = light + cover * (sky - light)
    return linear_to_srgb(light)


def snow(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """Flakes in three distances, the nearest large, out of focus and smeared by their fall; and a pale veil.

    A flake is opaque and as bright as the sky; out of focus it covers more pixels, each of them less.
    """
    side = max(image.shape[2:])
    light = srgb_to_linear(image)
    sky = _bright(light).clamp_min(0.5)
    light = _veiled(light, 0.8 * sky, p["veil"])
    density = 1e-3 * p["flakes"] * (320 / side) ** 2
    for fraction, scale, opacity in ((0.8, 0.35, 0.9), (0.18, 0.75, 1.0), (0.02, 1.6, 0.75)):  # the nearest last
        flakes = _points(fields, image, fraction * density)
        shape = _flake(scale * p.host("flake") * side, scale * p.host("speed") * side, p.host("angle"))
        cover = correlate(flakes, shape).clamp(0, 1) * opacity
        light = light + cover * (sky - light)
    return linear_to_srgb(light)


def underwater(image: Tensor, p: BatchParameters, fields: RandomFields, depth: Tensor | None = None) -> Tensor:
    """Light lost on the way, channel by channel, and light that the water adds: I = J exp(-b z) + B (1 - exp(-b z)).

    depth: (B, 1, H, W), any unit, its mean counts as `reach`; without it what is higher up is further away. Light that
    was turned aside a little is blurred by how far it came.
    Source: McGlamery (SPIE 208, 1980); Jaffe (IEEE JOE 1990), simplified; Akkaynak and Treibitz (CVPR 2018).
    """
    size = (image.shape[2], image.shape[3])
    lengths = p["reach"] * (_slope(fields, size) if depth is None else depth / depth.mean((2, 3), keepdim=True))
    attenuation, colour = (_between(green, blue, p["hue"]) for green, blue in zip(_GREEN, _BLUE, strict=True))
    light = _scattered(srgb_to_linear(image), lengths, p.host("aside") * max(size))
    through = torch.exp(-attenuation * lengths)  # (B, 3, H, W)
    return linear_to_srgb(through * light + (1 - through) * p["veil"] * colour)


def _tint(warmth: Tensor) -> Tensor:
    """Gains (B, 3, 1, 1) of red, green and blue."""
    return torch.cat([torch.exp2(warmth / 2), torch.ones_like(warmth), torch.exp2(-warmth / 2)], 1)


def _bright(light: Tensor) -> Tensor:
    """How bright the image's bright parts are, (B, 1, 1, 1): mean and two deviations of luminance, at most 0.9."""
    y = grey(light)
    return (y.mean((2, 3), keepdim=True) + 2 * y.std((2, 3), correction=0, keepdim=True)).clamp(0.15, 0.9)


def _veiled(light: Tensor, veil: Tensor, fraction: Tensor) -> Tensor:
    """Under clouds, colours fade by the same fraction that the veil takes: there is no blue sky over rain."""
    light = light + fraction * (grey(light) - light)
    return light + fraction * (veil - light)


def _points(fields: RandomFields, image: Tensor, density: Tensor) -> Tensor:
    """Single pixels (B, 1, H, W): 0, or where something falls, with chance `density`, a strength in [0.3, 1]."""
    chance = fields.uniform(1, *image.shape[2:]) / density  # below 1 where something is, and uniform there
    return torch.where(chance < 1, 0.3 + 0.7 * chance, torch.zeros_like(chance)).to(image.dtype)


def _flake(radius: Tensor, way: Tensor, angle: Tensor) -> Tensor:
    """(B, K, K) of height 1: a soft dot drawn out along its fall. radius, way (px), angle: (B,) on the CPU."""
    radius = radius.clamp_min(0.45)
    along, across = (radius**2 / 2 + way**2 / 12).tolist(), (radius**2 / 2).tolist()
    size = 2 * math.ceil(2.5 * math.sqrt(max(along))) + 1
    turns = (math.pi / 2 + angle).tolist()
    kernels = gaussian_kernels([size] * len(along), list(zip(along, across, strict=True)), turns)
    return kernels / kernels.amax((1, 2), keepdim=True)


def _slope(fields: RandomFields, size: tuple[int, int]) -> Tensor:
    """(B, 1, H, W), about mean 1: a floor that rises into the distance, and is uneven."""
    rows = torch.linspace(1.7, 0.5, size[0], device=fields.device).view(1, 1, -1, 1)
    return rows * (1 + 0.12 * fields.clouds(size, 2)).clamp(0.5, 1.5)


def _between(green: tuple[float, ...], blue: tuple[float, ...], hue: Tensor) -> Tensor:
    """(B, 3, 1, 1) values of the water's kind, geometrically between the two."""
    first, second = (constant(tuple(values), hue.dtype, hue.device).view(1, 3, 1, 1) for values in (green, blue))
    return first * (second / first) ** hue


def _scattered(light: Tensor, lengths: Tensor, spread: Tensor) -> Tensor:
    """Blur that grows with the attenuation lengths: the image and a blurred one, mixed pixel by pixel. spread: (B,) px."""
    variances = (2 * spread).clamp_min(0.3) ** 2
    size = 2 * math.ceil(3 * float(variances.max()) ** 0.5) + 1
    pairs = [(v, v) for v in variances.tolist()]
    soft = correlate(light, gaussian_kernels([size] * len(pairs), pairs, [0.0] * len(pairs)))
    return light + (lengths / 2).clamp(0, 1) * (soft - light)
