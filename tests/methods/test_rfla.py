"""RFLA as a method: what its options become, what it puts into the criterion, and that the detector stays plain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.training.module import TrainingModel
from methods.options.rfla import RFLAOptions
from methods.registry import create
from methods.rfla import RFLA, RFLAssigner, read_fields
from methods.rfla_assigner import MODES, Rules
from models.detector import build
from utils.errors import UserError
from utils.options import canonical, from_file

NAMES = {0: "ship", 1: "person"}


def training_model(cfg: str, options: RFLAOptions | None = None) -> TrainingModel:
    torch.manual_seed(0)
    gains = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=2)
    model = TrainingModel(build(cfg, NAMES), create("rfla", {RFLAOptions: options} if options else {}), gains)
    model.build_criterion()
    return model


def batch(side: float, size: int = 128) -> dict[str, Any]:
    """Two images with three square objects of `side` px each."""
    centre = torch.tensor([[0.2, 0.3], [0.52, 0.61], [0.8, 0.4]] * 2)
    return {
        "img": torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)),
        "cls": torch.tensor([[0.0], [1], [1]] * 2),
        "bboxes": torch.cat([centre, torch.full((6, 2), side / size)], 1),
        "batch_idx": torch.tensor([0.0, 0, 0, 1, 1, 1]),
        "seed": [0, 1],
    }


@pytest.mark.slow
@pytest.mark.parametrize("options", [RFLAOptions(), RFLAOptions(rfla_mode="paper")])
@pytest.mark.parametrize(("cfg", "branches"), [("yolov8n", 1), ("yolov8n-p2", 1), ("yolo26n", 2), ("yolo26n-p2", 2)])
def test_every_branch_trains_towards_tiny_objects(cfg: str, branches: int, options: RFLAOptions) -> None:
    """DFL heads and direct ones, one branch or two: a finite loss, and a gradient in the box head from 6 px objects."""
    model = training_model(cfg, options)
    found = model.criterion.branches
    assert len(found) == branches
    assert all(isinstance(b.assigner, RFLAssigner) for b in found)
    loss, items = model(batch(side=6))
    loss.backward()
    assert loss.isfinite() and items["box_loss"] > 0.1
    gradient = model.detector.model[-1].cv2[0][-1].weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_without_it_tiny_objects_give_no_box_loss() -> None:
    """What the method is for: the same batch under TAL has a box loss of nothing."""
    model = training_model("yolov8n")
    (branch,) = model.criterion.branches
    branch.assigner = branch.assigner.tal
    assert model(batch(side=6))[1]["box_loss"] < 1e-6


@pytest.mark.parametrize("cfg", ["yolov8n", "yolo26n"])
def test_ordinary_objects_give_the_tal_loss_bit_for_bit(cfg: str) -> None:
    ours, tal = training_model(cfg), training_model(cfg)
    for branch in tal.criterion.branches:
        branch.assigner = branch.assigner.tal
    assert torch.equal(ours(batch(side=48))[0], tal(batch(side=48))[0])


def test_the_detector_stays_plain() -> None:
    model = training_model("yolov8n")
    plain = build("yolov8n", NAMES)
    assert list(model.detector.state_dict()) == list(plain.state_dict())
    assert not model.methods.state_dict()


def test_notes_say_fields_and_split() -> None:
    """yolov8n: 95, 239 and 399 px, halved; boundaries of the specification, 80.7 and 157.8 px."""
    method = RFLA()
    detector = build("yolov8n", NAMES)
    method.attach(detector)
    (note,) = method.notes(detector)
    assert "stride 8: 47.5 px, stride 16: 119.5 px, stride 32: 199.5 px" in note
    assert "8|16 at 81 px, 16|32 at 158 px" in note


def test_given_fields_and_fraction() -> None:
    method = RFLA(RFLAOptions(rf="8:45.5, 32:213.5", rf_fraction=1 / 3))
    method.attach(build("yolov8n", NAMES))
    assert method.fields == {8: 45.5, 16: pytest.approx(239 / 3), 32: 213.5}


@pytest.mark.parametrize(
    ("text", "expected"), [("", {}), ("8:45.5", {8: 45.5}), ("8:45.5,16:133.5", {8: 45.5, 16: 133.5})]
)
def test_fields_are_read(text: str, expected: dict[int, float]) -> None:
    assert read_fields(text) == expected


@pytest.mark.parametrize("text", ["8", "8:x", "x:8", "8:-4", "0:10", "8:nan", "8:45:5"])
def test_fields_that_make_no_sense(text: str) -> None:
    with pytest.raises(UserError, match=r"--rf .* not a stride:side pair"):
        read_fields(text)


@pytest.mark.parametrize(
    ("options", "rules", "expected"),
    [
        (RFLAOptions(), None, {}),
        (RFLAOptions(rfla_floor=0.0), None, {"floor": 0.0}),
        (RFLAOptions(rfla_tiny=16.0), {"topk": (4, 1)}, {"tiny": 16.0, "topk": (4, 1)}),
        (RFLAOptions(rfla_floor=0.2), {"floor": 0.4}, {"floor": 0.4}),
    ],
)
def test_options_and_python_choose_rules(
    options: RFLAOptions, rules: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    assert RFLA(options, rules).rules == expected


@pytest.mark.parametrize("rule", [*Rules.__dataclass_fields__, "box", "inside"])
def test_rules_that_left_the_command_line(rule: str) -> None:
    if rule in ("tiny", "floor"):
        assert canonical({f"--rfla-{rule}": 0.5}, [RFLAOptions]) == {f"rfla_{rule}": 0.5}
        return
    with pytest.raises(UserError, match=f"option --rfla-{rule}: it is no longer there. .*[a-z]"):
        canonical({f"--rfla-{rule}": 1}, [RFLAOptions])


def test_options_of_older_runs_are_read() -> None:
    saved = {"rfla_mode": "paper", "rfla_topk": None, "rfla_inside": False, "rfla_box": None}
    assert from_file(saved, [RFLAOptions]) == {"rfla_mode": "paper"}


def test_every_mode_is_offered() -> None:
    for mode in MODES:
        assert RFLA(RFLAOptions(rfla_mode=mode)).options.rfla_mode == mode
