"""The assigner: published RFLA over grids, and the hybrid that lifts the targets of tiny objects until boxes are good."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.rfla import RFLAssigner
from methods.rfla_assigner import CHOICES, PUBLISHED_FIELDS, Assignment, make_rules
from methods.rfla_math import hierarchical_assign, receptive_field_distance

TAL: dict[str, Any] = {"topk": 10, "num_classes": 3, "alpha": 0.5, "beta": 6.0}


def points(size: tuple[int, int], strides: list[int]) -> tuple[Tensor, Tensor]:
    """Places (A, 2) and strides (A,) of all cells of an image (height, width)."""
    places, each = [], []
    for stride in strides:
        y, x = torch.meshgrid(*(torch.arange(side // stride) + 0.5 for side in size), indexing="ij")
        places.append(torch.stack([x, y], -1).view(-1, 2) * stride)
        each.append(torch.full((places[-1].shape[0],), float(stride)))
    return torch.cat(places), torch.cat(each)


def scene(
    boxes: Tensor, size: tuple[int, int] = (128, 192), strides: tuple[int, ...] = (8, 16, 32), half: float = 7.5
) -> tuple[Tensor, ...]:
    """Arguments of the assigner: objects (b, n, 4), every prediction a square of `half` strides, score 0.01."""
    places, each = points(size, list(strides))
    reach = half * each[:, None]
    predicted = torch.cat([places - reach, places + reach], 1)[None].repeat(len(boxes), 1, 1)
    labels = torch.arange(boxes.shape[1])[None, :, None].expand(len(boxes), -1, 1) % 3
    mask = (boxes.sum(-1, keepdim=True) > 0).float()
    return torch.full((*predicted.shape[:2], 3), 0.01), predicted, places, labels.float(), boxes, mask


def some_boxes(seed: int, low: float, high: float, images: int = 2, n: int = 9) -> Tensor:
    """Random boxes with sides in low..high px inside 192 x 128 px."""
    generator = torch.Generator().manual_seed(seed)
    side = low + (high - low) * torch.rand(images, n, 2, generator=generator)
    centre = side / 2 + torch.rand(images, n, 2, generator=generator) * (torch.tensor([192.0, 128.0]) - side)
    return torch.cat([centre - side / 2, centre + side / 2], -1)


def assigner(mode: str = "hybrid", strides: tuple[int, ...] = (8, 16, 32), **kwargs: Any) -> RFLAssigner:
    return RFLAssigner(**TAL, stride=list(strides), mode=mode, **kwargs)


# ------------------------------------------------------------------ hybrid


@pytest.mark.parametrize("topk2", [None, 1])
@pytest.mark.parametrize("rules", [{}, {"selection": "nearest"}, {"ranking": "aligned", "target": "one"}])
def test_a_batch_without_tiny_objects_is_the_tal_assignment(topk2: int | None, rules: dict[str, Any]) -> None:
    ours = assigner(rules=rules, topk2=topk2)
    arguments = scene(some_boxes(0, 33, 90))
    for mine, tal in zip(ours(*arguments), ours.tal(*arguments), strict=True):
        assert torch.equal(mine, tal)


def test_large_objects_beside_tiny_ones_keep_their_points_and_targets() -> None:
    boxes = torch.cat([some_boxes(1, 3, 12, n=6), some_boxes(2, 40, 90, n=3)], 1)
    ours = assigner()
    mine, tal = ours(*scene(boxes)), Assignment(*ours.tal(*scene(boxes)))
    large = tal.positive & (tal.owners >= 6)
    assert large.any() and torch.equal(mine.scores[large], tal.scores[large])
    assert all(torch.equal(a, b) for a, b in zip(mine[:2] + mine[3:], tal[:2] + tal[3:], strict=True))


def test_the_collapse_and_its_floor() -> None:
    """A 6 px object at (100, 100), every box 120 px: the TAL target is below 1e-9, the best point is lifted to 0.5.

    The best point lies at (100, 100): no other is as near, so its share is exp(0) = 1, and 0.5 * (1 - 4e-11 / 0.3) = 0.5.
    """
    arguments = scene(torch.tensor([[[97.0, 97, 103, 103]]]))
    ours = assigner()
    tal, mine = Assignment(*ours.tal(*arguments)), ours(*arguments)
    assert 0 < tal.scores.max() < 1e-9
    assert mine.scores.max().item() == pytest.approx(0.5)
    assert mine.scores.sum(-1).argmax().item() == 12 * 24 + 12  # row 12, column 12 of the stride-8 grid


def test_shares_by_distance() -> None:
    """Points of one level differ by their offset only: D = 2 (dx^2 + dy^2) / side^2 and a constant.

    An object of 10 px at (98, 99) has four points in reach, (92 | 100, 92 | 100). The best, (100, 100), has
    dx^2 + dy^2 = 5; the others have 37, 53 and 85: 2 * 32 / 100 = 0.64, 0.96 and 1.6 more.
    """
    mine = assigner()(*scene(torch.tensor([[[93.0, 94, 103, 104]]])))
    rows = mine.scores[0, : 16 * 24].amax(-1).view(16, 24)
    found = rows[11:13, 11:13].flatten().tolist()  # (92, 92), (100, 92), (92, 100), (100, 100)
    assert found == pytest.approx([0.5 * math.exp(-more) for more in (1.6, 0.96, 0.64, 0)], rel=1e-3)


@pytest.mark.parametrize(("predicted", "lifted"), [(60.0, True), (8.0, False)])
def test_the_floor_yields_to_good_boxes(predicted: float, lifted: bool) -> None:
    """A box of 10 px predicted as 8 px has CIoU 0.64 and a TAL target of that size: nothing is added."""
    arguments = list(scene(torch.tensor([[[95.0, 95, 105, 105]]])))
    places = arguments[2]
    arguments[1] = torch.cat([places - predicted / 2, places + predicted / 2], 1)[None]
    ours = assigner()
    tal = Assignment(*ours.tal(*arguments))
    assert (ours(*arguments).scores > tal.scores).any() == lifted


@pytest.mark.parametrize("best", [0.0, 0.15, 0.3, 0.6])
def test_how_far_it_has_yielded(best: float) -> None:
    """One positive point with TAL target t: max(t, 0.5 * (1 - t / 0.3)), so 0.5, 0.25, 0.3, 0.6."""
    ours = assigner()
    _, _, places, _, boxes, _ = scene(torch.tensor([[[97.0, 97, 103, 103]]]))
    assigned = one_point(place=12 * 24 + 12, points=len(places), target=best, box=boxes[0, 0])
    result = ours._with_targets(assigned, boxes, torch.ones(1, 1, dtype=torch.bool), ours._points(places))
    assert result.scores.max().item() == pytest.approx(max(best, 0.5 * (1 - best / 0.3)))


def one_point(place: int, points: int, target: float, box: Tensor) -> Assignment:
    """An assignment of one image in which one point trains object 0 of class 0."""
    scores, positive = torch.zeros(1, points, 3), torch.zeros(1, points, dtype=torch.bool)
    scores[0, place, 0], positive[0, place] = target, True
    none = torch.zeros(1, points, dtype=torch.long)
    return Assignment(none, box.expand(1, points, 4).clone(), scores, positive, none.clone())


@pytest.mark.parametrize(("selection", "at_least"), [("tal", 0), ("nearest", 3)])
def test_nearest_adds_points_to_objects_that_have_few(selection: str, at_least: int) -> None:
    """Four objects of 3 px, far from each other: TAL may leave each a single point."""
    corners = torch.tensor([[20.0, 20], [60, 80], [100, 30], [150, 100]])
    boxes = torch.cat([corners, corners + 3], 1)[None]
    mine = assigner(rules={"selection": selection})(*scene(boxes))
    counts = torch.bincount(mine.owners[mine.positive], minlength=4)
    assert counts.min() >= at_least
    assert (mine.scores.sum(-1) > 0).sum() == mine.positive.sum()


def test_nearest_on_the_one_to_one_branch_serves_only_objects_without_a_point() -> None:
    """Two objects of 3 px share the only point near both: TAL leaves one of them nothing."""
    boxes = torch.tensor([[[99.0, 99, 102, 102], [99.5, 99, 102.5, 102]]])
    alone = Assignment(*assigner(topk2=1).tal(*scene(boxes)))
    mine = assigner(topk2=1, rules={"selection": "nearest"})(*scene(boxes))
    assert torch.bincount(alone.owners[alone.positive], minlength=2).tolist() in ([1, 0], [0, 1])
    assert torch.bincount(mine.owners[mine.positive], minlength=2).tolist() == [1, 1]


@pytest.mark.parametrize("half", [7.5, 2.0])  # a new DFL head, reg_max 16, and a new direct head, reg_max 1
@pytest.mark.parametrize("strides", [(8, 16, 32), (4, 8, 16, 32), (16, 32)])
@pytest.mark.parametrize("topk2", [None, 1])
def test_every_tiny_object_has_something_to_learn(half: float, strides: tuple[int, ...], topk2: int | None) -> None:
    boxes = some_boxes(4, 6, 14, images=1, n=5)
    boxes = boxes + torch.arange(5)[None, :, None] * 1e-3
    mine = assigner(strides=strides, topk2=topk2)(*scene(boxes, half=half, strides=strides))
    best = torch.zeros(5).scatter_reduce(0, mine.owners[mine.positive], mine.scores.amax(-1)[mine.positive], "amax")
    assert (best[mine.owners[mine.positive].unique()] > 0.187).all(), "max(t, 0.5 - t / 0.6) is least at t = 0.1875"
    if topk2 == 1:
        assert torch.bincount(mine.owners[mine.positive]).max() == 1, "one point per object"


# ------------------------------------------------------------------ paper


@pytest.mark.parametrize("strides", [(8, 16, 32), (4, 8, 16, 32)])
@pytest.mark.parametrize("metric", ["kl", "wd"])
@pytest.mark.parametrize("seed", range(4))
def test_paper_mode_is_the_published_assignment(strides: tuple[int, ...], metric: str, seed: int) -> None:
    """The windows of the batched form find what all points at once find; ignored points are background; targets are 1."""
    boxes = some_boxes(seed, 1, (6, 20, 60, 120)[seed], n=15)
    ours = assigner("paper", strides, rules={"metric": metric})
    mine = ours(*scene(boxes, strides=strides))
    places, each = points((128, 192), list(strides))
    sides = torch.tensor([PUBLISHED_FIELDS[int(stride)] for stride in each])[:, None]
    for image, gt in enumerate(boxes):
        near, shrunk = (
            receptive_field_distance(gt, torch.cat([places - half, places + half], 1), metric)
            for half in (sides / 2, 0.45 * sides)
        )
        expected = hierarchical_assign(near, shrunk).clamp_min(0)
        taken = torch.where(mine.positive[image], mine.owners[image] + 1, 0)
        assert torch.equal(taken, expected)
    assert torch.equal(mine.scores.sum(-1), mine.positive.float())
    assert torch.equal(mine.boxes[mine.positive], boxes[mine.positive.nonzero()[:, 0], mine.owners[mine.positive]])


def test_paper_mode_on_the_one_to_one_branch_gives_one_point() -> None:
    """Boxes off the middle between cells, so that no two points tie."""
    mine = assigner("paper", topk2=1)(*scene(torch.tensor([[[41.0, 42, 47, 50], [100.3, 60.2, 109, 66]]])))
    assert torch.bincount(mine.owners[mine.positive]).tolist() == [1, 1]


def test_paper_mode_looks_at_no_prediction() -> None:
    boxes = some_boxes(3, 4, 40)
    wild = list(scene(boxes))
    wild[0], wild[1] = torch.rand_like(wild[0]), torch.rand_like(wild[1]) * 100
    for mine, other in zip(assigner("paper")(*scene(boxes)), assigner("paper")(*wild), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("conflict", "winner"), [("order", 1), ("rfd", 0)])
def test_who_wins_a_point(conflict: str, winner: int) -> None:
    """Both objects of 8 px have the cell at (100, 100) among their three nearest; the first one lies on it."""
    boxes = torch.tensor([[[96.0, 96, 104, 104], [101, 96, 109, 104]]])
    mine = assigner("paper", rules={"conflict": conflict})(*scene(boxes))
    assert mine.owners[0, 12 * 24 + 12].item() == winner


def test_hierarchy_for_tiny_objects_only() -> None:
    """A large object follows TAL while the tiny one beside it takes its nearest points."""
    boxes = torch.tensor([[[10.0, 10, 90, 90], [150, 50, 156, 56]]])
    mine = assigner(rules={"selection": "hierarchy"})(*scene(boxes))
    tal = Assignment(*assigner().tal(*scene(boxes[:, :1])))
    large = mine.positive & (mine.owners == 0)
    assert torch.equal(large, tal.positive)
    assert torch.equal(mine.scores[large], tal.scores[large])
    assert (mine.positive & (mine.owners == 1)).sum() >= 3


# ------------------------------------------------------------------ odd input


@pytest.mark.parametrize("mode", ["hybrid", "paper"])
@pytest.mark.parametrize(
    "boxes",
    [
        torch.zeros(2, 0, 4),  # no object in the batch
        torch.cat([some_boxes(0, 3, 9, images=1), torch.zeros(1, 9, 4)]),  # none in one image
        torch.tensor([[[50.0, 50, 50, 50], [30, 30, 30, 40]]]),  # no size, no width
        torch.tensor([[[-40.0, 20, -30, 30], [190, 120, 230, 160], [500, 500, 506, 506]]]),  # outside
        torch.tensor([[[math.nan, 3, 9, 9], [20, 20, 26, 26]]]),
        some_boxes(0, 0.2, 2, images=1, n=40),  # thinner than a pixel
        torch.full((1, 3, 4), 1.0) + torch.tensor([0.0, 0, 6, 6]),  # three at one place
    ],
)
def test_odd_boxes(mode: str, boxes: Tensor) -> None:
    mine = assigner(mode)(*scene(boxes))
    assert mine.scores.isfinite().all() and mine.scores.min() >= 0 and mine.scores.max() <= 1
    assert (mine.scores.sum(-1)[~mine.positive.bool()] == 0).all()


@pytest.mark.parametrize("mode", ["hybrid", "paper"])
def test_more_objects_than_points_and_thousands(mode: str) -> None:
    few = scene(some_boxes(0, 3, 9, images=1, n=60) / 6, size=(32, 32))  # 16 + 4 + 1 points
    assert assigner(mode)(*few).positive.sum() <= 21
    many = assigner(mode)(*scene(some_boxes(1, 3, 9, images=1, n=3000)))
    assert many.positive.any() and many.scores.isfinite().all()


def test_half_precision_scores() -> None:
    arguments = list(scene(some_boxes(0, 3, 9)))
    arguments[0] = arguments[0].half()
    mine = assigner()(*arguments)
    assert mine.scores.isfinite().all() and mine.scores.amax() > 0.4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "papper"}, "mode 'papper': expected one of hybrid, paper"),
        ({"rules": {"target": "two"}}, "target 'two': expected one of tal, floor, one"),
        ({"fields": {8: 40.0}}, r"no receptive field for stride \[16, 32\]"),
    ],
)
def test_what_does_not_exist(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assigner(**change)


def test_points_that_are_no_grids() -> None:
    arguments = list(scene(some_boxes(0, 3, 9)))
    with pytest.raises(ValueError, match="504 points are not the grids of strides"):
        assigner(strides=(4, 8, 16))(*arguments)


def test_every_choice_has_a_rule() -> None:
    for name, known in CHOICES.items():
        for choice in known:
            assert getattr(make_rules("hybrid", {name: choice}), name) == choice


# ------------------------------------------------------------------ the collapse, as the specification measured it

SIDES = (4, 6, 8, 12, 16, 24, 32, 64)
COLLAPSE = [  # strides, half side in strides, score, largest TAL target by side of the object
    ((8, 16, 32), 7.5, 0.01, (6.4e-14, 3.7e-11, 2.6e-9, 8.8e-7, 5.2e-5, 0.011, 0.066, 0.28)),
    ((8, 16, 32), 7.5, 1e-4, (6.4e-15, 3.7e-12, 2.6e-10, 8.8e-8, 5.2e-6, 0.0015, 0.040, 0.28)),
    ((4, 8, 16, 32), 7.5, 0.01, (2.7e-9, 9.1e-7, 5.3e-5, 0.011, 0.066, 0.16, 0.28, 0.88)),
    ((8, 16, 32), 2.0, 0.01, (6.9e-6, 3.6e-3, 0.050, 0.14, 0.25, 0.56, 0.83, 0.71)),
    ((8, 16, 32), 1.0, 0.01, (0.036, 0.13, 0.24, 0.55, 0.69, 0.44, 0.50, 0.42)),
]


@pytest.mark.parametrize(("strides", "half", "score", "expected"), COLLAPSE)
def test_tal_targets_of_the_specification(
    strides: tuple[int, ...], half: float, score: float, expected: tuple[float, ...]
) -> None:
    """One square object at (323, 322) in 640 px: the TAL column of section 4.1, and what the hybrid makes of it.

    The hybrid's best target t' follows from that of TAL, t: at least max(t, 0.5 (1 - t / 0.3)) under 32 px, t above.
    """
    for side, target in zip(SIDES, expected, strict=True):
        box = torch.tensor([[[323 - side / 2, 322 - side / 2, 323 + side / 2, 322 + side / 2]]])
        arguments = list(scene(box, (640, 640), strides, half))
        arguments[0] = torch.full_like(arguments[0], score)
        ours = assigner(strides=strides)
        tal = Assignment(*ours.tal(*arguments)).scores.max().item()
        assert tal == pytest.approx(target, rel=0.06), side
        mine = ours(*arguments).scores.max().item()
        floor = 0.5 * max(0.0, 1 - tal / 0.3) if side < 32 else 0.0
        assert mine == pytest.approx(max(tal, floor), rel=1e-4), side
