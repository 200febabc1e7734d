"""The detection loss without waits against Ultralytics' own: the same bits on the CPU, the same numbers on a device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.detector import build
from models.loss import detection as detection_loss
from models.loss.detection import SHARED, geometry, most_objects, padded_objects, without_waits
from tests.accelerator.device import KIND, STOPS, simulated

GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=3)
NAMES = dict.fromkeys(range(3), "x")


def labels(rows: list[list[float]]) -> dict[str, Any]:
    """image, class, x, y, width, height of each object."""
    table = torch.tensor(rows).view(-1, 6)
    return {"batch_idx": table[:, 0], "cls": table[:, 1:2], "bboxes": table[:, 2:]}


SOME = labels([[0, 1, 0.5, 0.5, 0.4, 0.3], [0, 2, 0.52, 0.5, 0.3, 0.3], [2, 0, 0.2, 0.3, 0.02, 0.03]])
SETS = {"some": SOME, "none": labels([]), "one": labels([[1, 0, 0.5, 0.5, 0.9, 0.9]])}


def network(cfg: str, weights: bool = False) -> Any:
    torch.manual_seed(0)
    detector: Any = build(cfg, NAMES).train()
    detector.args = GAINS
    detector.class_weights = torch.tensor([0.5, 1.0, 1.5]) if weights else None
    return detector


def predicted(detector: Any, device: str = "cpu") -> Any:
    """The head's output for three images, as leaves."""
    images = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(1)).to(device)
    found = detector(images)
    for part in [found["one2many"], found["one2one"]] if "one2many" in found else [found]:
        for name in ("boxes", "scores"):
            part[name] = part[name].detach().requires_grad_()
    return found


def result(detector: Any, preds: Any, batch: dict[str, Any], changed: bool, device: str = "cpu") -> list[torch.Tensor]:
    """Loss, items and gradients."""
    criterion = detector.init_criterion()
    parts = [criterion.one2many, criterion.one2one] if hasattr(criterion, "one2many") else [criterion]
    for part in parts if changed else ():
        without_waits(part, torch.device(device))
    loss, items = criterion(preds, batch)
    loss.sum().backward()
    first = preds.get("one2many", preds)
    return [loss.detach(), *items.values(), first["boxes"].grad, first["scores"].grad]


@pytest.mark.parametrize(("cfg", "weights"), [("yolov8n", False), ("yolov8n", True), ("yolo26n", False)])
@pytest.mark.parametrize("objects", SETS)
def test_the_same_bits_as_ultralytics(cfg: str, weights: bool, objects: str) -> None:
    detector = network(cfg, weights)
    theirs = result(detector, predicted(detector), SETS[objects], changed=False)
    ours = result(detector, predicted(detector), SETS[objects], changed=True)
    assert all(torch.equal(a, b) for a, b in zip(theirs, ours, strict=True))


@pytest.mark.parametrize("cfg", ["yolov8n", "yolo26n"])
@pytest.mark.parametrize("most", [2**23, 0])
def test_the_same_numbers_on_a_device_without_a_stop(cfg: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more pairs than are compared at once, matched ones are looked up: one wait a branch."""
    monkeypatch.setattr(detection_loss, "MOST_PAIRS", most)
    detector = network(cfg)
    theirs = result(detector, predicted(detector), SOME, changed=False)
    with simulated() as trace:
        detector.to(KIND)
        batch = {name: value.to(KIND) for name, value in SOME.items()} | {"most_objects": 2}
        preds = predicted(detector, KIND)
        result(detector, preds, batch, changed=True, device=KIND)  # makes what is kept for the size
        for part in [preds["one2many"], preds["one2one"]] if "one2many" in preds else [preds]:
            part["boxes"].grad = part["scores"].grad = None
        criterion_made = trace.count(*STOPS)
        ours = [value.cpu() for value in result(detector, preds, batch, changed=True, device=KIND)]
        waits = trace.lines("wait")
    assert criterion_made and all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(theirs, ours, strict=True))
    assert any("nonzero" in line for line in waits) is (most == 0)


@pytest.mark.parametrize("cfg", ["yolov8n", "yolo26n"])
def test_views_of_one_scene_share_what_their_labels_make(cfg: str) -> None:
    """The second of two losses launches less for the same numbers; a batch without the dict shares nothing."""
    detector, found = network(cfg), []
    with simulated() as trace:
        detector.to(KIND)
        labels_there = {name: value.to(KIND) for name, value in SOME.items()} | {"most_objects": 2}
        branch: Any = detector.init_criterion()
        for part in [branch.one2many, branch.one2one] if cfg == "yolo26n" else [branch]:
            without_waits(part, torch.device(KIND))
        preds = predicted(detector, KIND)
        shared: dict[str, Any] = {SHARED: {}}
        for own in ({}, shared, shared):
            trace.clear()
            found.append((branch(preds, labels_there | own)[0].cpu(), trace.count("launch")))
    alone, first, second = found
    assert torch.equal(alone[0], first[0]) and torch.equal(first[0], second[0])
    assert second[1] < first[1] - 30 and alone[1] >= first[1]


def test_objects_side_by_side() -> None:
    padded = padded_objects(SOME, 3, torch.device("cpu"))
    assert padded.shape == (3, 2, 5) and padded[:, :, 0].tolist() == [[1, 2], [0, 0], [0, 0]]
    assert torch.equal(padded[2, 0, 1:], SOME["bboxes"][2]) and most_objects(SOME["batch_idx"]) == 2
    assert padded_objects(SETS["none"], 2, torch.device("cpu")).shape == (2, 0, 5)


def test_geometry_is_kept_by_size() -> None:
    """64 x 96 px at strides 8 and 16: 8 * 12 + 4 * 6 points, the first in the middle of its cell."""
    arguments = ((8, 12), (4, 6)), (8.0, 16.0), torch.float32, torch.device("cpu")
    first = geometry(*arguments)
    assert first is geometry(*arguments) and len(first.points) == 120
    assert first.places[0].tolist() == [4, 4] and first.places[-1].tolist() == [88, 56]
    assert first.size.tolist() == [64, 96] and first.scale.tolist() == [96, 64, 96, 64]
