"""Snow, frost and fog of COCO-C. Settings are the published ones; see `coco_c` for the sources."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from data.degradations.coco_c_blur import trail, zoomed
from data.degradations.common import RandomFields, grey

# snow: mean and deviation of the noise, zoom, threshold, radius and deviation of the trail in px, fraction of the image
SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8), (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7), (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)  # fmt: skip
FROST = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))  # fractions of the image and of the frost
FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))  # amount, and how fast fine detail of it fades


def snow(image: Tensor, setting: tuple[float, float, float, float, int, float, float], fields: RandomFields) -> Tensor:
    """Blobs of noise with a trail, once upright and once turned round, over an image bleached towards grey."""
    mean, deviation, zoom, threshold, radius, sigma, fraction = setting
    height, width = image.shape[2:]
    flakes = zoomed(mean + deviation * fields.normal(1, height, width), zoom)
    flakes = torch.where(flakes < threshold, torch.zeros_like(flakes), flakes).clamp(0, 1)
    flakes = trail(flakes, radius, sigma, -135 + 90 * fields.uniform(1))[..., :height, :width]
    flakes = (flakes * 255).round() / 255
    bleached = fraction * image + (1 - fraction) * torch.maximum(image, grey(image) * 1.5 + 0.5)
    return bleached + flakes + flakes.flip(2, 3)


def frost(image: Tensor, setting: tuple[float, float], fields: RandomFields) -> Tensor:
    """Ice on a pane, added with the published fractions.

    The published tool adds cuts of five photographs of frost, which this project may not ship. Here the ice is made
    up: feathers of crystals, denser towards the border, with the mean brightness, colour and contrast of those five
    photographs. Numbers on this corruption are therefore only roughly comparable with published ones.
    """
    own, ice = setting
    return own * image + ice * frost_pattern(fields, (image.shape[2], image.shape[3]))


def frost_pattern(fields: RandomFields, size: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) in [0, 1]: bluish white crystals, denser towards the border, of mean 0.5 to 0.8 and deviation 0.13."""
    layers = ((5, 0.30), (11, 0.28), (23, 0.24), (47, 0.18))
    texture = torch.stack([weight * _feathers(fields, size, cells) for cells, weight in layers]).sum(0)
    texture = texture + 0.12 * (_edge(size, fields.device) + 0.4 * fields.clouds(size, 4)) * texture.mean()
    texture = texture + 0.02 * fields.normal(1, *size)  # glitter
    mean, deviation = texture.mean((2, 3), keepdim=True), texture.std((2, 3), correction=0, keepdim=True)
    level = 0.5 + 0.3 * fields.uniform(1, 1, 1)
    brightness = level + 0.13 * (texture - mean) / deviation.clamp_min(1e-6)
    return (brightness * brightness.new_tensor([0.89, 1.02, 1.09]).view(1, 3, 1, 1)).clamp(0, 1)


def fog(image: Tensor, setting: tuple[float, float], fields: RandomFields) -> Tensor:
    """A plasma of clouds added, and the sum scaled back to the image's brightest value."""
    amount, decay = setting
    height, width = image.shape[2:]
    side = 1 << (max(height, width) - 1).bit_length()
    brightest = image.amax((1, 2, 3), keepdim=True)
    clouds = plasma(fields, side, decay)[..., :height, :width]
    return (image + amount * clouds) * brightest / (brightest + amount)


def plasma(fields: RandomFields, side: int, decay: float) -> Tensor:
    """Clouds by midpoint displacement (diamond and square), (B, 1, side, side), spread over [0, 1].

    side: a power of two; the cloud joins itself at opposite borders. Displacements shrink by decay^2 an octave, as the
    published tool's do.
    """
    heights = torch.zeros(len(fields.generators), side, side, device=fields.device)
    step, reach = side, 1.0
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        beside = corners + corners.roll(-1, 1)
        heights[:, half::step, half::step] = _displaced((beside + beside.roll(-1, 2)) / 4, reach, fields)
        centres, corners = heights[:, half::step, half::step], heights[:, ::step, ::step]
        upright, across = centres + centres.roll(1, 1), corners + corners.roll(-1, 2)
        heights[:, ::step, half::step] = _displaced((upright + across) / 4, reach, fields)
        across, upright = centres + centres.roll(1, 2), corners + corners.roll(-1, 1)
        heights[:, half::step, ::step] = _displaced((across + upright) / 4, reach, fields)
        step, reach = half, reach / decay**2
    low, high = heights.amin((1, 2), keepdim=True), heights.amax((1, 2), keepdim=True)
    return ((heights - low) / (high - low).clamp_min(1e-12)).unsqueeze(1)


def _displaced(means: Tensor, reach: float, fields: RandomFields) -> Tensor:
    return means + reach * (2 * fields.uniform(*means.shape[1:]) - 1)


def _feathers(fields: RandomFields, size: tuple[int, int], cells: int) -> Tensor:
    """(B, 1, H, W) in [0, 1]: sharp ridges where smooth noise crosses zero, bent by finer noise so that they branch."""
    noise, crumple = fields.clouds(size, cells), torch.cat([fields.clouds(size, 2 * cells) for _ in range(2)], 1)
    theta = torch.eye(2, 3, device=fields.device).expand(len(noise), -1, -1)
    grid = F.affine_grid(theta, list(noise.shape), align_corners=False)
    moved = grid + 0.35 / cells * crumple.permute(0, 2, 3, 1)
    bent = F.grid_sample(noise, moved, padding_mode="reflection", align_corners=False)
    return (1 - bent.abs() * 1.6).clamp(0, 1) ** 2


def _edge(size: tuple[int, int], device: torch.device) -> Tensor:
    """(1, 1, H, W): -1 in the middle of an image, 0.4 at the middles of its sides, 1 at its corners."""
    y, x = (torch.linspace(-1, 1, side, device=device) ** 2 for side in size)
    rows, columns = y.view(1, 1, -1, 1), x.view(1, 1, 1, -1)
    return 1.4 * torch.maximum(rows, columns) + 0.6 * torch.minimum(rows, columns) - 1
