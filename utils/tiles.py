"""Large images as tiles: the windows to look through, and one list of boxes from what each of them shows.

Looking at overlapping tiles: Akyon et al., Slicing Aided Hyper Inference (ICIP 2022, arXiv 2202.06934). How the boxes
are put together is our own; docs/slicing.md tells why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MERGES = ("nmm", "nms")
_EDGE = 2.0  # px: a box that ends so close to an inner border of its window is cut ...
_EDGE_FRACTION = 0.05  # ... or within this fraction of its own side: boxes of cut objects often end short of the border
_REACH = 4.0  # px that cut boxes and windows are continued over inner borders, so that touching ones overlap too
_TRUST = 0.25  # a box with less than this fraction of another's confidence is no evidence against it
_ROUNDING = 1e-3  # by which equal agreements may differ


def tile_windows(height: int, width: int, size: int, overlap: float = 0.2) -> NDArray[np.int64]:
    """Windows of size x size px that cover an image, (n, 4) x1 y1 x2 y2, row by row.

    Neighbours share at least `overlap`, in [0, 1), of a side; the last of a row or column is moved back to the border.
    An image's side below `size` gives windows of that side. Raises ValueError for other values.

    >>> tile_windows(100, 250, 100, 0.2).tolist()
    [[0, 0, 100, 100], [80, 0, 180, 100], [150, 0, 250, 100]]
    """
    if min(height, width, size) < 1 or not 0 <= overlap < 1:
        raise ValueError(f"expected sides of at least 1 and an overlap in [0, 1), got {height, width, size, overlap}")
    step = max(1, size - math.ceil(size * overlap - 1e-9))  # 0.2 * 640 may come out above 128
    lefts, tops = ([*range(0, side - size, step), max(side - size, 0)] for side in (width, height))
    corners = np.array([(left, top) for top in tops for left in lefts], np.int64)  # (n, 2)
    return np.concatenate([corners, np.minimum(corners + size, (width, height))], 1)


def merge_tiles(
    boxes: Sequence[Tensor],
    windows: NDArray[np.int64],
    shape: tuple[int, int],
    *,
    how: str = "nmm",
    threshold: float = 0.5,
    max_det: int = 1000,
    agnostic: bool = False,
) -> Tensor:
    """What the windows show of an image -> its objects, each once, as (m, 6) x1 y1 x2 y2 px, confidence, class.

    boxes: a (k, 6) of that form for each window, in the window's own pixels. windows: (n, 4) px of the image, which
    is `shape` (height, width); one may be the whole image. how: "nmm" joins the pieces of an object that no window
    shows whole, "nms" keeps the most confident of them. threshold: in (0, 1], how much boxes of one object agree. max_det: as
    many of the most confident are returned. agnostic: boxes of different classes may be one object. Boxes of one window are
    never compared: the detector has done that. Raises ValueError where boxes and windows differ in number.
    """
    if len(boxes) != len(windows) or how not in MERGES:
        raise ValueError(f"expected boxes for each of {len(windows)} windows, got {len(boxes)}; how is {how!r}")
    seen = _place(boxes, windows, shape)
    if len(windows) < 2 or not len(seen.boxes):
        return seen.boxes[:max_det]
    pairs = _pairs(seen, agnostic)
    gone = _repeated(seen, pairs, threshold) | _covered(seen, pairs, threshold)
    leader = _groups(seen, pairs, gone, threshold)
    whole = _unions(seen.boxes, leader)
    gone |= _leftover(seen, pairs, leader, whole, threshold)
    kept = ~gone & (leader == torch.arange(len(leader), device=leader.device))
    return (whole if how == "nmm" else seen.boxes)[kept][:max_det]


@dataclass(frozen=True)
class _Detections:
    """All boxes, by descending confidence. boxes: (n, 6) in px of the image; tile: (n,) number of the window.

    cut: (n,) whether the object may go on beyond the window. reach: (n, 4) the boxes, cut ones continued over the
    border. windows: (w, 4), continued likewise.
    """

    boxes: Tensor
    tile: Tensor
    cut: Tensor
    reach: Tensor
    windows: Tensor


@dataclass(frozen=True)
class _Pairs:
    """Boxes i and j, i the one of higher confidence, of different windows that meet. inner: (p,) px^2 that they share.

    agreement: IoU in the area that both windows show; 0 where one is hardly sure beside the other.
    """

    i: Tensor
    j: Tensor
    inner: Tensor
    agreement: Tensor

    def __getitem__(self, rows: Tensor) -> _Pairs:
        return _Pairs(self.i[rows], self.j[rows], self.inner[rows], self.agreement[rows])


def _place(boxes: Sequence[Tensor], windows: NDArray[np.int64], shape: tuple[int, int]) -> _Detections:
    """Move each window's boxes to where the window is, and see which are cut."""
    found = torch.cat([part.reshape(-1, 6) for part in boxes]) if boxes else torch.zeros(0, 6)
    counts = torch.tensor([len(part) for part in boxes], device=found.device, dtype=torch.long)
    tile = torch.arange(len(boxes), device=found.device).repeat_interleave(counts)
    places = torch.as_tensor(windows, device=found.device).to(found.dtype)  # (w, 4)
    moved = torch.cat([found[:, :4] + places[tile][:, [0, 1, 0, 1]], found[:, 4:]], 1)
    order = found[:, 4].argsort(descending=True, stable=True)
    moved, tile = moved[order], tile[order]

    outward = places.new_tensor([-1.0, -1.0, 1.0, 1.0])
    ends = places.new_tensor([0, 0, shape[1], shape[0]])
    inner = (places * outward < ends * outward)[tile]  # (n, 4) whether the image goes on there
    sides = (moved[:, 2:4] - moved[:, :2]).repeat(1, 2)  # (n, 4) width, height, width, height
    near = (places[tile] - moved[:, :4]) * outward <= (sides * _EDGE_FRACTION).clamp(min=_EDGE)
    cut = inner & near
    wider = places + _REACH * outward
    return _Detections(moved, tile, cut.any(1), torch.where(cut, wider[tile], moved[:, :4]), wider)


def _pairs(seen: _Detections, agnostic: bool) -> _Pairs:
    """All pairs of different windows that meet, of one class unless `agnostic`."""
    hosts, guests, window = _in_other_windows(seen)
    group = window + len(seen.windows) * (seen.boxes[:, 5] * (not agnostic)).long()[torch.cat([hosts, guests])]
    a, b = _overlapping(seen.reach, torch.cat([hosts, guests]), group, len(hosts))
    i, j = torch.minimum(a, b), torch.maximum(a, b)
    of_i = _intersection(seen.reach[i], seen.windows[seen.tile[j]])
    of_j = _intersection(seen.reach[j], seen.windows[seen.tile[i]])
    inner = _area(_intersection(of_i, of_j))
    trusted = seen.boxes[j, 4] >= _TRUST * seen.boxes[i, 4]
    agreement = inner / (_area(of_i) + _area(of_j) - inner).clamp(min=1e-9) * trusted
    return _Pairs(i, j, _area(_intersection(seen.boxes[i, :4], seen.boxes[j, :4])), agreement)


def _in_other_windows(seen: _Detections) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (h,) that an earlier window shows too, boxes (g,) once for each later window that shows them too, and

    the window (h + g,) where each is looked at: its own, or that later one.
    """
    box, window = seen.reach[:, None], seen.windows[None]  # (n, 1, 4), (1, w, 4)
    shown = ((box[..., :2] < window[..., 2:]) & (window[..., :2] < box[..., 2:])).all(2)  # (n, w)
    number = torch.arange(len(seen.windows), device=box.device)
    hosts = (shown & (number < seen.tile[:, None])).any(1).nonzero()[:, 0]
    guests, later = (shown & (number > seen.tile[:, None])).nonzero(as_tuple=True)
    return hosts, guests, torch.cat([seen.tile[hosts], later])


def _overlapping(corners: Tensor, boxes: Tensor, group: Tensor, hosts: int) -> tuple[Tensor, Tensor]:
    """Indices (p,), (p,) into corners (n, 4) of each host and guest of one group that overlap.

    boxes: (h + g,) indices into corners, the `hosts` hosts first; group: (h + g,). They are laid out along x, group
    after group; each then meets those that begin before it ends.
    """
    x1, top, x2, bottom = corners[boxes].unbind(1)
    shift = group.double() * float(corners[:, 2].max() - corners[:, 0].min() + 1)
    left, order = (x1 + shift).sort()
    rank = torch.arange(len(order), device=order.device)
    counts = (torch.searchsorted(left, (x2 + shift)[order]) - rank - 1).clamp(min=0)  # (h + g,) later ones it meets
    first = rank.repeat_interleave(counts)
    before = counts.cumsum(0) - counts
    second = first + 1 + torch.arange(len(first), device=order.device) - before[first]
    a, b = order[first], order[second]
    meet = ((a < hosts) != (b < hosts)) & (top[a] < bottom[b]) & (top[b] < bottom[a])
    return boxes[a[meet]], boxes[b[meet]]


def _mutual(seen: _Detections, pairs: _Pairs) -> Tensor:
    """(p,) whether each of the two agrees with nothing in the other's window better than with the other."""
    tiles = len(seen.windows)
    keys = pairs.i * tiles + seen.tile[pairs.j], pairs.j * tiles + seen.tile[pairs.i]
    best = pairs.agreement.new_zeros(len(seen.tile) * tiles)
    for key in keys:
        best = best.scatter_reduce(0, key, pairs.agreement, "amax")
    limit = torch.maximum(best[keys[0]], best[keys[1]]) - _ROUNDING
    return (pairs.agreement > 0) & (pairs.agreement >= limit)


def _repeated(seen: _Detections, pairs: _Pairs, threshold: float) -> Tensor:
    """(n,) whole boxes that a whole box of higher confidence shows too: by IoU, or by IoS where each is the other's best match.

    IoS (intersection over the smaller area) forgives a pixel's difference of a tiny box, where IoU does not; alone it
    would take a small object inside a large one for its part.
    """
    areas = _area(seen.boxes)
    small, sums = torch.minimum(areas[pairs.i], areas[pairs.j]), areas[pairs.i] + areas[pairs.j]
    alike = pairs.inner >= threshold * (sums - pairs.inner)
    alike |= (pairs.inner >= threshold * small) & _mutual(seen, pairs)
    return _marked(seen, pairs.j[alike & ~seen.cut[pairs.i] & ~seen.cut[pairs.j]])


def _covered(seen: _Detections, pairs: _Pairs, threshold: float) -> Tensor:
    """(n,) cut boxes most of which lie in a whole box of another window."""
    pairs = pairs[seen.cut[pairs.i] != seen.cut[pairs.j]]
    first_is_cut = seen.cut[pairs.i]
    piece = torch.where(first_is_cut, pairs.i, pairs.j)
    return _marked(seen, piece[_covers(seen, pairs, piece, seen.boxes, threshold)])


def _covers(seen: _Detections, pairs: _Pairs, piece: Tensor, objects: Tensor, threshold: float) -> Tensor:
    """(p,) whether a pair's other member, as the box that `objects` has of it, covers the piece and is as good as sure.

    piece: (p,) the member of each pair that may be a part of the other.
    """
    other = pairs.i + pairs.j - piece
    wider = objects[other, :4] + _EDGE * objects.new_tensor([-1.0, -1.0, 1.0, 1.0])  # a thin piece may lie just outside
    inner = _area(_intersection(seen.boxes[piece, :4], wider))
    enough = inner >= threshold * _area(seen.boxes[piece])
    return enough & (seen.boxes[other, 4] >= _TRUST * seen.boxes[piece, 4])


def _groups(seen: _Detections, pairs: _Pairs, gone: Tensor, threshold: float) -> Tensor:
    """(n,) of each box the most confident box that shows a piece of the same object: itself, unless both are cut and agree."""
    left = seen.cut & ~gone
    pairs = pairs[left[pairs.i] & left[pairs.j]]
    pairs = pairs[_mutual(seen, pairs) & (pairs.agreement >= threshold)]
    leader = torch.arange(len(left), device=left.device)
    while True:  # the smallest index of a group goes from neighbour to neighbour
        after = leader.scatter_reduce(0, pairs.i, leader[pairs.j], "amin")
        after = after.scatter_reduce(0, pairs.j, after[pairs.i], "amin")
        if torch.equal(after, leader):
            return leader
        leader = after


def _unions(boxes: Tensor, leader: Tensor) -> Tensor:
    """(n, 6): the box around all of its group in each leader's row."""
    index = leader[:, None].expand(-1, 2)
    low = boxes[:, :2].scatter_reduce(0, index, boxes[:, :2], "amin")
    high = boxes[:, 2:4].scatter_reduce(0, index, boxes[:, 2:4], "amax")
    return torch.cat([low, high, boxes[:, 4:]], 1)


def _leftover(seen: _Detections, pairs: _Pairs, leader: Tensor, whole: Tensor, threshold: float) -> Tensor:
    """(n,) cut boxes without a group that lie in what a group of other windows is joined to."""
    grouped = torch.bincount(leader, minlength=len(leader))[leader] > 1
    pairs = pairs[(grouped[pairs.i] != grouped[pairs.j]) & seen.cut[pairs.i] & seen.cut[pairs.j]]
    piece = torch.where(grouped[pairs.i], pairs.j, pairs.i)
    return _marked(seen, piece[_covers(seen, pairs, piece, whole[leader], threshold)])


def _marked(seen: _Detections, index: Tensor) -> Tensor:
    """(n,) bool: True at the index."""
    marks = torch.zeros_like(seen.cut)
    marks[index] = True
    return marks


def _intersection(a: Tensor, b: Tensor) -> Tensor:
    """(p, 4) the box that two boxes share; without one, its far corner lies before its near one."""
    return torch.cat([torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:4], b[:, 2:4])], 1)


def _area(boxes: Tensor) -> Tensor:
    """(p,) px^2; 0 for a box without inside."""
    return (boxes[:, 2:4] - boxes[:, :2]).clamp(min=0).prod(1)
