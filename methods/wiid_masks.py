"""What WiiD masks in both images of a pair: cells on or beside the target, squares, what does not stand out.

What is drawn depends on the seeds alone, and is drawn on the CPU; `spread` and `inside` make pixels of it on the device.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from methods.base import Batch, image_size

SIDES = (32, 63)  # px of a square in an image of SIDE_OF px
SIDE_OF = 224
COVERED = (0.5, 0.6)  # what the squares would cover if none overlapped
SALIENCY = "saliency"  # in place of a mask: it follows from the image, on its device
MOVING = 0.02  # fraction of a cell that must move for the cell to count as foreground


def occlusion_cells(
    height: int,
    width: int,
    boxes: np.ndarray,
    grid: int = 5,
    front_ratio: float = 0.0,
    back_ratio: float = 0.0,
    rng: random.Random | None = None,
) -> list[tuple[int, int]]:
    """Choose the grid cells to mask: some that touch an object, then some that do not.

    boxes: (n, 4) xyxy in pixels. Cells are `width // grid` by `height // grid`; the rest at the right and bottom belongs
    to no cell. A cell is on an object when they overlap by more than an edge. Returns (column, row) pairs.
    Source: WiiD's region masking; front_ratio is its erasing rate, back_ratio one minus its patched-back fraction.
    """
    cell_w, cell_h = width // grid, height // grid
    column, row = np.indices((grid, grid)).reshape(2, -1)  # column first
    left, top = (column * cell_w)[:, None], (row * cell_h)[:, None]  # (grid*grid, 1)
    x1, y1, x2, y2 = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T
    touching = (x1 < left + cell_w) & (x2 > left) & (y1 < top + cell_h) & (y2 > top)  # (grid*grid, n)
    on_object = np.any(touching, axis=1).tolist()
    cells = list(zip(column.tolist(), row.tolist(), strict=True))
    front, back = ([cell for cell, hit in zip(cells, on_object, strict=True) if hit is side] for side in (True, False))
    rng = rng or random.Random(0)
    return rng.sample(front, int(front_ratio * len(front))) + rng.sample(back, int(back_ratio * len(back)))


def spectral_saliency(image: Tensor, size: int = 64) -> Tensor:
    """Where an image departs from the smooth log spectrum that images share.

    image: (B, 3, H, W) in [0, 1]. Returns (B, 1, H, W) >= 0.
    Source: Hou and Zhang, Saliency Detection: A Spectral Residual Approach (CVPR 2007).
    """
    grey = F.interpolate(image.float().mean(1, keepdim=True), (size, size), mode="bilinear", antialias=True)
    spectrum = torch.fft.fft2(grey)  # (B, 1, size, size)
    log_amplitude = spectrum.abs().clamp_min(1e-8).log()
    smooth = F.avg_pool2d(F.pad(log_amplitude, (1, 1, 1, 1), mode="circular"), 3, 1)
    residual = torch.polar((log_amplitude - smooth).exp(), spectrum.angle())
    saliency = torch.fft.ifft2(residual).abs().square()
    saliency = F.avg_pool2d(saliency, 5, 1, 2, count_include_pad=False)
    return F.interpolate(saliency, image.shape[2:], mode="bilinear")


def pixel_boxes(batch: Batch) -> list[np.ndarray]:
    """Boxes of a batch as one (n, 4) xyxy array in pixels per image."""
    height, width = image_size(batch)
    centre, size = batch["bboxes"].cpu().float().split(2, 1)  # (n, 2) each, normalised
    scale = torch.tensor([width, height, width, height])
    corners = (torch.cat([centre - size / 2, centre + size / 2], 1) * scale).numpy()
    owner = batch["batch_idx"].cpu().numpy()
    return [corners[owner == i] for i in range(len(batch["img"]))]


def cell_grid(cells: Sequence[Sequence[tuple[int, int]]], grid: int) -> Tensor:
    """Chosen cells of each image as a (B, 1, grid, grid) boolean mask on the CPU."""
    chosen = torch.zeros(len(cells), grid, grid, dtype=torch.bool)
    for image, pairs in enumerate(cells):
        for column, row in pairs:
            chosen[image, row, column] = True
    return chosen[:, None]


def spread(cells: Tensor, height: int, width: int) -> Tensor:
    """One value per cell to one value per pixel: (B, C, grid, grid) to (B, C, H, W), zeros in the remainder."""
    grid = cells.shape[-1]
    pixels = cells.repeat_interleave(height // grid, 2).repeat_interleave(width // grid, 3)
    return F.pad(pixels, (0, width - pixels.shape[3], 0, height - pixels.shape[2]))


def moving_cells(moving: np.ndarray, grid: int) -> np.ndarray:
    """Boxes (n, 4) xyxy px of the cells in which something moves; cells are H // grid by W // grid px."""
    high, wide = (side // grid for side in moving.shape)
    moving_fraction = moving[: high * grid, : wide * grid].reshape(grid, high, grid, wide).mean((1, 3))  # (grid, grid)
    rows, columns = np.nonzero(moving_fraction >= MOVING)
    return np.stack([columns * wide, rows * high, (columns + 1) * wide, (rows + 1) * high], 1)


def square_count(size: int, side: int, covered: float) -> int:
    """How many squares of `side` px go on an image of `size` px: as many as would cover that fraction of it side by side.

    >>> square_count(224, 32, 0.5), square_count(224, 63, 0.6)
    (24, 7)
    """
    return int(size**2 * covered / side**2)


def squares(seeds: Sequence[int], size: int, side: int, covered: float) -> Tensor:
    """Zeros in squares at random places, which may overlap, ones elsewhere: (B, 1, size, size). seeds: one per image."""
    keep = torch.ones(len(seeds), 1, size, size)
    for image, seed in enumerate(seeds):
        corners = np.random.default_rng(int(seed)).integers(0, size - side, (square_count(size, side, covered), 2))
        for top, left in corners.tolist():
            keep[image, :, top : top + side, left : left + side] = 0
    return keep


def salient(image: Tensor, quantile: float) -> Tensor:
    """Where an image's spectral-residual saliency is at or above that quantile of itself: (B, 1, H, W) bool.

    image: (B, 3, H, W) in [0, 1]; quantile: the fraction of pixels that go, in [0, 1].
    """
    saliency = spectral_saliency(image)
    threshold = saliency.flatten(1).quantile(quantile, dim=1)  # (B,)
    return saliency >= threshold[:, None, None, None]


def squares_or_saliency(
    size: int, seeds: Sequence[int], draw: Sequence[int], odds: tuple[float, float]
) -> Tensor | str | None:
    """What a batch of images of `size` px is masked with: squares, as pixels to keep (B, 1, size, size) bool; SALIENCY; None.

    odds: of squares and of saliency, which decide by `draw` alone: whole numbers that belong to the batch.
    """
    rng = np.random.default_rng(list(draw))
    kind = rng.random()
    if kind < odds[0]:
        side = max(1, round(int(rng.integers(SIDES[0], SIDES[1] + 1)) * size / SIDE_OF))
        return squares(seeds, size, side, float(rng.choice(COVERED))).bool()
    return SALIENCY if kind < sum(odds) else None


def whole_boxes(batch: Batch) -> Tensor:
    """Boxes of a batch in whole pixels, (B, most, 4) int64, empty ones where there are fewer; all of an image without objects."""
    height, width = image_size(batch)
    everything = np.array([[0, 0, width, height]])
    boxes = [found.round().astype(int).clip(0) if len(found) else everything for found in pixel_boxes(batch)]
    return pad_sequence([torch.from_numpy(found) for found in boxes], batch_first=True)


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixels inside some box of an image, (B, 1, height, width) bool. boxes: (B, n, 4) px, as `whole_boxes` gives them."""
    across, down = (torch.arange(side, device=boxes.device) for side in (width, height))
    x1, y1, x2, y2 = boxes[..., None].unbind(2)  # (B, n, 1) each
    columns, rows = (across >= x1) & (across < x2), (down >= y1) & (down < y2)  # (B, n, W), (B, n, H)
    return (rows.float().transpose(1, 2) @ columns.float() > 0)[:, None]


def cells_beside(batch: Batch, grid: int, front_ratio: float, back_ratio: float) -> Tensor:
    """The cells to mask, (B, 1, grid, grid) bool on the CPU: some of those on the target, some of the others.

    The target is what the boxes hold; of clips, what moves (`motion`: (B, H, W) bool).
    """
    height, width = image_size(batch)
    if "motion" in batch:
        targets = [moving_cells(moving, grid) for moving in batch["motion"].cpu().numpy()]
    else:
        targets = pixel_boxes(batch)
    cells = [
        occlusion_cells(height, width, boxes, grid, front_ratio, back_ratio, random.Random(int(seed)))
        for boxes, seed in zip(targets, batch["seed"], strict=True)
    ]
    return cell_grid(cells, grid)
