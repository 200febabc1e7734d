"""RFLA's mathematics: the specification's hand values, and every array that the original program computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou

from methods.rfla_math import (
    boundaries,
    divergence,
    grids,
    hierarchical_assign,
    nearby_points,
    receptive_field_distance,
)


def field(centre: tuple[float, float], width: float, height: float | None = None) -> Tensor:
    half = torch.tensor([width, height or width], dtype=torch.float64) / 2
    middle = torch.tensor(centre, dtype=torch.float64)
    return torch.cat([middle - half, middle + half])[None]


HAND = [  # object, centre of the field, its sides, D, W (specification, section 7)
    ((100, 100, 116, 116), (108, 108), (16.0,), 0, 0),
    ((100, 100, 116, 116), (108, 108), (17.5,), 0.017065, 1.125),
    ((100, 100, 116, 116), (108, 108), (45.5,), 4.996667, 435.125),
    ((100, 100, 116, 116), (104, 104), (45.5,), 5.246667, 467.125),
    ((50, 50, 54, 53), (52, 52), (17.5 * 2**0.5, 17.5 / 2**0.5), 23.463630, 129.8472),
    ((10, 20, 16, 24), (12, 20), (17.5,), 10.832992, 83.625),
    ((10, 20, 16, 24), (12, 20), (15.75,), 8.417194, 63.28125),
    ((10, 20, 16, 24), (20, 28), (45.5,), 95.213636, 905.625),
    ((0, 0, 40, 80), (24, 40), (133.5,), 4.264520, 2917.125),
    ((0, 0, 40, 80), (24, 40), (45.5,), 0.264173, 321.125),
]


@pytest.mark.parametrize(("box", "centre", "sides", "kl", "wd"), HAND)
def test_distance_by_hand(box: Any, centre: Any, sides: Any, kl: float, wd: float) -> None:
    gt, rf = torch.tensor([box], dtype=torch.float64), field(centre, *sides)
    for metric, expected in (("kl", kl), ("wd", wd)):
        assert divergence(gt, rf, metric).item() == pytest.approx(expected, abs=1e-4 if metric == "wd" else 1e-6)
        assert receptive_field_distance(gt, rf, metric).item() == pytest.approx(1 / (1 + expected), rel=1e-5)


@pytest.mark.parametrize("metric", ["kl", "wd"])
def test_the_same_gaussian_is_at_one(metric: str) -> None:
    boxes = torch.tensor([[3.0, 4, 9, 30], [0, 0, 1, 1]])
    assert receptive_field_distance(boxes, boxes, metric).diagonal().tolist() == [1.0, 1.0]


def test_kl_knows_no_scale_and_counts_offsets_in_halves_of_the_object() -> None:
    """Times 7 nothing changes; half a width to the side adds 4 * (1/2)^2 / 2 = 0.5."""
    gt, rf = torch.tensor([[10.0, 20, 16, 24]]), torch.tensor([[0.0, 0, 30, 30]])
    assert divergence(7 * gt, 7 * rf) == pytest.approx(divergence(gt, rf).item(), rel=1e-5)
    assert divergence(7 * gt, 7 * rf, "wd") == pytest.approx(49 * divergence(gt, rf, "wd").item(), rel=1e-5)
    centred = field((13.0, 22.0), 30.0)
    moved = field((16.0, 22.0), 30.0)
    assert (divergence(gt.double(), moved) - divergence(gt.double(), centred)).item() == pytest.approx(0.5)


def test_half_precision_is_widened() -> None:
    """A 1 px object in a field of 400 px: (400 / 1)^2 = 160000 is over float16's 65504."""
    near = receptive_field_distance(torch.tensor([[0.0, 0, 1, 1]]).half(), torch.tensor([[0.0, 0, 400, 400]]).half())
    assert near.dtype == torch.float32 and near.isfinite().all() and near.item() > 0


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match="'iou': expected one of kl, wd"):
        receptive_field_distance(torch.ones(1, 4), torch.ones(1, 4), "iou")


ASSIGN = [  # nearness, shrunk nearness, topk, ignore_above, who gets each point
    ([[.9, .5, .5, .5, .1], [.2, .9, .1, .3, .85]], [[.95, .4, .4, .4, .2], [.2, .95, .1, .3, .7]], (3, 1), .8, [1, 2, 1, 2, 2]),
    ([[.9, .85, .82, .7]], [[.9, .85, .79, .7]], (1, 1), .8, [1, -1, 0, 0]),
    ([[.9, .85, .82, .7]], [[.9, .85, .79, .7]], (1, 1), None, [1, 0, 0, 0]),
    ([[.9, .8, .1, .1]], [[.1, .2, .9, .1]], (1, 1), .8, [1, 0, 1, 0]),
    ([[.6, .5, .4, .3]] * 2, [[.6, .5, .4, .3]] * 2, (2, 1), .8, [2, 2, 0, 0]),
    ([[.3, .2]], [[.3, .2]], (9, 9), .8, [1, 1]),  # fewer points than asked for
]  # fmt: skip


@pytest.mark.parametrize(("rfd", "shrunk", "topk", "above", "expected"), ASSIGN)
def test_hierarchy_by_hand(rfd: Any, shrunk: Any, topk: Any, above: float | None, expected: list[int]) -> None:
    assert hierarchical_assign(torch.tensor(rfd), torch.tensor(shrunk), topk, above).tolist() == expected


def test_no_object_takes_nothing() -> None:
    assert hierarchical_assign(torch.zeros(0, 4), torch.zeros(0, 4)).tolist() == [0, 0, 0, 0]


def test_level_boundaries() -> None:
    """ResNet-50's levels, and yolov8n's: sqrt((b^2 - a^2) / ln(b^2 / a^2)), and (a + b) / 2."""
    sides = {4: 17.5, 8: 45.5, 16: 133.5, 32: 213.5, 64: 277.5, 128: 405.5}
    assert [round(side, 1) for side in boundaries(sides).values()] == [30.4, 85.5, 171.9, 244.8, 339.5]
    assert list(boundaries(sides, "wd").values()) == [31.5, 89.5, 173.5, 245.5, 341.5]
    v8n = {4: 11.5, 8: 47.5, 16: 119.5, 32: 199.5}
    assert [round(side, 1) for side in boundaries(v8n).values()] == [27.4, 80.7, 157.8]
    for (low, high), side in boundaries(v8n).items():
        box = field((0, 0), side)
        levels = torch.cat([field((0, 0), v8n[low]), field((0, 0), v8n[high])])
        assert torch.allclose(*divergence(box, levels).unbind())


def test_grids_follow_the_points_of_an_image() -> None:
    """64 x 32 px: 4 x 8 cells of stride 8 (0..31), then 2 x 4 of stride 16 (32..39)."""
    assert [tuple(grid) for grid in grids((32, 64), [8, 16])] == [(8, 4, 8, 0), (16, 2, 4, 32)]


@pytest.mark.parametrize(
    ("centre", "expected"),
    [
        ((20.0, 20.0), [9, 10, 11, 17, 18, 19, 25, 26, 27]),  # column 2, row 2: one to each side
        ((-5.0, 1.0), [0, 1, 2, 8, 9, 10, 16, 17, 18]),  # outside: the window is moved in
        ((63.9, 63.9), [45, 46, 47, 53, 54, 55, 61, 62, 63]),
    ],
)
def test_nearby_points_by_hand(centre: Any, expected: list[int]) -> None:
    assert nearby_points(torch.tensor(centre), grids((64, 64), [8]), 1).tolist() == expected


def test_a_grid_smaller_than_the_window_is_given_whole() -> None:
    assert nearby_points(torch.tensor([5.0, 5.0]), grids((16, 16), [8]), 2).tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------ the original program's numbers


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    with np.load(shared / "reference" / "rfla_reference.npz") as file:
        return {name: file[name] for name in file.files}


def scenes(reference: dict[str, Any]) -> list[str]:
    return [f"s{i:02d}" for i in range(int(reference["n_scenes"]))]


def shrunk(boxes: Tensor, factor: float) -> Tensor:
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    return torch.cat([centre - half, centre + half], 1)


def places(reference: dict[str, Any]) -> dict[str, Tensor]:
    names = {"p3": "rf_p3", "p2": "rf_p2", "rpn": "rpn_anchors_p2"}
    return {level: torch.from_numpy(reference[name]) for level, name in names.items()}


@pytest.mark.parametrize(("array", "metric", "factor"), [("kl", "kl", 1.0), ("wd", "wd", 1.0), ("kl_x09", "kl", 0.9)])
def test_reference_distances(reference: dict[str, Any], array: str, metric: str, factor: float) -> None:
    rf = shrunk(places(reference)["p3"], factor)
    for scene in scenes(reference):
        if (name := f"{scene}_p3_{array}") in reference:
            ours = receptive_field_distance(torch.from_numpy(reference[f"{scene}_gt"]), rf, metric)
            np.testing.assert_allclose(ours.numpy(), reference[name], rtol=1e-5)


def test_reference_variants_of_the_distance(reference: dict[str, Any]) -> None:
    """exp(-D / 10), 1 / (10 + D), the squared distance of centres and two overlaps: the same boxes in the same order."""
    rf = places(reference)["p3"]
    for scene in scenes(reference):
        if f"{scene}_p3_exp_kl" not in reference:
            continue
        gt = torch.from_numpy(reference[f"{scene}_gt"]).double()
        far = divergence(gt[:, None], rf[None].double())
        centres = ((gt[:, None, :2] + gt[:, None, 2:] - rf[None, :, :2] - rf[None, :, 2:]) / 2).square().sum(-1)
        np.testing.assert_allclose(torch.exp(-far / 10), reference[f"{scene}_p3_exp_kl"], rtol=1e-3, atol=1e-30)
        np.testing.assert_allclose(1 / (10 + far), reference[f"{scene}_p3_kl_10"], rtol=1e-5)
        np.testing.assert_allclose(centres, reference[f"{scene}_p3_center_distance2"], rtol=1e-4, atol=1e-3)
        for name, overlap in (("iou", box_iou), ("giou", generalized_box_iou)):
            np.testing.assert_allclose(overlap(gt.float(), rf), reference[f"{scene}_p3_{name}"], atol=1e-6)


def test_reference_assignments_from_its_own_distances(reference: dict[str, Any]) -> None:
    """Fed the same numbers, every point goes to the same object."""
    for scene in scenes(reference):
        if len(reference[f"{scene}_gt"]) == 0:
            continue
        near, near_shrunk = (torch.from_numpy(reference[f"{scene}_p3_kl{end}"]) for end in ("", "_x09"))
        for topk, second, name in [((3, 1), near_shrunk, "k31_r90"), ((3, 1), near, "k31_r100"),
                                   ((2, 1), near_shrunk, "k21_r90"), ((6, 1), near_shrunk, "k61_r90"),
                                   ((1, 1), near_shrunk, "k11_r90")]:  # fmt: skip
            ours = hierarchical_assign(near, second, topk)
            np.testing.assert_array_equal(ours.numpy(), reference[f"{scene}_p3_kl_{name}"], err_msg=f"{scene} {name}")


@pytest.mark.parametrize("levels", ["p3", "p2", "rpn"])
@pytest.mark.parametrize("metric", ["kl", "wd"])
def test_reference_assignments_from_our_distances(reference: dict[str, Any], levels: str, metric: str) -> None:
    """With distances of our own, points differ only where two of an object's distances agree to 1e-6."""
    rf = places(reference)[levels]
    names = {"k31_r90": (3, 0.9), "k31_r100": (3, 1.0), "k21_r90": (2, 0.9), "k61_r90": (6, 0.9), "k11_r90": (1, 0.9)}
    for scene in scenes(reference):
        gt = torch.from_numpy(reference[f"{scene}_gt"])
        near = receptive_field_distance(gt, rf, metric)
        for name, (k, factor) in names.items():
            if (key := f"{scene}_{levels}_{metric}_{name}") not in reference:
                continue
            near_shrunk = receptive_field_distance(gt, shrunk(rf, factor), metric)
            ours = hierarchical_assign(near, near_shrunk, (k, 1)).numpy()
            for point in np.flatnonzero(ours != reference[key]):
                assert tied(near[:, point], near, k) or tied(near_shrunk[:, point], near_shrunk, 1), f"{key} {point}"


def tied(values: Tensor, near: Tensor, k: int) -> bool:
    """Whether some object's distance to this point is, up to 1e-6, the k-th it takes, without being that very value."""
    least = near.topk(k, 1).values[:, -1]
    return bool(((values - least).abs() <= 2e-6 * least).any())


def test_reference_stages_and_fields(reference: dict[str, Any]) -> None:
    """The first stage alone, the squares of the points, and the anchors of area side^2 at h / w of 0.5, 1 and 2."""
    for scene in scenes(reference):
        gt = torch.from_numpy(reference[f"{scene}_gt"])
        for levels, rf in places(reference).items():
            for metric in ("kl", "wd"):
                near = receptive_field_distance(gt, rf, metric)
                ours = hierarchical_assign(near, torch.zeros_like(near), (3, 0) if len(gt) else (3, 1), None)
                differing = np.flatnonzero(ours.numpy() != reference[f"{scene}_{levels}_{metric}_stage1"].clip(0))
                assert all(tied(near[:, point], near, 3) for point in differing)
    for levels, first, sides in (("p3", 8, (45.5, 133.5, 213.5)), ("p2", 4, (17.5, 45.5, 133.5))):
        boxes = np.asarray(reference[f"rf_{levels}"])
        assert boxes[0].tolist() == [first / 2 - sides[0] / 2] * 2 + [first / 2 + sides[0] / 2] * 2
        anchors = np.asarray(reference[f"rfgen_{levels}_base_anchors"])
        extent = anchors[..., 2:] - anchors[..., :2]
        np.testing.assert_allclose(extent.prod(-1)[:3], np.square(sides)[:, None].repeat(3, 1), rtol=1e-4)
        np.testing.assert_allclose(extent[..., 1] / extent[..., 0], [[0.5, 1, 2]] * 5, rtol=1e-4)


def test_reference_inside(reference: dict[str, Any]) -> None:
    """The `inside` switch: a point that is not strictly inside its object becomes background."""
    points = torch.from_numpy(reference["points_p3"])
    for scene in scenes(reference):
        gt = torch.from_numpy(reference[f"{scene}_gt"])
        if len(gt) == 0:
            continue
        given = torch.from_numpy(reference[f"{scene}_p3_kl_k31_r90"]).long()
        box = gt[(given - 1).clamp_min(0)]
        inside = (torch.cat([points - box[:, :2], box[:, 2:] - points], 1) > 0).all(1)
        ours = torch.where((given > 0) & inside, given, 0)
        np.testing.assert_array_equal(ours.numpy(), reference[f"{scene}_p3_kl_inside"], err_msg=scene)


def test_reference_regression_targets(reference: dict[str, Any]) -> None:
    """(left, top, right, bottom) / stride of each positive point: negative outside its box; and its centerness."""
    for scene in scenes(reference):
        for levels, first in (("p3", 8), ("p2", 4)):
            positive = reference[f"{scene}_fcos_{levels}_pos"]
            given = reference[f"{scene}_{levels}_kl_k31_r90"]
            np.testing.assert_array_equal(positive, np.flatnonzero(given > 0))
            point = reference[f"points_{levels}"][positive]
            box = reference[f"{scene}_gt"][given[positive] - 1] if len(positive) else np.zeros((0, 4), np.float32)
            strides = np.concatenate([np.full((256 // s) ** 2, s) for s in first * 2 ** np.arange(5)])[positive]
            ltrb = np.concatenate([point - box[:, :2], box[:, 2:] - point], 1) / strides[:, None]
            np.testing.assert_allclose(ltrb, reference[f"{scene}_fcos_{levels}_ltrb"], atol=1e-5)
            pairs = ltrb[:, [0, 2]], ltrb[:, [1, 3]]
            ratios = [np.maximum(pair.min(1), 0.01) / np.maximum(pair.max(1), 1e-9) for pair in pairs]
            np.testing.assert_allclose(
                np.sqrt(ratios[0] * ratios[1]), reference[f"{scene}_fcos_{levels}_centerness"], rtol=1e-3
            )


def test_reference_defect_of_the_second_image(reference: dict[str, Any]) -> None:
    """The published code shrinks its fields in place: 0.9 for the first image, 0.9^2 from the second one on (0.81)."""
    rf, scene = places(reference)["p3"], "s01"
    gt = torch.from_numpy(reference[f"{scene}_gt"])
    first, second = ((shrunk(rf, factor), shrunk(rf, 0.9 * factor)) for factor in (1.0, 0.9))
    for fields, name in ((first, "batch_first"), (second, "batch_second")):
        ours = hierarchical_assign(*(receptive_field_distance(gt, each) for each in fields))
        np.testing.assert_array_equal(ours.numpy(), reference[f"{scene}_p3_{name}"])
    sides = {8 * 2**i: side for i, side in enumerate((45.5, 133.5, 213.5, 277.5, 405.5))}
    expected = {round(0.81 * side, 2) for side in sides.values()}
    assert {round(float(side), 2) for side in reference[f"{scene}_p3_rf_side_after_two"]} <= {
        value + shift for value in expected for shift in (-0.01, 0.0, 0.01)
    }
