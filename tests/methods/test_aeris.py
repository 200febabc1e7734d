"""AERIS: what the detector sees, what the decoder is asked for, and that nothing is left of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import engine
from engine.checkpoint import load_detector
from engine.training.module import TrainingModel
from methods.aeris import AERIS, consistency_loss, restoration_loss
from methods.options.aeris import AERISOptions
from models.detector import build, parameters
from models.graph import first_concat
from tests.engine.tiny import NETWORK, write_dataset
from utils.tables import read_csv

NAMES = {0: "square", 1: "bar"}
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)


def batch_of(side: int = 128, images: int = 2) -> dict[str, Any]:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4]] * images)
    return {
        "img": torch.rand(images, 3, side, side, generator=torch.Generator().manual_seed(0)),
        "bboxes": boxes,
        "cls": torch.zeros(images, 1),
        "batch_idx": torch.arange(images).float(),
        "seed": list(range(images)),
        "scenes": ["img"],
    }


@pytest.mark.parametrize(
    ("name", "stage", "index", "channels", "added"),
    [
        ("yolov8n", 2, 14, 192, 66_544),
        ("yolov8n", 1, 11, 384, 94_192),
        ("yolo11n", 2, 15, 256, 75_760),
        ("yolo26n", 2, 15, 256, 75_760),
        ("yolov8s", 2, 14, 384, 94_192),
    ],
)
def test_attachment(name: str, stage: int, index: int, channels: int, added: int) -> None:
    """Specification 4.1: the place is found from the graph, and what is attached has the published size."""
    detector = build(name, NAMES)
    place = first_concat(detector, {1: 16, 2: 8}[stage])
    assert (place.index, place.channels) == (index, channels)
    method = AERIS(AERISOptions(restore_stage=stage))
    method.attach(detector)
    assert method.branch is not None and sum(t.numel() for t in method.branch.parameters()) == added
    assert method.taps(detector) == {"aeris": index}


def test_a_network_that_joins_nothing() -> None:
    with pytest.raises(ValueError, match="no layer of the neck joins features at stride 4"):
        first_concat(build(NETWORK, NAMES), 4)


def degrade(method: AERIS, batch: dict[str, Any]) -> None:
    """What happens to a batch before the network sees it."""
    method.draw(batch)
    method.degrade(batch)


def test_the_detector_sees_a_degraded_view_and_the_clean_one_is_kept() -> None:
    """Sizes are multiples of 32 from a quarter of the side to the side; the same seeds give the same view."""
    batch, again = batch_of(), batch_of()
    original = batch["img"].clone()
    for each in (batch, again):
        degrade(AERIS(), each)
    assert torch.equal(batch["clean"], original) and torch.equal(batch["img"], again["img"])
    side = batch["img"].shape[-1]
    assert side % 32 == 0 and 32 <= side <= 128 and not torch.equal(batch["img"], original)


def test_scope_of_the_degradation() -> None:
    """Resolution alone: at full size nothing is left to do. Blur and noise: the size stays."""
    batch = batch_of()
    degrade(AERIS(AERISOptions(degrade_scope="blur-noise")), batch)
    assert batch["img"].shape == batch["clean"].shape and not torch.equal(batch["img"], batch["clean"])
    batch = batch_of(side=32)
    degrade(AERIS(AERISOptions(degrade_scope="resolution")), batch)
    assert torch.equal(batch["img"], batch["clean"])


def test_other_views_are_degraded_alike() -> None:
    batch = batch_of()
    batch |= {"pair": batch["img"].clone(), "scenes": ["img", "pair"]}
    degrade(AERIS(), batch)
    assert torch.equal(batch["pair"], batch["img"])


def test_losses_by_hand() -> None:
    """|0.25 - 1| = 0.75; orthogonal features are 1 apart, opposite ones 2."""
    assert restoration_loss(torch.full((1, 3, 4, 4), 0.25), torch.ones(1, 3, 4, 4)).item() == pytest.approx(0.75)
    x = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    y = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    assert [consistency_loss(x, z).item() for z in (x, y, -x)] == pytest.approx([0, 1, 2])


def test_the_term_grows_with_the_batch_and_reaches_the_stem() -> None:
    """0.4 * L1 * B in the sum, 0.4 * L1 in the log."""
    detector = build(NETWORK, NAMES)
    model = TrainingModel(detector, [AERIS()], GAINS)
    model.build_criterion()
    model.train()
    batch = batch_of()
    loss, items = model(batch)
    plain = sum(float(value) for name, value in items.items() if name != "restore")
    assert loss.item() == pytest.approx(2 * (plain + items["restore"].item()), rel=1e-5)
    detector.zero_grad()
    (loss - 0).backward()
    assert detector.model[0].conv.weight.grad.abs().sum() > 0
    assert all(tensor.grad is not None for tensor in model.methods.parameters())


def test_degradation_alone_has_no_decoder() -> None:
    method = AERIS(AERISOptions(restore_weight=0))
    method.attach(build(NETWORK, NAMES))
    assert method.branch is None and method.taps(build(NETWORK, NAMES)) == {}


def test_training_leaves_a_plain_detector(tmp_path: Path) -> None:
    options = {**write_dataset(tmp_path, images=8), "method": "aeris", "epochs": 1, "consistency_weight": 1.0}
    result = engine.train(**options)
    (row,) = read_csv(result.save_dir / "results.csv")
    assert float(row["train/restore"]) > 0 and float(row["train/consistency"]) >= 0 and "val/restore" not in row
    detector, _ = load_detector(result.best)
    plain = build(NETWORK, NAMES)
    assert parameters(detector) == parameters(plain)
    assert detector.state_dict().keys() == plain.state_dict().keys()
