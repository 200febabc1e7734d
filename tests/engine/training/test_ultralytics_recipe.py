"""Our step beside Ultralytics' own trainer, with its recipe, the same weights and the same batches: number by number.

Two epochs of four batches at 64 px. What is compared: the rule of `--optimizer auto`, parameter groups, learning rate
and momentum at each iteration, losses, and the weights after the last one.
"""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG

from data.detection.options import AugmentOptions
from engine.options.hyp import load_hyp
from engine.options.train import HyperOptions, TrainOptions
from engine.training.optim import Schedule, resolve_auto
from engine.training.step import TrainStep
from methods.base import Run
from models.detector import build
from tests.engine.tiny import write_dataset
from utils.files import REPOSITORY
from utils.options import build as build_options
from utils.options import schema_fields

EPOCHS, BATCH, IMAGES = 3, 4, 16


def recipe(**changes: Any) -> HyperOptions:
    """hyp.ultralytics.yaml, with these changes."""
    schemas = (HyperOptions, AugmentOptions)
    used, ignored = load_hyp(REPOSITORY / "data/hyps/hyp.ultralytics.yaml", schema_fields(schemas))
    assert not ignored
    hyper: HyperOptions = build_options(schemas, {**used, **changes})[0]
    return hyper


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recipe")
    write_dataset(root, IMAGES)
    (root / "plain.yaml").write_text(
        f"path: {root}\ntrain: images/train\nval: images/val\nnames: {{0: square, 1: bar}}\n"
    )
    return root


class Recorder(DetectionTrainer):
    """Ultralytics' trainer that keeps the first weights, and of each iteration the batch, losses and rates."""

    def start(self) -> None:
        self.first = copy.deepcopy(self.model.state_dict())
        self.steps: list[dict[str, Any]] = []

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        ready = super().preprocess_batch(batch)
        self.batch = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in ready.items()}
        return ready

    def keep(self) -> None:
        groups = {
            (group["param_group"], group["initial_lr"] / self.args.lr0): (
                group["lr"],
                group["momentum"] if "momentum" in group else group["betas"][0],
                group["weight_decay"],
                sum(parameter.requires_grad for parameter in group["params"]),  # not the fixed DFL
            )
            for group in self.optimizer.param_groups
            if group["params"]
        }
        losses = {name: float(value) for name, value in self.loss_items.items()}
        self.steps.append({"batch": self.batch, "losses": losses, "groups": groups})


def theirs(folder: Path, **changes: Any) -> Recorder:
    """Ultralytics' own training."""
    options = {"model": "yolov8n.yaml", "data": str(folder / "plain.yaml"), "epochs": EPOCHS, "batch": BATCH}
    options |= {"imgsz": 64, "device": "cpu", "workers": 0, "plots": False, "val": False, "pretrained": False}
    options |= {"project": str(folder), "name": "theirs", "exist_ok": True, "verbose": False, **changes}
    trainer = Recorder(DEFAULT_CFG, options)
    trainer.add_callback("on_train_start", Recorder.start)
    trainer.add_callback("on_train_batch_end", Recorder.keep)
    trainer.add_callback("on_train_end", lambda trainer: None)
    trainer.final_eval = lambda: None
    trainer.train()
    return trainer


def replay(recorder: Recorder, hyper: HyperOptions) -> tuple[Any, list[dict[str, Any]]]:
    """Our steps over their batches, from their first weights."""
    detector = build("yolov8n.yaml", {0: "square", 1: "bar"})
    detector.load_state_dict(recorder.first)
    train = TrainOptions(epochs=EPOCHS, batch_size=BATCH, imgsz=64, amp="off")
    batches = len(recorder.steps) // EPOCHS
    step = TrainStep(detector, [], train, hyper, Schedule(hyper, EPOCHS, batches, BATCH), torch.device("cpu"))
    run, made = Run(detector, epochs=EPOCHS), []
    for iteration, kept in enumerate(recorder.steps):
        if iteration % batches == 0:
            step.begin_epoch(run, iteration // batches)
        run.iteration = iteration
        items = step(run, {**kept["batch"], "draw": (0, iteration)})
        groups = {
            (group["kind"], group["rate"]): (
                group["lr"],
                group["momentum"] if "momentum" in group else group["betas"][0],
                group["weight_decay"],
                len(group["params"]),
            )
            for group in step.optimiser.param_groups
        }
        made.append({"losses": {name: float(value) for name, value in items.items()}, "groups": groups})
    return step, made


@pytest.mark.parametrize("optimizer", ["auto", "SGD", "MuSGD"])
def test_step_by_step(folder: Path, optimizer: str) -> None:
    recorder = theirs(folder, optimizer=optimizer)
    hyper = resolve_auto(recipe(optimizer=optimizer), IMAGES, EPOCHS, BATCH, classes=2)
    step, made = replay(recorder, hyper)
    assert type(step.optimiser).__name__ == type(recorder.optimizer).__name__
    word = {"bn": "norm", "bias": "bias", "weight": "weight", "muon": "muon"}
    for ours, kept in zip(made, recorder.steps, strict=True):
        expected = {(word[kind], round(rate, 6)): values for (kind, rate), values in kept["groups"].items()}
        assert ours["groups"].keys() == expected.keys()
        for key, values in expected.items():
            assert ours["groups"][key] == pytest.approx(values, rel=1e-6, abs=1e-12), key
        assert ours["losses"] == pytest.approx(kept["losses"], rel=2e-4)
    state = step.detector.state_dict()
    for name, value in recorder.model.state_dict().items():
        assert torch.allclose(state[name].float(), value.float(), rtol=1e-3, atol=1e-4), name


def test_the_class_weights_are_theirs() -> None:
    """--cls-pw 1, 1 and 3 objects: 1 and 1/3, divided by their mean 2/3: 1.5 and 0.5."""
    import numpy as np

    from engine.training.detection import class_weights

    labels = [SimpleNamespace(classes=np.array([[0], [1], [1], [1]]))]
    plan: Any = SimpleNamespace(
        hyper=HyperOptions(cls_pw=1.0), train=TrainOptions(), data=SimpleNamespace(names={0: "a", 1: "b"})
    )
    weights = class_weights(plan, {"train": SimpleNamespace(source=labels)})  # type: ignore[dict-item]
    assert weights is not None and weights.tolist() == pytest.approx([1.5, 0.5])
    other: Any = SimpleNamespace(args=SimpleNamespace(cls_pw=1.0))
    counts = np.array([1.0, 3.0])
    assert DetectionTrainer.compute_class_weights(other, counts).tolist() == pytest.approx([1, 1 / 3])
