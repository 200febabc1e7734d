"""RFLA as a label assigner: who trains a tiny object, and towards which value. A wrapper around Ultralytics' assigner.

Task-aligned assignment (TAL) raises the overlap of a predicted box to the sixth power. At the start of training a
predicted box is far larger than an object of a few pixels, so that its points are called positive and trained towards
1e-9: background. Here other rules apply to tiny objects; all other objects follow TAL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from methods.rfla_math import SMALLEST_SIDE, Grid, divergence, grids, nearby_points

SIZES = 64  # of images whose points are kept
PUBLISHED_FIELDS = {4: 17.5, 8: 45.5, 16: 133.5, 32: 213.5, 64: 277.5, 128: 405.5}  # px, half of ResNet-50's


@dataclass(frozen=True)
class Rules:
    """What is done to objects whose sqrt(area) is under `tiny` px.

    selection: which points train such an object: "tal", its task-aligned ones; "nearest", these and its `topk` nearest
        points that no object holds (on a one-to-one branch, only where it has none); "hierarchy", published RFLA instead.
    ranking: how its points share its target: "gaussian", by their distance; "aligned", in TAL's own order.
    target: the class target: "tal"; "floor", at least `floor`, which yields; "one".
    floor: least target of an object's best point while nothing overlaps it; it falls to 0 as the object's best TAL
        target rises to `yields`.
    topk, shrink, conflict, metric: of "hierarchy" (topk and metric of "nearest" too): points in its two stages, the
        factor on the fields between them, who wins a point that two objects want (the later in "order", or the nearer,
        "rfd"), and the distance.
    """

    tiny: float = 32.0
    selection: str = "tal"
    ranking: str = "gaussian"
    target: str = "floor"
    floor: float = 0.5
    yields: float = 0.3
    topk: tuple[int, int] = (3, 1)
    shrink: float = 0.9
    conflict: str = "rfd"
    metric: str = "kl"


MODES: dict[str, Rules] = {
    "hybrid": Rules(),
    "paper": Rules(tiny=inf, selection="hierarchy", target="one", conflict="order"),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "selection": ("tal", "nearest", "hierarchy"),
    "ranking": ("gaussian", "aligned"),
    "target": ("tal", "floor", "one"),
    "conflict": ("order", "rfd"),
    "metric": ("kl", "wd"),
}


class Assignment(NamedTuple):
    """What an assigner returns: for b images of A points each, the label (b, A), box (b, A, 4) and class targets
    (b, A, classes), whether a point is positive (b, A), and the object that it trains (b, A)."""

    labels: Tensor
    boxes: Tensor
    scores: Tensor
    positive: Tensor
    owners: Tensor


class Points(NamedTuple):
    """All feature points of an image: places (A, 2) px, sides (A,) px of their effective fields, and their levels."""

    places: Tensor
    sides: Tensor
    levels: list[Grid]

    def boxes(self, which: Tensor, scale: float = 1.0) -> Tensor:
        """Fields (..., 4) xyxy of the points with indices `which` (...)."""
        place, half = self.places[which], self.sides[which][..., None] * (scale / 2)
        return torch.cat([place - half, place + half], -1)

    @property
    def fields(self) -> Tensor:
        """Fields (A, 4) xyxy of all points."""
        half = self.sides[:, None] / 2
        return torch.cat([self.places - half, self.places + half], -1)


class RFLAssigner(nn.Module):
    """Drop-in for Ultralytics' `TaskAlignedAssigner`: the same `forward`, with RFLA's care for tiny objects.

    mode: "hybrid" keeps TAL and lifts the targets of tiny objects until their boxes are good; "paper" is RFLA
    as published: predictions are ignored, and every object gets its nearest points with target 1. `rules` replaces single
    choices of the mode. fields: stride -> side of the effective receptive field in px (default: ResNet-50's).
    Either give the assigner to wrap as `tal`, or the arguments of `TaskAlignedAssigner` (topk, num_classes, ...).
    A batch without tiny objects gets TAL's assignment, bit for bit. Raises ValueError for unknown rules or strides.
    """

    def __init__(
        self,
        *args: Any,
        mode: str = "hybrid",
        rules: Mapping[str, Any] | None = None,
        fields: Mapping[int, float] | None = None,
        tal: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if tal is None:
            from models.detector import TaskAlignedAssigner

            tal = TaskAlignedAssigner(*args, **kwargs)
        self.tal = tal
        self.rules = make_rules(mode, rules or {})
        self.strides = [int(stride) for stride in tal.stride]
        self.fields = dict(fields or PUBLISHED_FIELDS)
        self.known: dict[int, Points] = {}  # by the address of their places
        if missing := [stride for stride in self.strides if stride not in self.fields]:
            raise ValueError(f"no receptive field for stride {missing}; give `fields` one for each of {self.strides}")

    @torch.no_grad()
    def forward(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        **extra: Tensor,
    ) -> Assignment:
        """Assign b images of A points and at most n objects.

        pd_scores (b, A, classes) after the sigmoid, pd_bboxes (b, A, 4), anc_points (A, 2), gt_labels (b, n, 1),
        gt_bboxes (b, n, 4), mask_gt (b, n, 1) 1 where there is an object; boxes xyxy, all in px.
        """
        area = (gt_bboxes[..., 2:] - gt_bboxes[..., :2]).clamp_min(0).prod(-1)
        tiny = mask_gt[..., 0].bool() & (area > 0) & (area < self.rules.tiny**2)  # (b, n)
        by_hierarchy = self.rules.selection == "hierarchy"
        mask = mask_gt * ~tiny[..., None] if by_hierarchy else mask_gt
        if by_hierarchy and _may_hold(tiny) and not _may_hold(mask):
            assigned = _no_assignment(pd_scores, pd_bboxes)
        else:
            assigned = Assignment(*self.tal(pd_scores, pd_bboxes, anc_points, gt_labels, gt_bboxes, mask, **extra))
        if not gt_bboxes.shape[1] or not _may_hold(tiny):
            return assigned
        points = self._points(anc_points)
        if self.rules.selection != "tal":
            takers = tiny
            if not by_hierarchy and self.tal.topk2 == 1:  # those that have no point yet
                counts = torch.zeros(tiny.shape, dtype=torch.long, device=tiny.device)
                takers = tiny & (counts.scatter_add(1, assigned.owners.long(), assigned.positive.long()) == 0)
            held = torch.zeros_like(assigned.positive) if by_hierarchy else assigned.positive
            owners = self._hierarchy(gt_bboxes, takers, held, points)  # (b, A), 1-based
            assigned = _reassigned(assigned, owners, gt_labels, gt_bboxes)
        return self._with_targets(assigned, gt_bboxes, tiny, points)

    def _points(self, places: Tensor) -> Points:
        """The levels of the points (A, 2), which the loss keeps for each image size: looked at once."""
        known = self.known.get(id(places))
        if known is None or known.places is not places:
            if len(self.known) >= SIZES:
                self.known.clear()
            known = self.known[id(places)] = self._levels(places)
        return known

    def _levels(self, places: Tensor) -> Points:
        """Told from the last point: it lies half a coarsest stride inside the far corner."""
        width, height = (places[-1] + self.strides[-1] / 2).round().long().tolist()
        levels = grids((height, width), self.strides)
        sides = [places.new_full((level.rows * level.columns,), self.fields[level.stride]) for level in levels]
        points = Points(places, torch.cat(sides), levels)
        if len(points.sides) != len(places):
            image = f"{width}x{height} px"
            raise ValueError(f"{len(places)} points are not the grids of strides {self.strides} over {image}")
        return points

    def _hierarchy(self, boxes: Tensor, takers: Tensor, held: Tensor, points: Points) -> Tensor:
        """(b, A) which of the `takers` (b, n) takes each point that is not `held` (b, A), by RFLA's stages; 1-based."""
        rules, one_to_one = self.rules, self.tal.topk2 == 1
        topk = [min(k, self.tal.topk2) for k in rules.topk]
        boxes = _at_least_a_pixel(boxes)
        reach = 1 if one_to_one else max(topk) // 2 + 1
        near = nearby_points((boxes[..., :2] + boxes[..., 2:]) / 2, points.levels, reach)  # (b, n, K)
        owners = torch.zeros(held.shape, dtype=torch.long, device=boxes.device)
        allowed = takers[..., None] & ~held.gather(1, near.flatten(1)).view_as(near)  # (b, n, K)
        for k, scale in zip(topk, (1.0, rules.shrink), strict=True):
            rfd = 1 / (1 + divergence(boxes[:, :, None], points.boxes(near, scale), rules.metric))  # (b, n, K)
            taken = _take(rfd.masked_fill(~allowed, 0), near, k, rules.conflict, owners.shape[1])
            owners = torch.where(owners > 0, owners, taken)
        return owners

    def _with_targets(self, assigned: Assignment, boxes: Tensor, tiny: Tensor, points: Points) -> Assignment:
        """The class targets of all positive points of tiny objects, by the rules."""
        rules, owners = self.rules, assigned.owners.long()
        at = assigned.positive & tiny.gather(1, owners)  # (b, A)
        label = assigned.labels.long()[..., None]  # (b, A, 1)
        was = assigned.scores.gather(2, label)[..., 0]  # (b, A)
        aligned = was.float()
        best = _per_object(aligned, at, owners, tiny.shape, "amax")
        share = aligned / best.clamp_min(torch.finfo(aligned.dtype).tiny)
        if rules.ranking == "gaussian":
            box = _at_least_a_pixel(boxes).gather(1, owners[..., None].expand(-1, -1, 4))  # (b, A, 4)
            far = divergence(box, points.fields, rules.metric)
            share = torch.exp(_per_object(far, at, owners, tiny.shape, "amin") - far)
        share = torch.where((best == 0) & (rules.ranking == "aligned"), torch.ones_like(share), share)
        lifted = {
            "tal": aligned,
            "floor": torch.maximum(aligned, rules.floor * (1 - best / rules.yields).clamp_min(0) * share),
            "one": torch.ones_like(aligned),
        }[rules.target]
        scores = assigned.scores.scatter(2, label, torch.where(at, lifted.to(was.dtype), was)[..., None])
        return assigned._replace(scores=scores)


def make_rules(mode: str, changes: Mapping[str, Any]) -> Rules:
    """The rules of a mode, some replaced. Raises ValueError for what is unknown."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    for name, known in CHOICES.items():
        if changes.get(name, known[0]) not in known:
            raise ValueError(f"{name} {changes[name]!r}: expected one of {', '.join(known)}")
    return replace(MODES[mode], **changes)


def _take(rfd: Tensor, near: Tensor, k: int, conflict: str, points: int) -> Tensor:
    """One stage over candidate points: rfd, near (b, n, K) nearness and indices. Returns (b, A) objects, 1-based."""
    flat = near.flatten(1)  # (b, n * K)
    least = rfd.topk(min(k, rfd.shape[-1]), -1).values[..., -1:]
    taken = (rfd >= least) & (rfd > 0)  # all ties with the k-th
    if conflict == "rfd":
        best = rfd.new_zeros(len(rfd), points).scatter_reduce(1, flat, (rfd * taken).flatten(1), "amax")
        taken &= rfd == best.gather(1, flat).view_as(rfd)
    order = torch.arange(1, rfd.shape[1] + 1, device=rfd.device)[:, None] * taken  # (b, n, K)
    return order.new_zeros(len(rfd), points).scatter_reduce(1, flat, order.flatten(1), "amax")


def _no_assignment(scores: Tensor, boxes: Tensor) -> Assignment:
    """The assignment of images without objects."""
    none = torch.zeros(scores.shape[:2], dtype=torch.long, device=scores.device)
    return Assignment(none, torch.zeros_like(boxes), torch.zeros_like(scores), none.bool(), none.clone())


def _reassigned(assigned: Assignment, owners: Tensor, labels: Tensor, boxes: Tensor) -> Assignment:
    """The assignment after the points with an owner (b, A), 1-based, went to it; their class targets begin at 0."""
    new = owners > 0
    owner = (owners - 1).clamp_min(0)
    label = labels[..., 0].long().clamp_min(0).gather(1, owner)
    box = boxes.gather(1, owner[..., None].expand(-1, -1, 4)).to(assigned.boxes.dtype)
    return Assignment(
        torch.where(new, label, assigned.labels.long()),
        torch.where(new[..., None], box, assigned.boxes),
        assigned.scores * ~new[..., None],
        assigned.positive | new,
        torch.where(new, owner, assigned.owners.long()),
    )


def _may_hold(mask: Tensor) -> bool:
    """Whether some entry is set, where the host can tell without waiting for a device; else True."""
    return mask.device.type != "cpu" or bool(mask.any())


def _per_object(values: Tensor, at: Tensor, owners: Tensor, shape: Sequence[int], reduce: str) -> Tensor:
    """(b, A) the least or largest of `values` (b, A) among the points `at` (b, A) of the same object; shape: (b, n)."""
    nothing = inf if reduce == "amin" else -inf
    start = values.new_full(tuple(shape), nothing)
    return start.scatter_reduce(1, owners, values.masked_fill(~at, nothing), reduce).gather(1, owners)


def _at_least_a_pixel(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) with sides of at least a pixel about the same centre, in float32; NaN becomes 0."""
    boxes = boxes.float().nan_to_num()
    centre, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    half = half.clamp_min(SMALLEST_SIDE / 2)
    return torch.cat([centre - half, centre + half], -1)
