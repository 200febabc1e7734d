"""What all degradations fraction: checks, drawn parameters, random fields, and the curve between display and light.

Parameters are drawn on the CPU from a generator of the image's own, so they are the same on every device and in every
batch. Random fields (noise, drops, clouds) are drawn where the image lies, from a second generator of the same seed:
equal on equal devices, different between a CPU and a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from utils.devices import sent

Parameters = dict[str, Any]
Severity = float | Sequence[float | None] | None
"""Of all images, of each, or None: each draws its own."""
_FIELD = 0x5DEECE66D  # sets the seeds of fields apart from those of parameters


class Range(NamedTuple):
    """From where a parameter is drawn: its two ends at severity 0 (mild) and at severity 1 (strong).

    Between the severities the ends move in a straight line, or, if geometric, by a constant factor; likewise the draw.
    """

    mild: tuple[float, float]
    strong: tuple[float, float]
    meaning: str
    geometric: bool = False

    def at(self, severity: float, fraction: float) -> float:
        """The value at `severity` that lies `fraction` of the way between the two ends, both in [0, 1]."""
        if self.geometric:
            low, high = (m * (s / m) ** severity for m, s in zip(self.mild, self.strong, strict=True))
            return low * (high / low) ** fraction
        low, high = (m + (s - m) * severity for m, s in zip(self.mild, self.strong, strict=True))
        return low + (high - low) * fraction


Ranges = Mapping[str, Range]


def draw(
    generator: torch.Generator,
    ranges: Ranges,
    severity: float | None = None,
    fixed: Mapping[str, float] | None = None,
    least: float = 0.0,
) -> Parameters:
    """One image's parameters. Every name is drawn, fixed or not, so that fixing one leaves the others as they were.

    severity: in [0, 1]; None draws one from [least, 1].
    """
    chance = torch.rand(len(ranges) + 1, generator=generator, dtype=torch.float64).tolist()
    level = least + (1 - least) * chance[-1] if severity is None else severity
    drawn: Parameters = {"severity": level}
    for fraction, (name, limits) in zip(chance, ranges.items(), strict=False):
        drawn[name] = float((fixed or {}).get(name, limits.at(level, fraction)))
    return drawn


class BatchParameters:
    """The parameters of a batch: `drawn["name"]` is a float32 (B, 1, 1, 1) on the images' device."""

    def __init__(self, rows: Sequence[Parameters], device: torch.device) -> None:
        self._columns = {name: i for i, name in enumerate(rows[0])} if rows else {}
        self._drawn = torch.tensor([list(row.values()) for row in rows], dtype=torch.float32)  # (B, names)
        self._table = sent(self._drawn, device)  # one transfer for all of them

    def __getitem__(self, name: str) -> Tensor:
        return self._table[:, self._columns[name]].view(-1, 1, 1, 1)

    def host(self, name: str) -> Tensor:
        """The same as (B,) on the CPU: sizes of kernels follow from it without waiting for the device."""
        return self._drawn[:, self._columns[name]]


class RandomFields:
    """Random fields of a batch on its device: image i draws from seed i alone."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.device = device
        self.generators = [torch.Generator(device).manual_seed((int(seed) ^ _FIELD) % 2**63) for seed in seeds]

    def _filled(self, fill: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        field = torch.empty(len(self.generators), *shape, device=self.device)
        for part, generator in zip(field, self.generators, strict=True):
            fill(part, generator=generator)
        return field

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape), mean 0, deviation 1."""
        return self._filled(Tensor.normal_, shape)

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape), in [0, 1)."""
        return self._filled(Tensor.uniform_, shape)

    def clouds(self, size: tuple[int, int], cells: int) -> Tensor:
        """(B, 1, H, W) smooth noise, about deviation 1: some `cells` hills across, a second octave of half their size."""
        octaves = []
        for count, weight in ((cells, 0.8), (2 * cells, 0.45)):
            coarse = self.normal(1, max(2, count * size[0] // size[1]) + 3, count + 3)
            octaves.append(weight * torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=True))
        return torch.stack(octaves).sum(0)


def as_images(image: Tensor) -> Tensor:
    """Float images in [0, 1] from float (kept as they are) or uint8 (divided by 255), (B, 3, H, W).

    Raises ValueError for anything else; grey images and such with an alpha channel are named as what they are.
    """
    if image.ndim != 4 or image.shape[1] != 3 or not (image.is_floating_point() or image.dtype == torch.uint8):
        kinds = {1: " (grey: repeat the channel three times)", 4: " (RGBA: drop the fourth channel)"}
        hint = kinds.get(image.shape[1], "") if image.ndim == 4 else ""
        raise ValueError(f"expected images (B, 3, H, W), uint8 or float, got {image.dtype} {tuple(image.shape)}{hint}")
    return image if image.is_floating_point() else image.float() / 255


def check_request(
    image: Tensor, seeds: Sequence[int], severity: Severity, fixed: Mapping[str, float] | None, ranges: Ranges
) -> list[float | None]:
    """The severity of each image. Raises ValueError for a number of seeds, a severity or a name that does not fit."""
    if len(seeds) != len(image):
        raise ValueError(f"expected {len(image)} seeds, one per image, got {len(seeds)}")
    each = [*severity] if isinstance(severity, Sequence) else [severity] * len(image)
    if len(each) != len(image):
        raise ValueError(f"expected one severity, or {len(image)}, one per image, got {len(each)}")
    wrong = next((level for level in each if level is not None and not 0 <= level <= 1), None)
    if wrong is not None:
        raise ValueError(f"severity {wrong} is outside [0, 1]")
    unknown = set(fixed or {}) - set(ranges)
    if unknown:
        raise ValueError(f"unknown parameters {sorted(unknown)}; known are {sorted(ranges)}")
    return each


def srgb_to_linear(image: Tensor) -> Tensor:
    """Display values in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Linear light -> display values in [0, 1] (IEC 61966-2-1); what lies outside [0, 1] is clipped."""
    x = light.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers (n,) that lie on the device already: each making is a copy for which the host waits."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def grey(image: Tensor) -> Tensor:
    """Luminance (B, 1, H, W) of RGB images (B, 3, H, W): ITU-R BT.601 on display values, as OpenCV has it."""
    return (image * constant((0.299, 0.587, 0.114), image.dtype, image.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def to_bytes(image: Tensor) -> Tensor:
    """Float images in [0, 1] -> uint8, rounded; what lies outside is clipped."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)
