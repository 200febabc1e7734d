"""The mathematics of RFLA: objects and feature points as Gaussians, and who gets whom (Xu et al., ECCV 2022).

A feature point is a Gaussian at its place with half its effective receptive field as standard deviation, an object one
at its centre with half its sides. Their distance is never infinite, so that every point competes for every object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

METRICS = ("kl", "wd")
SMALLEST_SIDE = 1.0  # px: a thinner object counts as this wide, so that no distance is infinite


def receptive_field_distance(gt: Tensor, rf: Tensor, metric: str = "kl") -> Tensor:
    """How near Gaussian receptive fields are to Gaussian objects: 1 for the same Gaussian, towards 0 far away.

    gt: (n, 4) objects, rf: (N, 4) fields, both xyxy in pixels. metric: "kl", 1 / (1 + Kullback-Leibler divergence), or
    "wd", 1 / (1 + squared 2-Wasserstein distance). Returns (n, N) in (0, 1], at least in float32. Raises ValueError for
    another metric. Source: RFLA, section 3.2; its constants of 1e-6 are left out.

    >>> box = torch.tensor([[100.0, 100, 116, 116]])
    >>> receptive_field_distance(box, box).item()
    1.0
    """
    return 1 / (1 + divergence(gt[:, None], rf[None], metric))


def divergence(gt: Tensor, rf: Tensor, metric: str = "kl") -> Tensor:
    """The divergence behind `receptive_field_distance`: gt and rf (..., 4) xyxy that broadcast; returns (...) >= 0."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
    gt, rf = _at_least_float32(gt), _at_least_float32(rf)
    offset = (gt[..., :2] + gt[..., 2:] - rf[..., :2] - rf[..., 2:]) / 2  # (..., 2) between centres
    side, field = gt[..., 2:] - gt[..., :2], rf[..., 2:] - rf[..., :2]
    if metric == "wd":
        return (offset.square() + (side - field).square() / 4).sum(-1)
    ratio = (field / side).square()
    terms = ratio + 4 * (offset / side).square() - ratio.log() - 1
    return terms.sum(-1).clamp_min(0) / 2


def hierarchical_assign(
    rfd: Tensor, rfd_shrunk: Tensor, topk: tuple[int, int] = (3, 1), ignore_above: float | None = 0.8
) -> Tensor:
    """Give every object its nearest points, then another try to objects by shrunk fields.

    rfd, rfd_shrunk: (n, N) nearness before and after the fields shrink; topk: points per object takes in each stage, all
    points tied with the last one included. Inside a stage the later object overwrites, the first stage beats the second.
    Points that nobody takes but whose shrunk nearness reaches `ignore_above` are ignored (None: never).
    Returns (N,) int64: 1-based object, 0 background, -1 ignored. Source: RFLA, section 3.3.

    >>> hierarchical_assign(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[0.9, 0.5, 0.1]]), (2, 1))
    tensor([ 1,  1,  0])
    """
    if rfd.shape[0] == 0:
        return torch.zeros(rfd.shape[1], dtype=torch.long, device=rfd.device)
    first, second = (_take(near, k) for near, k in zip((rfd, rfd_shrunk), topk, strict=True))
    background = torch.zeros_like(first)
    if ignore_above is not None:
        background = background.masked_fill(rfd_shrunk.amax(0) >= ignore_above, -1)
    return torch.where(first > 0, first, torch.where(second > 0, second, background))


def _take(near: Tensor, k: int) -> Tensor:
    """One stage: (n, N) nearness -> (N,) the last object that takes each point, 1-based, or 0."""
    if k == 0:
        return torch.zeros(near.shape[1], dtype=torch.long, device=near.device)
    least = near.topk(min(k, near.shape[1]), dim=1).values[:, -1:]  # (n, 1) the k-th value
    order = torch.arange(1, len(near) + 1, device=near.device)[:, None]
    return torch.where(near >= least, order, 0).amax(0)


class Grid(NamedTuple):
    """The cells of one level among all points: stride in px, cells a column and a row, and the first one's index."""

    stride: int
    rows: int
    columns: int
    start: int


def grids(size: tuple[int, int], strides: Sequence[int]) -> list[Grid]:
    """Levels of an image of `size` = (height, width) px, in the order of the points: finest first, row by row."""
    found, start = [], 0
    for stride in strides:
        rows, columns = size[0] // stride, size[1] // stride
        found.append(Grid(stride, rows, columns, start))
        start += rows * columns
    return found


def nearby_points(centres: Tensor, levels: Sequence[Grid], reach: int) -> Tensor:
    """Indices of the cells around each object's centre, on every level, `reach` cells to each side.

    centres: (..., 2) px. Returns (..., K), K = sum over levels of up to (2 * reach + 1)^2. Windows are moved inside the
    grid, so that no cell comes twice. Inside a level the nearest points of an object are among them, since all fields of
    a level are alike.
    """
    windows = []  # (..., k) of each level
    for level in levels:
        column = _span(centres[..., 0], level.stride, level.columns, reach)
        row = _span(centres[..., 1], level.stride, level.rows, reach)
        windows.append((level.start + row[..., :, None] * level.columns + column[..., None, :]).flatten(-2))
    return torch.cat(windows, -1)


def _span(centre: Tensor, stride: int, cells: int, reach: int) -> Tensor:
    """(..., up to 2 * reach + 1) consecutive cells along one axis, around the cell that holds `centre`, inside the grid."""
    width = min(2 * reach + 1, cells)
    first = (centre / stride).floor().long().sub(reach).clamp(0, cells - width)
    return first[..., None] + torch.arange(width, device=centre.device)


def boundaries(fields: Mapping[int, float], metric: str = "kl") -> dict[tuple[int, int], float]:
    """Between neighbouring strides, the side in px of a centred square object that is equally near to both fields.

    Source: equal divergences; (a + b) / 2 for "wd", sqrt((b^2 - a^2) / ln(b^2 / a^2)) for "kl".

    >>> {pair: round(side, 1) for pair, side in boundaries({8: 45.5, 16: 133.5}).items()}
    {(8, 16): 85.5}
    """
    sides = {}
    for (s, a), (t, b) in pairwise(sorted(fields.items())):
        sides[s, t] = (a + b) / 2 if metric == "wd" or a == b else sqrt((b * b - a * a) / log(b * b / (a * a)))
    return sides


def _at_least_float32(values: Tensor) -> Tensor:
    """Half precision cannot hold the ratio of a large field to an object of a pixel."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
