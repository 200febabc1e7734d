"""What the student sees: target images in worse light, with other colours and erased parts, and smaller at first.

Every number of an image is drawn on the CPU from its own seed, and crosses to the device in one table.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from data.degradations.common import RandomFields, grey
from data.degradations.kernels import correlate
from data.degrade import gaussian_kernels, image_random
from utils.devices import sent

STREAM_COLOUR, STREAM_NIGHT = 11, 12
STEPS = 6  # of the student's scale, as published
STRIDE = 32  # px
GLARES = 3  # at most, per image


def scale_of(progress: float, first: float) -> float:
    """The student's scale: from `first` to 1 in six equal steps. progress: in [0, 1] of the epochs with target images.

    Source: 2PCNet (Kennerley et al., CVPR 2023), student-scaling: small objects are found by day, and at night while they are
    easier, before they are at full size.

    >>> [scale_of(progress, 0.5) for progress in (0.0, 0.5, 0.99)]
    [0.5, 0.8, 1.0]
    """
    step = min(int(progress * STEPS), STEPS - 1)
    return first + (1 - first) * step / (STEPS - 1)


def shrunk(images: Tensor, scale: float) -> Tensor:
    """Images (B, 3, H, W) at a scale, sides rounded to multiples of 32 px; boxes as fractions of the image stay right."""
    size = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in images.shape[2:]]
    if size == list(images.shape[2:]):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def other_colours(images: Tensor, seeds: Sequence[int]) -> Tensor:
    """Brightness, contrast and saturation by up to 0.4, grey in one of five images, and up to three erased rectangles.

    images: (B, 3, H, W) in [0, 1]; new ones. Source: the strong augmentation of Unbiased Teacher (Liu et al., ICLR 2021).
    """
    rows = [_colour_row(image_random(seed, STREAM_COLOUR)) for seed in seeds]
    table = sent(torch.tensor(rows), images.device)  # (B, 3)
    brightness, contrast, saturation = table[:, :3].view(-1, 3, 1, 1, 1).unbind(1)
    bright = images * brightness
    mean = grey(bright).mean((2, 3), keepdim=True)
    contrasted = mean + contrast * (bright - mean)
    flat = grey(contrasted)
    result = (flat + saturation * (contrasted - flat)).clamp(0, 1)
    rectangles = [_rectangles(image_random(seed, STREAM_COLOUR + 100), 3, 0.7) for seed in seeds]
    return torch.where(
        inside(rectangles, images), torch.full_like(result, 0.447), result
    )  # 114 / 255, the padding's grey


def _colour_row(rng: random.Random) -> list[float]:
    brightness, contrast, saturation = (rng.uniform(0.6, 1.4) for _ in range(3))
    return [brightness, contrast, 0.0 if rng.random() < 0.2 else saturation]


Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the image."""


def _rectangles(
    rng: random.Random, most: int, chance: float, side: tuple[float, float] = (0.05, 0.2)
) -> list[Rectangle]:
    """Up to `most` rectangles, each there with this chance; absent ones are empty."""
    found = []
    for _ in range(most):
        present = rng.random() < chance
        width, height, x, y = (*(rng.uniform(*side) for _ in range(2)), rng.random(), rng.random())
        left, top = x * (1 - width), y * (1 - height)
        found.append((left, top, left + width * present, top + height * present))
    return found


def inside(rectangles: Sequence[Sequence[Rectangle]], images: Tensor) -> Tensor:
    """Which pixels lie in some of an image's rectangles, (B, 1, H, W) bool. rectangles: equally many of each image."""
    edges = sent(torch.tensor(rectangles), images.device)  # (B, n, 4)
    height, width = images.shape[2:]
    rows = (torch.arange(height, device=images.device) + 0.5) / height
    columns = (torch.arange(width, device=images.device) + 0.5) / width
    left, top, right, bottom = edges[..., None].unbind(2)  # (B, n, 1)
    across = (columns >= left) & (columns < right)  # (B, n, W)
    down = (rows >= top) & (rows < bottom)  # (B, n, H)
    return (down[..., None] & across[:, :, None]).any(1, keepdim=True)


def night_light(images: Tensor, seeds: Sequence[int], fraction: float) -> Tensor:
    """Day images in night-like light: blur, gamma, brightness, contrast, each but in some rectangles; glare; noise.

    images: (B, 3, H, W) in [0, 1]; new ones. fraction: of the images, by their seeds; the others stay.
    Source: NightAug of 2PCNet (CVPR 2023): gamma 1 / U(0.2, 1), brightness and contrast U(0.2, 1), each in half of the images,
    blur of deviation U(0.1, 2) px, round glare, noise of deviation up to 50 / 255, of which negative values are cut.
    """
    rows = [_night_row(image_random(seed, STREAM_NIGHT), fraction) for seed in seeds]
    places = [place for place, row in enumerate(rows) if row is not None]
    if not places:
        return images
    chosen = [row for row in rows if row is not None]
    index = sent(torch.tensor(places), images.device)
    some = _night(images[index], chosen, [seeds[place] for place in places])
    return images.index_copy(0, index, some)


NightRow = tuple[list[float], list[Rectangle], list[float]]


def _night_row(rng: random.Random, fraction: float) -> NightRow | None:
    """Numbers of one image: [blur, gamma, brightness, contrast, noise]; rectangles that stay as they were; glares."""
    chosen = rng.random() < fraction
    draws = [rng.random() for _ in range(10)]
    blur = 0.1 + 1.9 * draws[0] if draws[5] > 0.5 else 0.0
    gamma = 1 / (0.2 + 0.8 * draws[1]) if draws[6] > 0.5 else 1.0
    brightness = 0.2 + 0.8 * draws[2] if draws[7] > 0.5 or gamma == 1.0 else 1.0
    contrast = 0.2 + 0.8 * draws[3] if draws[8] > 0.5 else 1.0
    noise = draws[4] * 50 / 255 if draws[9] > 0.5 else 0.0
    kept = _rectangles(rng, 2, 0.6, (0.1, 0.6))
    glares = [
        [rng.random(), rng.random(), rng.uniform(0.001, 0.14), float(rng.random() > 0.5 + 0.1 * n)]
        for n in range(GLARES)
    ]
    return ([blur, gamma, brightness, contrast, noise], kept, sum(glares, [])) if chosen else None


def _night(images: Tensor, rows: Sequence[NightRow], seeds: Sequence[int]) -> Tensor:
    table = sent(torch.tensor([numbers for numbers, _, _ in rows]), images.device)
    _, gamma, brightness, contrast, noise = table.view(len(rows), 5, 1, 1, 1).unbind(1)
    blurred = _blurred(images, [numbers[0] for numbers, _, _ in rows])
    dark = blurred.clamp(0, 1) ** gamma * brightness
    mean = grey(dark).mean((2, 3), keepdim=True)
    dark = (mean + contrast * (dark - mean)).clamp(0, 1)
    dark = torch.where(inside([kept for _, kept, _ in rows], images), blurred, dark)
    glares = sent(torch.tensor([glare for _, _, glare in rows]), images.device).view(len(rows), GLARES, 4)
    light = _glare(glares, images)  # (B, 1, H, W)
    dark = dark * (1 - light) + light
    field = RandomFields(seeds, images.device).normal(*images.shape[1:])
    return (dark + noise * field.clamp_min(0)).clamp(0, 1).to(images.dtype)


def _blurred(images: Tensor, deviations: Sequence[float]) -> Tensor:
    """By the published kernel of 11 px; a deviation of 0 leaves an image as it is."""
    places = [place for place, deviation in enumerate(deviations) if deviation > 0]
    if not places:
        return images
    variances = [(deviations[place] ** 2,) * 2 for place in places]
    kernels = gaussian_kernels([11] * len(places), variances, [0.0] * len(places))
    index = sent(torch.tensor(places), images.device)
    return images.index_copy(0, index, correlate(images[index], kernels))


def _glare(glares: Tensor, images: Tensor) -> Tensor:
    """Round lights (B, 1, H, W) in [0, 1], the strongest where several lie. glares: (B, n, 4) x, y, deviation, present."""
    height, width = images.shape[2:]
    longer = max(height, width)
    rows = (torch.arange(height, device=images.device) + 0.5) / longer
    columns = (torch.arange(width, device=images.device) + 0.5) / longer
    x, y, deviation, present = glares[..., None].unbind(2)  # (B, n, 1)
    across = torch.exp(-0.5 * ((columns - x * width / longer) / deviation) ** 2)  # (B, n, W)
    down = torch.exp(-0.5 * ((rows - y * height / longer) / deviation) ** 2)  # (B, n, H)
    return (down[..., None] * (across * present)[:, :, None]).amax(1, keepdim=True)


def ramp(progress: float) -> float:
    """The weight schedule of Mean Teacher (Tarvainen and Valpola, NeurIPS 2017): exp(-5 (1 - t)^2), t in [0, 1].

    >>> ramp(1.0)
    1.0
    """
    return math.exp(-5 * (1 - min(max(progress, 0.0), 1.0)) ** 2)
