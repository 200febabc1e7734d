"""Fractions of the gradient, and the factors that follow from published ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from engine.training.gauge import BATCHES, MOST_TRIES, Gauge, gradient, norms, shared_layers
from engine.training.module import TrainingModel
from methods.aeris import PUBLISHED_SHARE as RESTORE
from methods.base import Method, Term
from methods.registry import create
from models.classifier import build as classifier
from models.detector import build
from utils.errors import UserError

GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=10)


class Weighted(Method):
    """Declares a term with a published share, a tenth."""

    name = "weighted"

    def terms(self) -> dict[str, Term]:
        return {"mine": Term("mine_weight", share=0.1), "free": Term("free_weight")}

    def loss(self, step: Any) -> dict[str, torch.Tensor]:
        return {}


def make_gauge(monkeypatch: pytest.MonkeyPatch) -> tuple[Gauge, nn.Parameter]:
    """A gauge over one layer with the weights (1, 1)."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    monkeypatch.setattr("engine.training.gauge.shared_layers", lambda network: [layer])
    return Gauge(None, [Weighted()]), layer.weight


def test_gradients_by_hand() -> None:
    """d(3a + 4b) = (3, 4); a constant and an unused weight have none."""
    weights = [torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)]
    assert gradient((3 * weights[0] + 4 * weights[1]).sum(), weights).tolist() == [3, 4]
    assert gradient((3 * weights[0]).sum(), weights, scale=2.0).tolist() == [6, 0]
    assert gradient(torch.tensor(7.0), weights).tolist() == [0, 0]


def test_the_share_and_the_factor_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms 10 and 0.5: a raw share, 0.05, and a factor of 2 for the published 0.1. A free term keeps its own."""
    gauge, weight = make_gauge(monkeypatch)
    assert gauge.factor("mine") == 1 and gauge.due(first=False)
    for _ in range(BATCHES):
        gauge.measure(weight[0, 0] * 10, {"mine": weight[0, 1] / 2, "free": weight[0, 0] / 50})
    assert gauge.factor("mine") == pytest.approx(2) and gauge.factor("free") == 1
    assert gauge.row() == pytest.approx({"share/mine": 0.1, "share/free": 0.002})
    assert gauge.due(first=True) and not gauge.due(first=False)
    gauge.measure(weight[0, 0] * 10, {"mine": weight[0, 1] / 4})  # later batches change no factor
    assert gauge.factor("mine") == pytest.approx(2) and gauge.row() == pytest.approx({"share/mine": 0.05})


def test_notes_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, weight = make_gauge(monkeypatch)
    gauge.measure(weight[0, 0] * 10, {"mine": weight[0, 1] / 2, "free": weight[0, 0] / 50})
    told, weak = gauge.notes()
    assert told.startswith("mine: multiplied by 2, ") and "10.00%" in told and "--mine-weight" in told
    assert "'free' hardly acts: 0.20%" in weak and "--free-weight" in weak
    assert gauge.notes() == []
    again = make_gauge(monkeypatch)[0]
    again.load_state(gauge.state())
    assert again.notes() == [] and again.row() == gauge.row() and again.factor("mine") == gauge.factor("mine")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    gauge, weight = make_gauge(monkeypatch)
    with pytest.raises(UserError, match="--method weighted: the term 'mine' .* NaN or infinite.* lower --mine-weight"):
        gauge.measure(weight[0, 0], {"mine": weight[0, 1] * value})
    gauge.scale = 1024.0  # mixed precision: the scaler leaves such a step out
    gauge.measure(weight[0, 0], {"mine": weight[0, 1] * value})
    assert gauge.row() == {} and gauge.factor("mine") == 1
    assert (
        gauge.broken({"train/mine": value, "train/box": 1.0}) == " The term 'mine' of --method weighted was no number."
    )
    assert gauge.broken({"train/mine": 1.0}) == ""


def test_of_several_broken_terms_the_strongest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It broke the network, which then makes NaN of every term."""
    gauge, weight = make_gauge(monkeypatch)
    gauge.measure(weight[0, 0], {"mine": weight[0, 1], "free": weight[0, 1] * 1e20})
    lost = {"train/mine": float("nan"), "train/free": float("nan")}
    assert gauge.broken(lost) == " The term 'free' of --method weighted was no number."


def test_frozen_layers_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)]
    layers[0].requires_grad_(False)
    monkeypatch.setattr("engine.training.gauge.shared_layers", lambda network: layers)
    gauge = Gauge(None, [Weighted()])
    gauge.measure(layers[1].weight.sum() * 4, {"mine": layers[1].weight.sum()})
    assert gauge.sums["mine"] == (1.0, 4.0, 1)
    layers[1].requires_grad_(False)
    gauge.measure(torch.ones(()), {"mine": torch.ones(())})
    assert gauge.row() == {}


def test_a_term_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, weight = make_gauge(monkeypatch)
    for _ in range(MOST_TRIES):
        assert gauge.due(first=False)
        gauge.measure(weight[0, 0] * 10, {"free": weight[0, 0]})
    assert not gauge.due(first=False) and gauge.due(first=True)
    again = make_gauge(monkeypatch)[0]
    again.load_state(gauge.state())
    assert not again.due(first=False)


def test_norms_of_any_scale() -> None:
    rows = torch.tensor([[3.0, 4.0], [3e25, 4e25], [3e-25, 4e-25], [0.0, 0.0]])
    assert norms(rows).tolist() == pytest.approx([5, 5e25, 5e-25, 0])
    assert norms(torch.tensor([[float("nan"), 1.0]])).isnan().all()


def test_layers_of_a_detector_and_of_a_classifier() -> None:
    detector = build("yolov5n", {0: "thing"})
    assert [layer.i for layer in shared_layers(detector)] == [4, 6, 10]
    network = classifier("resnet18", 2)
    assert shared_layers(network)[0] is network.layer4[1].conv2


def test_methods_without_terms_cost_nothing() -> None:
    gauge = Gauge(None, create("rfla", {}))
    assert not gauge.due(first=True) and gauge.row() == {} and gauge.notes() == []


def make_batch(images: int, size: int = 96) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(images)
    return {
        "img": torch.rand(images, 3, size, size, generator=generator),
        "pair": torch.rand(images, 3, size, size, generator=generator) / 4,
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.3, 0.3, 0.2, 0.2]] * images),
        "cls": torch.zeros(2 * images, 1),
        "batch_idx": torch.arange(images).repeat_interleave(2).float(),
        "seed": list(range(images)),
        "im_file": ["-"] * images,
        "ori_shape": [(size, size)] * images,
    }


@pytest.mark.parametrize("cfg", ["yolov5n", "yolov8n"])
@pytest.mark.parametrize("images", [2, 6])
@pytest.mark.parametrize(("method", "term", "published"), [("wiid", "byol", 0.055), ("aeris", "restore", RESTORE)])
def test_published_shares_at_the_start_of_training(
    cfg: str, images: int, method: str, term: str, published: float
) -> None:
    """Within a factor of 1.5 on two models, at two batch sizes: on a batch that the factor was not taken from."""
    torch.manual_seed(0)
    model = TrainingModel(build(cfg, {0: "thing"}), create(method, {}), GAINS)
    model.build_criterion()
    model.train()
    for _ in range(2):
        model(make_batch(images), measure=True)
    other = make_batch(images)
    other["img"], other["pair"] = other["img"].flip(3), other["pair"].flip(3)
    model(other, measure=True)
    assert published / 1.5 < model.gauge.shares[term] < published * 1.5


def test_what_a_copied_weight_would_do() -> None:
    """Without the factor, BYOL's share is under a fifth of the published one."""
    torch.manual_seed(0)
    model = TrainingModel(build("yolov5n", {0: "thing"}), create("wiid", {}), GAINS)
    model.build_criterion()
    model(make_batch(6), measure=True)
    assert model.gauge.shares["byol"] / model.gauge.factor("byol") < 0.055 / 5
