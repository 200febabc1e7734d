"""The blurs and the elastic transform of COCO-C. Settings are the published ones; see `coco_c` for the sources."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from data.degradations.common import RandomFields
from data.degradations.kernels import correlate, gaussian_kernel, pad

DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))  # radius px, deviation of the disc's soft edge px
GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))  # blur px, reach px, times
MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))  # radius px, deviation px
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))  # end (excluded) and step of the factors
ELASTIC = (12.5, 16.25, 21.25, 25.0, 30.0)  # how many times as far as the smoothed noise


def defocus_blur(image: Tensor, setting: tuple[int, float], fields: RandomFields) -> Tensor:
    """Correlated with a disc."""
    return correlate(image, _disc(*setting).expand(len(image), -1, -1))


def glass_blur(image: Tensor, setting: tuple[float, int, int], fields: RandomFields) -> Tensor:
    """Blurred, pixels replaced by neighbours some times over, and blurred again."""
    sigma, reach, times = setting
    result = (gaussian_blur(image, sigma, sigma, "replicate") * 255 + 1e-3).floor() / 255
    for _ in range(times):
        result = _rearranged(result, _sources(fields, (image.shape[2], image.shape[3]), reach))
    return gaussian_blur(result, sigma, sigma, "replicate")


def motion_blur(image: Tensor, setting: tuple[int, float], fields: RandomFields) -> Tensor:
    """A trail with half a Gaussian's profile, within 45 degrees of the horizontal."""
    return trail(image, *setting, 90 * fields.uniform(1) - 45)


def zoom_blur(image: Tensor, setting: tuple[float, float], fields: RandomFields) -> Tensor:
    """The mean of the image and of its middle enlarged by several factors."""
    factors = np.arange(1, *setting).tolist()
    total = image.clone()
    for factor in factors:
        total += zoomed(image, factor)[..., : image.shape[2], : image.shape[3]]
    return total / (len(factors) + 1)


def elastic_transform(image: Tensor, strength: float, fields: RandomFields) -> Tensor:
    """Each pixel fetched from a place that smoothed noise says, up to some px away."""
    height, width = image.shape[2:]
    noise = 0.005 * height * (2 * fields.uniform(2, height, width) - 1)
    way = strength * gaussian_blur(noise, 0.01 * height, 0.01 * width, "symmetric", truncate=3)  # (B, 2, H, W)
    x = torch.arange(width, device=image.device) + way[:, 0]
    y = torch.arange(height, device=image.device).view(-1, 1) + way[:, 1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)  # (B, H, W, 2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def gaussian_blur(image: Tensor, rows: float, columns: float, border: str, truncate: float = 4.0) -> Tensor:
    """Blurred with deviations in px along the rows' and columns' numbers, cut after `truncate` deviations."""
    for axis, sigma in ((2, rows), (3, columns)):
        radius = int(truncate * sigma + 0.5)
        taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2)
        taps = (taps / taps.sum()).view((1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
        padded = pad(image, radius, border).narrow(5 - axis, radius, image.shape[5 - axis])  # along this axis only
        image = F.conv2d(padded, taps.expand(image.shape[1], -1, -1, -1), groups=image.shape[1])
    return image


def trail(image: Tensor, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    """Each pixel the weighted sum of those behind it along a direction, borders repeated.

    degrees: (B, 1), from the x axis towards y. Weights fall as half a Gaussian of `sigma` px over 2 radius + 1 px.
    """
    reach = 2 * radius
    steps = torch.arange(reach + 1, dtype=torch.float64, device=image.device)  # halves must round as published
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    turn = torch.deg2rad(degrees.double())
    rows, columns = ((steps * wave - 0.5).ceil().long() for wave in (turn.sin(), turn.cos()))  # (B, reach + 1)
    kernels = torch.zeros(len(image), (2 * reach + 1) ** 2, device=image.device)
    places = (rows + reach) * (2 * reach + 1) + columns + reach
    kernels.scatter_add_(1, places, (weights / weights.sum()).float().expand(len(image), -1))
    return correlate(image, kernels.view(-1, 2 * reach + 1, 2 * reach + 1), "replicate")


def zoomed(image: Tensor, factor: float) -> Tensor:
    """The middle of images enlarged, bilinear, corners on corners; a little larger than the image itself."""
    sides = [math.ceil(side / factor) for side in image.shape[2:]]
    top, left = ((side - part) // 2 for side, part in zip(image.shape[2:], sides, strict=True))
    middle = image[:, :, top : top + sides[0], left : left + sides[1]]
    return F.interpolate(middle, [round(side * factor) for side in sides], mode="bilinear", align_corners=True)


def _disc(radius: int, sigma: float) -> Tensor:
    """(K, K): an even disc, its edge softened by a Gaussian of 3 x 3 (5 x 5 for radii above 8) px."""
    reach = max(8, radius)
    x = torch.arange(-reach, reach + 1)
    disc = ((x.view(1, -1) ** 2 + x.view(-1, 1) ** 2) <= radius**2).float()
    soft = gaussian_kernel(3 if radius <= 8 else 5, (sigma**2, sigma**2))
    return correlate((disc / disc.sum())[None, None], soft[None])[0, 0]


def _sources(fields: RandomFields, size: tuple[int, int], reach: int) -> Tensor:
    """For every pixel the one whose value it ends up with, (B, H * W) places in row order.

    As published: from the last inner pixel to the first, each takes the value that a neighbour -reach to reach - 1 px
    away has at that moment. (The tool means to swap the two; its swap of array views copies.) A neighbour further on
    was replaced before, so its own source counts: chains are followed by doubling instead of pixel by pixel.
    """
    height, width = size
    rows, columns = torch.meshgrid(*(torch.arange(side, device=fields.device) for side in size), indexing="ij")
    inner = (rows > reach) & (rows <= height - reach) & (columns > reach) & (columns <= width - reach)
    steps = (fields.uniform(2, height, width) * 2 * reach).long().clamp_max(2 * reach - 1) - reach  # (B, 2, H, W)
    own = (rows * width + columns).flatten()
    there = (rows + steps[:, 0]) * width + columns + steps[:, 1]
    source = torch.where(inner, there, own.view(height, width)).flatten(1)  # (B, H * W)
    goes_on = inner.flatten()[source] & (source > own)
    while bool(goes_on.any()):
        onward = torch.gather(source, 1, source)
        follows = torch.gather(goes_on, 1, source)
        source, goes_on = torch.where(goes_on, onward, source), goes_on & follows
    return source


def _rearranged(image: Tensor, source: Tensor) -> Tensor:
    """Pixels fetched from their sources, (B, 3, H, W)."""
    return torch.gather(image.flatten(2), 2, source.unsqueeze(1).expand(-1, image.shape[1], -1)).view(image.shape)
