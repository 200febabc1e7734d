"""Low light: a day image as a camera at night would have taken it. docs/night-data.md explains the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from data.degradations.common import (
    BatchParameters,
    Parameters,
    RandomFields,
    Range,
    Severity,
    as_images,
    check_request,
    draw,
    linear_to_srgb,
    srgb_to_linear,
)
from utils.devices import sent

# What low_light draws, with the ends of the range at severity 0 and at severity 1. docs/night-data.md explains each.
LOW_LIGHT_RANGES: dict[str, Range] = {
    "stops": Range((1.0, 2.0), (4.0, 6.5), "exposure lost, in powers of two"),
    "lift": Range((0.0, 0.0), (0.0, 2.0), "stops that the camera's gain brings back, noise and all"),
    "electrons": Range((4000.0, 8000.0), (350.0, 2500.0), "charge of a white pixel at that gain", geometric=True),
    "read": Range((1.0, 2.0), (1.5, 5.0), "read noise, electrons"),
    "bits": Range((12.0, 12.0), (8.0, 11.0), "of the analogue-digital converter"),
    "warmth": Range((-0.1, 0.2), (-0.25, 0.7), "log2 of red over blue of the light"),
    "tint": Range((-0.03, 0.03), (-0.08, 0.08), "log2 of green over the mean of red and blue"),
    "toe": Range((0.0, 0.2), (0.0, 0.8), "how far the tone curve presses shadows down"),
    "pool": Range((0.0, 0.0), (0.0, 0.9), "how uneven the light is: 0 even, 1 black outside the pools"),
}
LEAST = 0.65  # the mildest severity that is drawn where none is given


def low_light(
    image: Tensor,
    seeds: Sequence[int],
    severity: Severity = None,
    parameters: Mapping[str, float] | None = None,
    noise_on_device: bool = False,
) -> tuple[Tensor, list[Parameters]]:
    """Darken day images as a camera at night would have taken them.

    Linear light is recovered (inverse sRGB curve), lost by some stops and unevenly, tinted by the lamps, and read by
    a sensor: shot noise grows with the signal, read noise does not, a converter of few bits rounds; then comes a tone
    curve. The noise is the usual one of raw sensors (Foi et al., IEEE TIP 2008: variance = a * signal + b).

    image: (B, 3, H, W), float in [0, 1] or uint8. seeds: one per image. severity: in [0, 1], one for all or one per image;
    None draws it from [0.65, 1]. parameters: fixes any of LOW_LIGHT_RANGES for all images. noise_on_device draws the noise
    where the images lie: fast on a GPU, but not the noise that a CPU draws. Returns the dark images, same shape and type
    (float32 for uint8), and what each drew. Raises ValueError for another shape, number of seeds, severity or name.
    """
    image = as_images(image)
    levels = check_request(image, seeds, severity, parameters, LOW_LIGHT_RANGES)
    generators = [torch.Generator().manual_seed(int(seed) % 2**63) for seed in seeds]
    drawn = [
        draw(generator, LOW_LIGHT_RANGES, level, parameters, least=LEAST)
        for generator, level in zip(generators, levels, strict=True)
    ]
    for one in drawn:
        one["bits"] = float(math.floor(one["bits"] + 0.5))  # a converter has whole bits
    fields = torch.stack([_pools(g, p["pool"]) for g, p in zip(generators, drawn, strict=True)])  # (B, 1, 9, 12)
    noise = _noise(generators, seeds, image, noise_on_device)
    p = BatchParameters(drawn, image.device)
    light = srgb_to_linear(image.float()) * _tint(p["warmth"], p["tint"])
    pools = F.interpolate(sent(fields, image.device), image.shape[2:], mode="bicubic", align_corners=False)
    exposed = light * pools.clamp_min(0) * torch.exp2(p["lift"] - p["stops"])  # relative to the sensor's white
    read = sense(exposed, p["electrons"], p["read"], p["bits"], noise)
    return linear_to_srgb(_toe(read, p["toe"])).to(image.dtype), drawn


def low_light_bytes(
    images: Tensor, seeds: Sequence[int], severity: float | None = None
) -> tuple[Tensor, list[Parameters]]:
    """`low_light` for 8-bit images as files hold them: uint8 (B, H, W, 3), RGB, in and out."""
    dark, drawn = low_light(images.permute(0, 3, 1, 2).float() / 255, seeds, severity)
    return (dark * 255).round().byte().permute(0, 2, 3, 1).contiguous(), drawn


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
    """An uneven light field (1, 9, 12) for the whole image: smooth pools of mean 1 on a floor of 1 - depth."""
    rows = torch.linspace(0, 1, 9).view(-1, 1)
    columns = torch.linspace(0, 1, 12).view(1, -1)
    field = torch.zeros(9, 12)
    for _ in range(3):
        row, column, width = torch.rand(3, generator=generator).tolist()
        spread = 0.12 + 0.25 * width
        field += torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
    pools = 1 - depth + depth * field / field.mean()
    return pools[None]


def _noise(generators: Sequence[torch.Generator], seeds: Sequence[int], image: Tensor, on_device: bool) -> Tensor:
    """Standard normal (B, 2, 3, H, W): of each image for shot and for read noise."""
    if on_device and image.device.type != "cpu":
        return RandomFields(seeds, image.device).normal(2, *image.shape[1:])
    return torch.stack([torch.randn(2, *image.shape[1:], generator=g) for g in generators]).to(image.device)
