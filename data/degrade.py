"""Physical degradations of pictures, batched in torch on any device.

Each takes pictures in [0, 1], RGB, (B, 3, H, W), leaves them untouched, and returns new ones with the parameters it
drew, one mapping a picture. Each picture draws from its own seed: its result does not depend on its batch or device's
neighbours. This file imports torch only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Parameters = dict[str, Any]

# What low_light draws, with the ends of the range at severity 0 and at severity 1. docs/night-data.md explains each.
LOW_LIGHT_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "stops": ((1.0, 2.0), (4.0, 6.5)),  # exposure lost, in powers of two
    "lift": ((0.0, 0.0), (0.0, 2.0)),  # stops that the camera's gain brings back, noise and all
    "electrons": ((4000.0, 8000.0), (350.0, 2500.0)),  # charge of a white pixel at that gain
    "read": ((1.0, 2.0), (1.5, 5.0)),  # read noise, electrons
    "bits": ((12.0, 12.0), (8.0, 11.0)),  # of the analogue-digital converter
    "warmth": ((-0.1, 0.2), (-0.25, 0.7)),  # log2 of red over blue of the light
    "tint": ((-0.03, 0.03), (-0.08, 0.08)),  # log2 of green over the mean of red and blue
    "toe": ((0.0, 0.2), (0.0, 0.8)),  # how far the tone curve presses shadows down
    "pool": ((0.0, 0.0), (0.0, 0.9)),  # how uneven the light is: 0 even, 1 black outside the pools
}


def low_light(
    image: Tensor,
    seeds: Sequence[int],
    severity: float | None = None,
    parameters: Mapping[str, float] | None = None,
) -> tuple[Tensor, list[Parameters]]:
    """Darken day pictures as a camera at night would have taken them.

    Linear light is recovered (inverse sRGB curve), lost by some stops and unevenly, tinted by the lamps, and read by
    a sensor: shot noise grows with the signal, read noise does not, a converter of few bits rounds; then comes a tone
    curve. The noise is the usual one of raw sensors (Foi et al., IEEE TIP 2008: variance = a * signal + b).

    image: (B, 3, H, W) in [0, 1]. seeds: one a picture. severity: in [0, 1]; None draws one a picture from [0.65, 1].
    parameters: fixes any of LOW_LIGHT_RANGES for all pictures. Returns the dark pictures, same shape and type, and what
    each drew. Raises ValueError for another shape, number of seeds, severity or parameter name.
    """
    _check(image, seeds, severity, parameters)
    generators = [torch.Generator().manual_seed(int(seed) % 2**63) for seed in seeds]
    drawn = [_draw(generator, severity, parameters or {}) for generator in generators]
    fields = torch.stack([_pools(g, p["pool"]) for g, p in zip(generators, drawn, strict=True)])  # (B, 1, 9, 12)
    noise = torch.stack([torch.randn(2, *image.shape[1:], generator=g) for g in generators])  # (B, 2, 3, H, W)
    noise = noise.to(image.device)

    def each(name: str) -> Tensor:
        return torch.tensor([p[name] for p in drawn], device=image.device).view(-1, 1, 1, 1)  # (B, 1, 1, 1)

    light = srgb_to_linear(image.float()) * _tint(each("warmth"), each("tint"))
    light = light * F.interpolate(
        fields.to(image.device), image.shape[2:], mode="bicubic", align_corners=False
    ).clamp_min(0)
    exposed = light * torch.exp2(each("lift") - each("stops"))  # relative to the sensor's white at the chosen gain
    read = sense(exposed, each("electrons"), each("read"), each("bits"), noise)
    return linear_to_srgb(_toe(read, each("toe"))).to(image.dtype), drawn


def low_light_bytes(
    pictures: Tensor, seeds: Sequence[int], severity: float | None = None
) -> tuple[Tensor, list[Parameters]]:
    """`low_light` for 8-bit pictures as files hold them: uint8 (B, H, W, 3), RGB, in and out."""
    dark, drawn = low_light(pictures.permute(0, 3, 1, 2).float() / 255, seeds, severity)
    return (dark * 255).round().byte().permute(0, 2, 3, 1).contiguous(), drawn


def srgb_to_linear(image: Tensor) -> Tensor:
    """Display values in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Linear light -> display values in [0, 1] (IEC 61966-2-1); what lies outside [0, 1] is clipped."""
    x = light.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def sense(signal: Tensor, electrons: Tensor, read: Tensor, bits: Tensor, noise: Tensor) -> Tensor:
    """A sensor's reading of linear light (B, 3, H, W), 1 = full: shot and read noise, then rounding.

    electrons (a full pixel's charge), read (noise in electrons), bits: (B, 1, 1, 1). noise: (B, 2, 3, H, W) standard
    normal. Shot noise is normal with the variance of Poisson counts. Values below 0 are cut, as converters do.
    """
    shot = (signal.clamp_min(0) / electrons).sqrt() * noise[:, 0]
    noisy = signal + shot + read / electrons * noise[:, 1]
    steps = torch.exp2(bits) - 1
    return (noisy.clamp(0, 1) * steps).round() / steps


def _tint(warmth: Tensor, tint: Tensor) -> Tensor:
    """Gains (B, 3, 1, 1) of the light's colour after an imperfect white balance; their mean is 1."""
    gains = torch.cat([torch.exp2(warmth / 2), torch.exp2(tint), torch.exp2(-warmth / 2)], dim=1)
    return gains / gains.mean(1, keepdim=True)


def _toe(light: Tensor, strength: Tensor) -> Tensor:
    """Press shadows down: slope 1 - strength / 2 towards black, 1 for bright light."""
    return light * (light + 0.02 * strength * 0.5 + 1e-6) / (light + 0.02 * strength + 1e-6)


def _pools(generator: torch.Generator, depth: float) -> Tensor:
    """An uneven light field (1, 9, 12) for the whole picture: smooth pools of mean 1 on a floor of 1 - depth."""
    rows = torch.linspace(0, 1, 9).view(-1, 1)
    columns = torch.linspace(0, 1, 12).view(1, -1)
    field = torch.zeros(9, 12)
    for _ in range(3):
        row, column, width = torch.rand(3, generator=generator).tolist()
        spread = 0.12 + 0.25 * width
        field += torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
    pools = 1 - depth + depth * field / field.mean()
    return pools[None]


def _draw(generator: torch.Generator, severity: float | None, fixed: Mapping[str, float]) -> Parameters:
    """One picture's parameters. Every name is drawn, given or not: fixing one leaves the others as they were."""
    chance = torch.rand(len(LOW_LIGHT_RANGES) + 1, generator=generator, dtype=torch.float64).tolist()
    level = 0.65 + 0.35 * chance[-1] if severity is None else severity
    drawn: Parameters = {"severity": level}
    for share, (name, (mild, strong)) in zip(chance, LOW_LIGHT_RANGES.items(), strict=False):
        low, high = (m + (s - m) * level for m, s in zip(mild, strong, strict=True))
        if name == "electrons":  # between 4000 and 350 the middle is 1200: such ranges are drawn by their logarithm
            low, high = (m * (s / m) ** level for m, s in zip(mild, strong, strict=True))
            value = low * (high / low) ** share
        else:
            value = low + (high - low) * share
        drawn[name] = float(fixed.get(name, value))
    drawn["bits"] = float(math.floor(drawn["bits"] + 0.5))
    return drawn


def _check(image: Tensor, seeds: Sequence[int], severity: float | None, parameters: Mapping[str, float] | None) -> None:
    if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
        raise ValueError(f"expected float pictures (B, 3, H, W), got {image.dtype} {tuple(image.shape)}")
    if len(seeds) != len(image):
        raise ValueError(f"expected {len(image)} seeds, one a picture, got {len(seeds)}")
    if severity is not None and not 0 <= severity <= 1:
        raise ValueError(f"severity {severity} is outside [0, 1]")
    unknown = set(parameters or {}) - set(LOW_LIGHT_RANGES)
    if unknown:
        raise ValueError(f"unknown parameters {sorted(unknown)}; known are {sorted(LOW_LIGHT_RANGES)}")
