"""Coarse images and chosen classes in the detection loss."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.io.labels import Label
from methods.longtail import LongTail, objects_at
from methods.options.longtail import LongTailOptions
from models.detector import build

CLASSES = 6
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)


def counted(federated: int) -> LongTail:
    """The method after it has seen a training set with all six classes."""
    method = LongTail(LongTailOptions(federated=federated))
    classes = np.arange(CLASSES, dtype=np.float32)[:, None]
    method.check(
        [Label(Path("a.png"), (64, 64), classes, np.full((CLASSES, 4), 0.2, np.float32))],
        dict.fromkeys(range(CLASSES), ""),
    )
    return method


def batch(**more: Any) -> dict[str, Any]:
    """Two images: an ordinary object in the first, a quarter of the second for the other."""
    return {
        "img": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.25, 0.25, 0.5, 0.5]]),
        "cls": torch.tensor([[1.0], [4.0]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "seed": [5, 6],
        **more,
    }


def loss_of(method: LongTail | None, given: dict[str, Any], cfg: str = "yolov8n") -> tuple[torch.Tensor, Any, Any]:
    """The three parts of the loss, the detector after backward, and the class logits with gradient."""
    torch.manual_seed(0)
    detector: Any = build(cfg, dict.fromkeys(range(CLASSES), "x")).train()
    detector.args = GAINS
    criterion = detector.init_criterion()
    if method is not None:
        for branch in [getattr(criterion, name) for name in ("one2many", "one2one") if hasattr(criterion, name)] or [
            criterion
        ]:
            method.criterion(branch)
        method.draw(given)
        method.prepare(given)
    predictions = detector(given["img"])
    scores = predictions.get("one2many", predictions)["scores"]
    scores.retain_grad()
    loss, _ = criterion(predictions, given)
    loss.sum().backward()
    return loss.detach(), detector, scores.grad


@pytest.mark.slow
@pytest.mark.parametrize("cfg", ["yolov8n", "yolo26n"])
def test_all_classes_of_fine_images_give_the_plain_loss(cfg: str) -> None:
    plain, _, _ = loss_of(None, batch(), cfg)
    for federated in (0, CLASSES):
        assert torch.allclose(loss_of(counted(federated), batch(), cfg)[0], plain, rtol=1e-6)


def test_classes_that_were_not_chosen_take_no_gradient() -> None:
    """Two classes per image: its own and one drawn; four of six columns stay."""
    _, _, gradient = loss_of(counted(2), batch())
    columns = gradient.abs().amax(2) > 0  # (B, C)
    assert columns.sum(1).tolist() == [2, 2] and columns[0, 1] and columns[1, 4]


def test_coarse_objects_give_no_box_loss_and_one_target_of_one() -> None:
    coarse = torch.tensor([True, True])
    loss, detector, _ = loss_of(counted(0), batch(coarse=coarse))
    assert loss[0] == 0 and loss[2] == 0 and loss[1] > 0
    assert all(not part.weight.grad.any() for branch in detector.model[-1].cv2 for part in branch[-1:])


def test_one_coarse_image_leaves_the_other_its_box_loss() -> None:
    """Ultralytics' parts are divided by the sum of targets, which a coarse object raises: the first image alone counts."""
    both, _, gradient = loss_of(counted(0), batch(coarse=torch.tensor([False, True])))
    assert both[0] > 0
    columns = gradient.abs().amax(2) > 0
    assert columns[0].all(), "an ordinary image looks at every class"


def test_a_coarse_object_takes_the_points_that_see_its_class_best() -> None:
    """16 points in a box of 64 px, scores rising: the ten best are taken, the best with a target of 1, whatever the boxes."""
    method = counted(0)
    detector: Any = build("yolov8n", dict.fromkeys(range(CLASSES), "x"))
    detector.args = GAINS
    branch = detector.init_criterion()
    method.criterion(branch)
    method.coarse = torch.tensor([True])
    side = torch.arange(4) * 16.0 + 8
    points = torch.cartesian_prod(side, side)  # (16, 2)
    scores = torch.zeros(1, 16, CLASSES)
    scores[0, :, 3] = torch.linspace(0.1, 0.9, 16)
    objects = torch.tensor([[[0.0, 0.0, 64.0, 64.0]]])
    _, _, targets, taken, _ = branch.assigner(
        scores, torch.zeros(1, 16, 4), points, torch.tensor([[[3.0]]]), objects, torch.ones(1, 1, 1)
    )
    assert taken[0].tolist() == [False] * 6 + [True] * 10
    assert targets[0, 15, 3].item() == pytest.approx(1.0, abs=1e-4)
    assert targets[0, 6, 3].item() == pytest.approx((scores[0, 6, 3] / 0.9).sqrt().item(), abs=1e-4)


def test_the_object_of_each_point_by_hand() -> None:
    points = torch.tensor([[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]])
    objects = torch.tensor([[[0.0, 0.0, 6.0, 6.0], [4.0, 4.0, 8.0, 8.0], [0.0, 0.0, 20.0, 20.0]]])
    real = torch.tensor([[[1.0], [1.0], [0.0]]])
    found = objects_at(points, objects, real, torch.full((1, 3, 4), -1.0))
    assert found[0].tolist() == [[0, 0, 6, 6], [4, 4, 8, 8], [-1, -1, -1, -1]]


def test_what_is_known_to_be_absent_counts_and_what_is_labelled_in_part_does_not() -> None:
    """Two classes of the first image are known to be absent: with its own they are the three that are looked at."""
    from methods.federated import FederatedLabels

    known = [FederatedLabels(absent=(0, 5)), FederatedLabels(partial=(4,))]
    method = counted(3)
    given = batch(verified=known)
    method.draw(given)
    method.prepare(given)
    chosen = method.chosen
    assert chosen is not None
    assert sorted(chosen.ids[0].tolist()) == [0, 1, 5]
    own = chosen.ids[1].tolist().index(4)
    assert not chosen.negative[1, own] and chosen.used[1, own]


def test_the_draw_follows_the_seed_of_the_batch() -> None:
    method = counted(3)
    draws = []
    for seed in (5, 5, 99):
        given = batch(seed=[seed, 0])
        method.draw(given)
        method.prepare(given)
        assert method.chosen is not None
        draws.append(method.chosen.ids.tolist())
    assert draws[0] == draws[1] != draws[2]
