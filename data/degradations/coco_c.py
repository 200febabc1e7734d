"""The fifteen corruptions of COCO-C at their five published severities: the table, and the noises and digital ones.

Results are values of 8 bits, cut down to whole steps (not rounded), as the published tool's are. Everything but the
tool's own JPEG runs batched on the images' device. Lengths are pixels whatever the image's size, as published.
Sources: Hendrycks and Dietterich, Benchmarking Neural Network Robustness (ICLR 2019); Michaelis et al., Benchmarking
Robustness in Object Detection (2019), whose tool `imagecorruptions` 1.1.2 is the reference for any image size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data.degradations import coco_c_blur, coco_c_weather
from data.degradations.camera import compressed
from data.degradations.common import Parameters, RandomFields, as_images


@dataclass(frozen=True)
class Corruption:
    """One corruption: `settings` holds what the publication gives for severity 1 to 5."""

    name: str
    group: str
    settings: Sequence[Any]
    model: Callable[[Tensor, Any, RandomFields], Tensor]

    def __call__(self, image: Tensor, seeds: Sequence[int], severity: int) -> tuple[Tensor, list[Parameters]]:
        """New images (B, 3, H, W) in whole steps of 1 / 255, and for each the severity and its published setting.

        image: uint8 or float in [0, 1], never written to. seeds: one per image. severity: 1 to 5. Returns the image's
        float type, float32 for uint8. Raises ValueError for another shape, number of seeds or severity.
        """
        images = as_images(image)
        if len(seeds) != len(image) or severity not in range(1, 6):
            raise ValueError(f"expected {len(image)} seeds and severity 1 to 5, got {len(seeds)} and {severity}")
        setting = self.settings[severity - 1]
        result = self.model(images.to(torch.float32), setting, RandomFields(seeds, image.device))
        steps = (result.clamp(0, 1) * 255 + 1e-3).floor() / 255  # 1e-3: whole steps stay, in spite of float32
        return steps.to(images.dtype), [{"severity": severity, "setting": setting} for _ in seeds]


def gaussian_noise(image: Tensor, sigma: float, fields: RandomFields) -> Tensor:
    """White noise on display values."""
    return image + sigma * fields.normal(*image.shape[1:])


def shot_noise(image: Tensor, photons: float, fields: RandomFields) -> Tensor:
    """Poisson counts, `photons` of them for white, on display values."""
    pairs = zip(image, fields.generators, strict=True)
    return torch.stack([torch.poisson(light * photons, generator=g) for light, g in pairs]) / photons


def impulse_noise(image: Tensor, fraction: float, fields: RandomFields) -> Tensor:
    """A fraction of the values, every channel for itself, black or white by halves."""
    chance = fields.uniform(*image.shape[1:])
    return torch.where(chance < fraction, (chance < fraction / 2).to(image.dtype), image)


def brightness(image: Tensor, amount: float, fields: RandomFields) -> Tensor:
    """The V of hue, saturation and value raised; hue and saturation stay, so all channels grow by one factor."""
    value = image.amax(1, keepdim=True)
    raised = (value + amount).clamp(0, 1)
    return torch.where(value > 0, image * raised / value.clamp_min(1e-6), raised)


def contrast(image: Tensor, factor: float, fields: RandomFields) -> Tensor:
    """Differences to each channel's mean shrunk by a factor."""
    means = image.mean((2, 3), keepdim=True)
    return means + factor * (image - means)


def pixelate(image: Tensor, fraction: float, fields: RandomFields) -> Tensor:
    """Fewer pixels by averages of blocks, shown as blocks."""
    height, width = image.shape[2:]
    small = (max(1, int(height * fraction)), max(1, int(width * fraction)))
    across = _whole_steps(image @ _box(width, small[1], image).T)  # Pillow rounds after each of its two passes
    down = _whole_steps(_box(height, small[0], image) @ across)  # (B, 3, *small)
    rows, columns = _shown(height, small[0]), _shown(width, small[1])
    return down[:, :, rows.to(image.device)][..., columns.to(image.device)]


def jpeg(image: Tensor, quality: int, fields: RandomFields) -> Tensor:
    """Through JPEG, image by image on the CPU."""
    return compressed(image, [quality] * len(image))


def _whole_steps(image: Tensor) -> Tensor:
    """Rounded to 1 / 255, halves upwards."""
    return (image * 255 + 0.5 + 1e-3).floor() / 255


def _box(side: int, small: int, like: Tensor) -> Tensor:
    """(small, side) averages: each new pixel is the mean of the pixels whose centres its window holds, as Pillow has it."""
    scale = side / small
    centres = (torch.arange(small, dtype=torch.float64) + 0.5).view(-1, 1) * scale
    offsets = torch.arange(side, dtype=torch.float64).view(1, -1) + 0.5 - centres
    inside = ((offsets > -scale / 2) & (offsets <= scale / 2)).double()
    return (inside / inside.sum(1, keepdim=True)).to(like)


def _shown(side: int, small: int) -> Tensor:
    """(side,) places in [0, small) that an enlarged row shows; added up as Pillow does, which decides what falls between."""
    steps = torch.full((side,), small / side, dtype=torch.float64)
    steps[0] /= 2
    return steps.cumsum(0).floor().long().clamp_max(small - 1)


_BLUR, _WEATHER = coco_c_blur, coco_c_weather
_ALL = (
    Corruption("gaussian_noise", "noise", (0.08, 0.12, 0.18, 0.26, 0.38), gaussian_noise),
    Corruption("shot_noise", "noise", (60, 25, 12, 5, 3), shot_noise),
    Corruption("impulse_noise", "noise", (0.03, 0.06, 0.09, 0.17, 0.27), impulse_noise),
    Corruption("defocus_blur", "blur", _BLUR.DEFOCUS, _BLUR.defocus_blur),
    Corruption("glass_blur", "blur", _BLUR.GLASS, _BLUR.glass_blur),
    Corruption("motion_blur", "blur", _BLUR.MOTION, _BLUR.motion_blur),
    Corruption("zoom_blur", "blur", _BLUR.ZOOM, _BLUR.zoom_blur),
    Corruption("snow", "weather", _WEATHER.SNOW, _WEATHER.snow),
    Corruption("frost", "weather", _WEATHER.FROST, _WEATHER.frost),
    Corruption("fog", "weather", _WEATHER.FOG, _WEATHER.fog),
    Corruption("brightness", "weather", (0.1, 0.2, 0.3, 0.4, 0.5), brightness),
    Corruption("contrast", "digital", (0.4, 0.3, 0.2, 0.1, 0.05), contrast),
    Corruption("elastic_transform", "digital", _BLUR.ELASTIC, _BLUR.elastic_transform),
    Corruption("pixelate", "digital", (0.6, 0.5, 0.4, 0.3, 0.25), pixelate),
    Corruption("jpeg_compression", "digital", (25, 18, 15, 10, 7), jpeg),
)
COCO_C: dict[str, Corruption] = {one.name: one for one in _ALL}
