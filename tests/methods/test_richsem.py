"""RichSem as a method: which anchors are taught what, and by how much."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.detection.columns import IGNORE
from data.io.labels import Label
from data.soft_labels.cache import CacheWriter, Meta, label_hash
from data.soft_labels.prompts import prompt_hash
from methods.base import Forward, Step
from methods.options.richsem import RichSemOptions
from methods.richsem import (
    ASSIGNED,
    AnchorMatches,
    RichSem,
    labelled_anchors,
    object_weights,
    padded_rows,
    semantic_loss,
)
from models.detector import build
from utils.errors import UserError

NAMES = {0: "cup", 1: "plate", 2: "fork"}
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)
THREE = [math.log(3), 0.0]  # a teacher that says 0.75 : 0.25
KL = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # from an undecided student: 0.130812036


def labels() -> list[Label]:
    boxes = np.array([[0.3, 0.3, 0.4, 0.4], [0.7, 0.6, 0.3, 0.5]], np.float32)
    return [Label(Path(f"{n}.png"), (64, 64), np.array([[0], [2]], np.float32), boxes) for n in range(2)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    meta = Meta(label_hash(labels()), prompt_hash(NAMES.values()), "RN50", "0", "roi", 800, False, 20.0)
    with CacheWriter(tmp_path / "cache", meta, labels(), lambda: generator.normal(size=(3, 16))) as writer:
        for place in writer.missing():
            writer.put(place, generator.normal(size=(2, 16)))
        return writer.finish().folder


def batch() -> dict[str, Any]:
    """Two images of two objects; the second object of the second one is cut off too much."""
    boxes = torch.from_numpy(np.concatenate([label.boxes for label in labels()]))
    return {
        "img": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        "bboxes": boxes,
        "cls": torch.tensor([[0.0], [2.0], [0.0], [2.0]]),
        "batch_idx": torch.tensor([0.0, 0.0, 1.0, 1.0]),
        "soft_label_index": torch.tensor([0, 1, 2, IGNORE]),
    }


def one_step(model: str, cache: Path, given: dict[str, Any]) -> tuple[RichSem, Step, Any]:
    """The method on a detector, and a step whose first pass is made as the trainer makes it."""
    torch.manual_seed(0)
    detector: Any = build(model, NAMES)
    detector.args = GAINS
    detector.train()
    method = RichSem(RichSemOptions(teacher=cache))
    method.attach(detector)
    criterion = detector.init_criterion()
    for branch in [getattr(criterion, name, criterion) for name in ("one2many", "one2one")]:
        if ASSIGNED not in vars(branch):
            method.criterion(branch)
            setattr(branch, ASSIGNED, True)

    def forward(image: torch.Tensor) -> Forward:
        taps: dict[str, torch.Tensor] = {}
        handles = [
            detector.get_submodule(at).register_forward_hook(lambda m, i, out, name=name: taps.update({name: out}))
            for name, at in method.taps(detector).items()
        ]
        predictions = detector(image)
        for handle in handles:
            handle.remove()
        loss, items = criterion(predictions, given)
        return Forward(loss.sum(), items, taps, predictions)

    method.draw(given)
    return method, Step(given, detector, forward, images=2), detector


@pytest.mark.parametrize("model", ["yolov8n", "yolo26n"])
def test_the_term(cache: Path, model: str) -> None:
    """Of yolo26 the one-to-many branch. Three of four objects have a soft label; each counts a third."""
    method, step, detector = one_step(model, cache, batch())
    value = method.loss(step)["semantic"]
    assigned: AnchorMatches = step.predictions.get("one2many", step.predictions)[ASSIGNED]
    features = torch.cat([tap.flatten(2) for tap in step.taps.values()], 2).transpose(1, 2)
    branch = method.branch
    terms = []
    for image, place, row in [(0, 0, 0), (0, 1, 1), (1, 0, 2)]:
        anchors = assigned.foreground[image] & (assigned.objects[image] == place)
        if anchors.any():
            teacher = branch.logits(torch.from_numpy(method.cache.rows(np.array([row]))).float())
            quality = assigned.quality[image][anchors].clamp(min=1e-9)
            student = branch(features[image][anchors])
            terms.append(semantic_loss(student, teacher.expand_as(student), quality))
    assert len(terms) == 3
    assert value.item() == pytest.approx(2 * 0.5 * (sum(terms) / 3).item(), rel=1e-4)
    assert step.log["semantic"].item() == pytest.approx(value.item() / 2)


def test_where_the_gradient_goes(cache: Path) -> None:
    """Into the branch, the hidden class layers, neck and stem; not into the last class convolution or the box head."""
    method, step, detector = one_step("yolov8n", cache, batch())
    method.loss(step)["semantic"].backward()
    head = detector.model[-1]
    assert method.branch.project.weight.grad.abs().sum() > 0
    assert head.cv3[0][0].conv.weight.grad.abs().sum() > 0 and detector.model[0].conv.weight.grad.abs().sum() > 0
    untouched = [*head.cv2.parameters(), *(p for level in head.cv3 for p in level[-1].parameters())]
    assert all(p.grad is None for p in untouched)


@pytest.mark.parametrize("rows", [[IGNORE] * 4, []])
def test_nothing_to_learn_from(cache: Path, rows: list[int]) -> None:
    """All objects cut off, or no object at all: the term is 0 and has a gradient."""
    given = batch()
    keep = len(rows)
    given |= {key: given[key][:keep] for key in ("bboxes", "cls", "batch_idx")} | {
        "soft_label_index": torch.tensor(rows).long()
    }
    method, step, _ = one_step("yolov8n", cache, given)
    value = method.loss(step)["semantic"]
    value.backward()
    assert value.item() == 0


def test_a_second_view_does_not_disturb_the_first(cache: Path) -> None:
    """Other methods pass other views through the detector before this one is asked."""
    method, step, _ = one_step("yolov8n", cache, batch())
    first = method.loss(step)["semantic"].item()
    step.forward(torch.rand(2, 3, 64, 64))
    assert method.loss(step)["semantic"].item() == first


def test_a_later_assigner_is_the_one_that_counts(cache: Path) -> None:
    """As with `richsem+rfla`: the assigner is put in after this method looked."""

    def assigner(*args: Any, **kwargs: Any) -> Any:
        scores, foreground = torch.zeros(1, 4, 3), torch.tensor([[1, 0, 0, 1]]).bool()
        scores[0, 0, 2], scores[0, 3, 1] = 0.7, 0.2
        return None, None, scores, foreground, torch.tensor([[1, 0, 0, 0]])

    class Branch:
        def get_assigned_targets_and_loss(self, preds: dict[str, Any], batch: dict[str, Any]) -> str:
            self.assigner("call")
            return "result"

    branch: Any = Branch()
    RichSem(RichSemOptions(teacher=cache)).criterion(branch)
    branch.assigner = assigner
    preds: dict[str, Any] = {}
    assert branch.get_assigned_targets_and_loss(preds, {}) == "result" and branch.assigner is assigner
    torch.testing.assert_close(preds[ASSIGNED].quality, torch.tensor([[0.7, 0.0, 0.0, 0.2]]))


def test_anchors_by_hand() -> None:
    """Rows 5 and none in image 0, 5 again in image 1 (it is in the batch twice): two objects, not one."""
    rows = torch.tensor([[5, IGNORE], [5, IGNORE]])
    foreground = torch.tensor([[True, True, False], [True, True, False]])
    assigned = AnchorMatches(
        torch.tensor([[0, 1, 0], [0, 0, 0]]), foreground, torch.tensor([[0.4, 0.9, 0.0], [0.1, 0.3, 0.0]])
    )
    (image, point, real), ids, objects = labelled_anchors(assigned, rows, 4)
    assert list(zip(image.tolist(), point.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1)] and real.all()
    assert ids.tolist() == [5, 5, 5] and objects.tolist() == [0, 2, 2]
    weights = object_weights(assigned.quality[image, point], objects, 4)
    torch.testing.assert_close(weights, torch.tensor([1.0, 0.25, 0.75]))


def test_rows_are_packed_as_the_loss_packs() -> None:
    assert padded_rows(torch.zeros(0), torch.zeros(0).long(), 2).tolist() == [[IGNORE], [IGNORE]]
    assert padded_rows(torch.tensor([[1.0], [1.0]]), torch.tensor([3, 4]), 2).tolist() == [[IGNORE, IGNORE], [3, 4]]


def test_the_cache_must_belong_to_the_set(cache: Path) -> None:
    method = RichSem(RichSemOptions(teacher=cache))
    method.check(labels(), NAMES)
    with pytest.raises(UserError, match="was made for other labels than this training has"):
        method.check(labels()[:1], NAMES)
    with pytest.raises(UserError, match="was made for other class names or prompts"):
        method.check(labels(), {0: "cup"})


def test_without_a_cache() -> None:
    with pytest.raises(UserError, match="--method richsem: needs the teacher cache.*prepare.py teacher"):
        RichSem().resolve_options(3)


def test_a_network_without_class_branches(cache: Path) -> None:
    with pytest.raises(UserError, match="--method richsem: a head of type Identity .*Choose a YOLO detector"):
        RichSem(RichSemOptions(teacher=cache)).attach(SimpleNamespace(model=[torch.nn.Identity()]))


def test_notes_name_the_teacher(cache: Path) -> None:
    (line,) = RichSem(RichSemOptions(teacher=cache)).notes(None)
    assert line == "richsem: 4 soft labels of 16 numbers by RN50 (roi), 3 names"


@pytest.mark.parametrize(
    ("student", "teacher", "weight", "expected"),
    [
        ([[0.0, 0.0]], [THREE], None, KL),
        ([[0.0, 0.0]] * 2, [THREE, [0.0, 0.0]], None, KL / 2),
        ([[0.0, 0.0]] * 2, [THREE, [0.0, 0.0]], [1.0, 0.0], KL),
        ([[0.0, 0.0]] * 2, [THREE, [0.0, 0.0]], [1.0, 3.0], KL / 4),
        ([[2.0, -1.0]], [[9.0, 6.0]], None, 0.0),  # a constant added to a row changes nothing
        ([[0.0, 0.0]], [THREE], [0.0], 0.0),  # no weight
        ([[0.0] * 1203], [[1e4] + [0.0] * 1202], None, math.log(1203)),  # 7.0925737
        ([[0.0] * 1204], [[1e4] + [0.0] * 1203], None, 7.0934046),
    ],
)
def test_semantic_loss_by_hand(
    student: list[list[float]], teacher: list[list[float]], weight: list[float] | None, expected: float
) -> None:
    """Specification 7.1."""
    given = None if weight is None else torch.tensor(weight)
    assert semantic_loss(torch.tensor(student), torch.tensor(teacher), given).item() == pytest.approx(
        expected, abs=2e-6
    )


def test_semantic_loss_of_the_reference() -> None:
    """Specification 7.2: 16.71846 on the reference implementation's draws; by entropy, divided by 3, 8.3557138."""
    g = torch.Generator().manual_seed(3)
    torch.randn(2, 10, 1204, generator=g)
    pc, ta = 5 * torch.randn(2, 10, 1204, generator=g), 5 * torch.randn(2, 1204, generator=g)
    torch.randn(2, 8, generator=g)
    tb = 5 * torch.randn(1, 1204, generator=g)
    student, teacher = torch.stack([pc[0, 4], pc[0, 1], pc[1, 9]]), torch.stack([ta[1], ta[0], tb[0]])
    assert semantic_loss(student, teacher).item() == pytest.approx(16.71846, abs=1e-4)
    log_p = teacher.log_softmax(1)
    entropy = 2 * -(log_p.exp() * log_p).sum(1) / math.log(1204)
    weighted = semantic_loss(student, teacher, entropy) * entropy.sum() / 3
    assert weighted.item() == pytest.approx(8.3557138, abs=1e-4)


def test_no_rows_give_zero_and_gradients_of_zero() -> None:
    student = torch.zeros(0, 5, requires_grad=True)
    loss = semantic_loss(student, torch.zeros(0, 5), torch.zeros(0))
    loss.backward()
    assert loss.item() == 0 and student.grad is not None


def test_the_teacher_is_not_differentiated_and_half_precision_does_not_underflow() -> None:
    """1203 classes at scale 100: float16 would round most of p to 0."""
    student = (100 * torch.rand(4, 1203)).half().requires_grad_()
    teacher = (100 * torch.rand(4, 1203)).half().requires_grad_()
    loss = semantic_loss(student, teacher)
    loss.backward()
    assert loss.dtype == torch.float32 and bool(loss.isfinite()) and teacher.grad is None
    assert loss.item() == pytest.approx(semantic_loss(student.double(), teacher.double()).item(), rel=1e-4)


@pytest.mark.parametrize(("teacher", "weight"), [((2, 4), (2,)), ((2, 3), (3,)), ((1, 3), None)])
def test_unequal_shapes(teacher: tuple[int, int], weight: tuple[int] | None) -> None:
    with pytest.raises(ValueError, match=r"semantic_loss expects \(M, C\), \(M, C\) and \(M,\)"):
        semantic_loss(torch.zeros(2, 3), torch.zeros(teacher), None if weight is None else torch.zeros(weight))


def test_each_object_counts_once() -> None:
    """Objects 7 (qualities 0.3, 0.1) and 2 (0.8), and 5 with no quality at all on two anchors."""
    weights = object_weights(torch.tensor([0.3, 0.8, 0.1, 0.0, 0.0]), torch.tensor([7, 2, 7, 5, 5]), 8)
    torch.testing.assert_close(weights, torch.tensor([0.75, 1.0, 0.25, 0.5, 0.5]))
    assert object_weights(torch.zeros(0), torch.zeros(0, dtype=torch.long), 1).shape == (0,)
    some = object_weights(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 0, 0]), 1, torch.tensor([True, True, False]))
    torch.testing.assert_close(some, torch.tensor([0.75, 0.25, 0.0]))
