"""The mean teacher in a training: schedules, labels, what stops it, and that nothing is left."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import torch
from torch import nn

import engine
from engine.checkpoint import load_detector
from engine.training.module import TrainingModel
from engine.training.trainer import Trainer
from methods.base import Run
from methods.mean_teacher.checking import LabelCheck
from methods.mean_teacher.method import MeanTeacher, PseudoLabelAssigner, threshold_range
from methods.mean_teacher.pseudo_labels import Detections, PseudoLabels, pseudo_labels
from methods.options.mean_teacher import MeanTeacherOptions
from models.detector import build, parameters
from tests.engine.tiny import NETWORK, write_dataset
from utils.errors import UserError
from utils.files import list_images, load_yaml, save_yaml
from utils.tables import read_csv

NAMES = {0: "square", 1: "bar"}
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)


class Teacher(nn.Module):
    """Says of every image: one object of class 1, a quarter of the side, in the middle, with this score."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        side = float(images.shape[-1])
        one = torch.tensor(
            [[side / 2, 0.0], [side / 2, 0.0], [side / 4, 0.0], [side / 4, 0.0], [0.0, 0.0], [self.score, 0.0]]
        )
        return one.expand(len(images), -1, -1)


def batch_of(images: int = 2, side: int = 64) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "img": torch.rand(images, 3, side, side, generator=generator),
        "target": torch.rand(images, 3, side, side, generator=generator),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]] * images),
        "cls": torch.ones(images, 1),
        "batch_idx": torch.arange(images).float(),
        "seed": list(range(images)),
        "scenes": ["img"],
    }


def training(score: float = 0.9, epoch: int = 1, **options: Any) -> tuple[Any, MeanTeacher]:
    """A model with the method in an epoch of two, the first of which is the burn-in, and a teacher that says one thing."""
    torch.manual_seed(0)
    detector = build(NETWORK, NAMES)
    method = MeanTeacher(MeanTeacherOptions(target_burn_in=0.5, target_ramp=0.0, night_light=0.0, **options))
    model = TrainingModel(detector, [method], GAINS)
    model.build_criterion()
    model.train()
    run = Run(detector, epochs=2, averaged=Teacher(score))
    run.begin(epoch)
    method.on_epoch(run)
    return model, method


def test_no_target_loss_in_the_burn_in():
    model, _ = training(epoch=0)
    _, items = model(batch_of())
    assert "target" not in items and "pseudo_labels" not in items


def test_the_teachers_labels_are_learnt():
    """One label per image, of class 1; the loss of the strong view is added with its weight."""
    model, method = training(target_weight=0.5)
    loss, items = model(batch_of())
    assert items["pseudo_labels"] == 1 and items["pseudo_labels/bar"] == 1 and items["pseudo_labels/square"] == 0
    plain = sum(float(items[name]) for name in ("box_loss", "cls_loss", "dfl_loss"))
    assert loss.item() == pytest.approx(2 * (plain + 0.5 * items["target"].item()), rel=1e-5)
    loss.backward()
    assert model.detector.model[0].conv.weight.grad.abs().sum() > 0
    assert method.pseudo is None and method.counts.tolist() == [0, 2] and method.seen == 2


def test_the_target_loss_is_that_of_these_labels():
    """Without strong view or smaller scale it is the loss of the target images with the label that the teacher gives, divided
    by the target scores of the labelled images where these are more.
    """
    options = {"target_scale": 1.0, "target_weather": "none"}
    model, method = training(**options)
    method._strong = lambda weak, seeds: weak  # type: ignore[method-assign]
    batch = batch_of()
    sums: list[torch.Tensor] = []
    method._factor = lambda: (sums.extend(method.sums), torch.ones(()))[1]  # type: ignore[method-assign]
    _, items = model(dict(batch))
    labels = {
        "bboxes": torch.tensor([[0.5, 0.5, 0.25, 0.25]] * 2),
        "cls": torch.ones(2, 1),
        "batch_idx": torch.arange(2.0),
    }
    model, _ = training(epoch=0)
    _, expected = model({**batch, **labels, "img": batch["target"]})
    assert items["target"].item() == pytest.approx(sum(float(v) for v in expected.values()), rel=1e-3)
    divided, learnt, usual = sums[0].tolist()
    assert divided == learnt > 0 and usual > 0


def test_few_labels_do_not_make_the_background_loud():
    """Divided by scores of 2 where labelled images have 8: a quarter; and never more than once."""
    method = MeanTeacher()
    method.sums = [torch.tensor([2.0, 2.0, 8.0])]
    assert method._factor() == 0.25
    method.sums = [torch.tensor([9.0, 8.0, 2.0])]
    assert method._factor() == 9 / 8
    method.sums = [torch.tensor([0.0, 0.0, 0.0])]
    assert method._factor() == 1


def assigned(method: Any, scores: torch.Tensor, foreground: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
    """Targets for two points at (1, 1) and (3, 1) px, where the student's own scores are 0.2."""
    assigner = PseudoLabelAssigner(method, lambda *args: (None, None, scores, foreground, objects))
    points = torch.tensor([[1.0, 1.0], [3.0, 1.0]])
    return assigner(torch.full((1, 2, 3), 0.2), torch.zeros(1, 2, 4), points)[2]


def method_with(confidence: list[float], unsure: list[list[float]]) -> Any:
    pseudo = PseudoLabels(torch.tensor([confidence]), torch.tensor([unsure]))
    return SimpleNamespace(pseudo=pseudo, sides=torch.tensor([4.0, 2.0, 4.0, 2.0]), sums=[])


def test_uncertain_labels_count_by_their_score():
    """Both points belong to objects, 1 and 0: targets times 0.4 and 1; what is an object's is not unsure."""
    method = method_with([1.0, 0.4], [[0.0, 0.0, 1.0, 1.0]])
    targets = assigned(method, torch.ones(1, 2, 3), torch.ones(1, 2), torch.tensor([[1, 0]]))
    assert targets.tolist() == [[pytest.approx([0.4] * 3), [1.0] * 3]]
    method.pseudo = None
    assert assigned(method, torch.ones(1, 2, 3), torch.ones(1, 2), torch.tensor([[1, 0]])).min() == 1


def test_nothing_is_learnt_where_an_object_may_be():
    """The left half may hold one: there the target is the student's own score; on the right it is background."""
    method = method_with([1.0], [[0.0, 0.0, 0.5, 1.0]])
    targets = assigned(method, torch.zeros(1, 2, 3), torch.zeros(1, 2), torch.zeros(1, 2))
    assert targets.tolist() == [[pytest.approx([0.2] * 3), [0.0] * 3]]
    assert method.sums[0].tolist() == pytest.approx([0.6, 0.0, 0.0])


def test_more_labels_than_labelled_objects():
    """Three in one image, where no labelled image has more than one."""
    model, method = training()
    places = torch.tensor([[8.0, 8.0, 24.0, 24.0], [32.0, 32.0, 48.0, 48.0], [8.0, 40.0, 24.0, 56.0]]).repeat(2, 1, 1)
    method._label = lambda weak, classes: pseudo_labels(  # type: ignore[method-assign]
        Detections(places, torch.ones(2, 3), torch.ones(2, 3, dtype=torch.long)), torch.ones(2, 3), (64, 64)
    )
    _, items = model(batch_of())
    assert items["pseudo_labels"] == 3 and items["target"] > 0


def test_the_student_sees_smaller_images_at_first():
    model, method = training(target_scale=0.5)
    assert method.scale == 0.5
    seen = []
    model.detector.model[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[-1]))
    model(batch_of())
    assert seen == [64, 32]


def test_a_teacher_that_labels_nothing_is_mentioned_once(caplog: pytest.LogCaptureFixture):
    model, method = training(score=0.01)
    run = Run(model.detector, epochs=4, averaged=Teacher(0.01))
    for epoch in (1, 2, 3):
        model(batch_of())
        run.begin(epoch)
        method.on_epoch(run)
    assert [record.message for record in caplog.records if "labelled nothing" in record.message] == [
        "note: the teacher labelled nothing in 2 target images: none of its detections reaches 0.4. Lower "
        "--target-threshold, or train longer before it labels (--target-burn-in)."
    ]


def test_a_teacher_that_sees_one_class_alone_stops_the_run():
    """60 labels of class 1, where half of the labelled objects are of class 0."""
    model, method = training()
    run = Run(model.detector, epochs=2, averaged=Teacher(0.9))
    for _ in range(30):
        method._label(torch.zeros(2, 3, 64, 64), torch.tensor([0.0, 1.0]))
    with pytest.raises(UserError, match=r"100% of the 60 pseudo-labels.*'bar', which is 50% of the labelled"):
        method.on_epoch(run)


def test_an_epoch_that_is_resumed_keeps_its_counts():
    """60 labels of class 1 before the interruption, 40 of class 0 after it: the epoch is judged by all, when it is over."""
    model, method = training()
    run = Run(model.detector, epochs=4, averaged=Teacher(0.9))
    method.thresholds.objects += 30
    method.counts += torch.tensor([0.0, 60.0])
    run.begin(1, resumed=True)
    method.on_epoch(run)
    assert method.counts.tolist() == [0, 60]
    method.counts += torch.tensor([40.0, 0.0])
    run.begin(2)
    method.on_epoch(run)
    assert method.counts.tolist() == [0, 0]


def test_the_last_epoch_is_reviewed_when_the_run_ends(caplog: pytest.LogCaptureFixture):
    """What would stop the run at the start of a next epoch is mentioned; no labels at all, too."""
    model, method = training()
    run = Run(model.detector, epochs=2, averaged=Teacher(0.9))
    for _ in range(30):
        method._label(torch.zeros(2, 3, 64, 64), torch.tensor([0.0, 1.0]))
    method.detach(run.detector)
    assert "note: --method mean-teacher: 100% of the 60 pseudo-labels" in caplog.text
    model, method = training(score=0.01)
    model(batch_of())
    method.detach(model.detector)
    assert "the teacher labelled nothing in 2 target images" in caplog.text


def test_the_run_must_average():
    method = MeanTeacher()
    detector = build(NETWORK, NAMES)
    method.attach(detector)
    with pytest.raises(UserError, match="--ema false"):
        method.on_epoch(Run(detector, averaged=detector))


@pytest.mark.parametrize("text", ["", "much", "0.6-0.3", "0-0.5", "0.5-1", "0.1-0.2-0.3"])
def test_thresholds_that_are_none(text):
    with pytest.raises(UserError, match="--target-threshold"):
        threshold_range(text)


def with_target(root: Path, **changes: Any) -> dict[str, Any]:
    """The tiny set with target images, inverted ones of val_day, and their labels."""
    options = write_dataset(root, images=8)
    folder = root / "images" / "target"
    folder.mkdir()
    shutil.copytree(root / "labels" / "val_day", root / "labels" / "target")
    for image in list_images(root / "images" / "val_day", root):
        cv2.imwrite(str(folder / image.name), 255 - cv2.imread(str(image)))
    save_yaml(root / "world.yaml", load_yaml(root / "world.yaml") | {"target": "images/target"} | changes)
    return options | {"method": "mean-teacher", "epochs": 2, "target_burn_in": 0.5}


def test_training_leaves_a_plain_detector(tmp_path: Path):
    result = engine.train(**with_target(tmp_path), target_threshold="0.001-0.6")
    first, last = read_csv(result.save_dir / "results.csv")
    assert not first["train/target"] and float(last["train/target"]) > 0
    assert 0 <= float(last["target/precision"]) <= 1 and float(last["train/pseudo_labels"]) >= 0
    detector, _ = load_detector(result.best)
    plain = build(NETWORK, NAMES)
    assert parameters(detector) == parameters(plain) and detector.state_dict().keys() == plain.state_dict().keys()


def test_a_run_resumed_inside_an_epoch_equals_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped after the third of four batches, in the epoch in which the teacher labels: equal rows and weights.

    The check of the teacher tells its weights, which differ inside the epoch.
    """
    options = with_target(tmp_path) | {"target_threshold": "0.001-0.6", "noval": True}
    original = Trainer._step

    def stopping(self: Trainer, run: Any, batch: Any) -> Any:
        items = original(self, run, batch)
        self.stop_requested |= run.iteration == 2
        return items

    def told(check: Any, teacher: Any, *args: Any) -> dict[str, float]:
        return {"target/precision": float(next(teacher.parameters()).sum())}

    monkeypatch.setattr(LabelCheck, "__call__", told)
    whole = engine.train(**options, name="whole")
    monkeypatch.setattr(Trainer, "_step", stopping)
    assert engine.train(**options, name="stopped").interrupted
    monkeypatch.setattr(Trainer, "_step", original)
    resumed = engine.train(resume=str(whole.save_dir.with_name("stopped")))
    ours, theirs = (load_detector(run.save_dir / "weights/last.pt")[0].state_dict() for run in (resumed, whole))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    rows, unbroken = ([{**row, "seconds": 0} for row in run.rows] for run in (resumed, whole))
    assert rows == unbroken and "target/precision" in rows[1]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"target": "images/val"}, "also an image of the test split"),
        ({"target": "images/train"}, "is a labelled training image"),
        ({"target": "images/nowhere"}, "missing"),
        ({"target": []}, "has no 'target' line"),
    ],
)
def test_target_splits_that_are_refused(tmp_path: Path, changes: dict[str, Any], match: str):
    with pytest.raises(UserError, match=match):
        engine.train(**with_target(tmp_path, **changes))


def test_an_empty_target_folder_is_refused(tmp_path: Path):
    options = with_target(tmp_path)
    for image in (tmp_path / "images" / "target").iterdir():
        image.unlink()
    with pytest.raises(UserError, match="holds no image"):
        engine.train(**options)
