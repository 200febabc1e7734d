"""The composing model: what it calls, what it adds up, what it leaves behind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from engine.training.module import TrainingModel
from methods.base import Method, View
from models.detector import build

GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=10)


class Probe(Method):
    """Notes its calls, adds a constant term through a module of its own, and darkens the image."""

    name = "probe"

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.factor = factor

    def attach(self, detector: Any) -> None:
        self.calls.append("attach")
        self.heads = nn.ParameterDict({"w": nn.Parameter(torch.tensor(2.0))})

    def taps(self, detector: Any) -> dict[str, int]:
        return {"stem": 0}

    def criterion(self, branch: Any) -> None:
        self.calls.append("criterion")
        assert branch.assigner and branch.bbox_loss and branch.bce

    def prepare(self, batch: dict[str, Any]) -> None:
        self.calls.append("prepare")
        batch["img"] = batch["img"] * self.factor

    def loss(self, step: Any) -> dict[str, torch.Tensor]:
        self.calls.append("loss")
        self.stem = step.taps["stem"].detach()
        return {self.name: self.heads["w"] * 3}


class Second(Probe):
    name = "second"


def make_batch() -> dict[str, Any]:
    return {
        "img": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        "bboxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]]),
        "cls": torch.zeros(1, 1),
        "batch_idx": torch.zeros(1),
        "seed": [0, 1],
    }


def make_model(*methods: Method, cfg: str = "yolov5n") -> TrainingModel:
    torch.manual_seed(0)
    model = TrainingModel(build(cfg, {0: "thing"}), methods, GAINS)
    model.build_criterion()
    return model.train()


def test_plain_loss_is_ultralytics_own() -> None:
    model = make_model()
    total, items = model(make_batch())
    expected = 2 * sum(items.values(), torch.zeros(()))  # box + cls + dfl, times two images
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert list(items) == ["box_loss", "cls_loss", "dfl_loss"]


def test_terms_are_added_and_logged_by_name() -> None:
    method = Probe()
    total, items = make_model(method)(make_batch())
    plain, _ = make_model()(make_batch())
    assert total.item() == pytest.approx(plain.item() + 6.0, rel=1e-5)  # 2 * 3
    assert items["probe"].item() == 6.0 and not items["probe"].requires_grad
    assert method.calls == ["attach", "criterion", "prepare", "loss"]
    assert method.stem.shape == (2, 16, 32, 32)


def test_methods_compose_in_order() -> None:
    first, second = Probe(), Second()
    _, items = make_model(first, second)(make_batch())
    assert list(items)[-2:] == ["probe", "second"]


def test_prepare_acts_before_the_first_forward() -> None:
    """Two black images look the same to the stem, two random ones do not."""
    black, seen = Probe(factor=0.0), Probe()
    for method in (black, seen):
        make_model(method)(make_batch())
    assert torch.equal(black.stem[0], black.stem[1])
    assert not torch.equal(seen.stem[0], seen.stem[1])


def test_trainable_parts_are_in_the_tree_and_no_hook_is_left() -> None:
    model = make_model(Probe())
    assert "methods.probe.heads.w" in dict(model.named_parameters())
    model(make_batch())
    assert not [layer for layer in model.detector.modules() if layer._forward_hooks]


@pytest.mark.parametrize(("cfg", "branches"), [("yolov8n", 1), ("yolo26n", 2)])
def test_every_branch_of_the_criterion_may_be_changed(cfg: str, branches: int) -> None:
    method = Probe()
    model = make_model(method, cfg=cfg)
    assert len(model.criterion.branches) == branches == method.calls.count("criterion")


class Idle(Method):
    name = "idle"


def test_the_base_method_changes_nothing() -> None:
    method = Idle()
    total, _ = make_model(method)(make_batch())
    assert total.item() == pytest.approx(make_model()(make_batch())[0].item(), rel=1e-6)
    assert method.taps(None) == {} and method.notes(None) == [] and not method.state_dict()


def test_in_an_epoch_of_one_method_only_its_terms_count() -> None:
    """3 times the parameter 2: 6; the detector is not run unless a method asks for it."""
    method = Idle()
    method.loss = lambda step: {"idle": torch.tensor(6.0)}  # type: ignore[method-assign]
    total, items = make_model(method)(make_batch(), "idle")
    assert total.item() == 6 and list(items) == ["idle"]
    asking = Probe()
    total, items = make_model(asking, method)(make_batch(), "probe")
    assert total.item() == 6 and list(items) == ["probe"] and asking.stem is not None


class Fogged(Method):
    """Degrades what shows the scene, adds a view of it, and has an unpaired view of its own."""

    name = "fogged"
    views = (View("pair", "paired"), View("clear", "unpaired"))

    def degrade(self, batch: dict[str, Any]) -> None:
        for name in batch["scenes"]:
            batch[name] = batch[name] / 2 + 0.5
        batch["more"] = batch["img"].clone()
        batch["scenes"].append("more")


class Masked(Method):
    """Blackens the left half of what shows the scene."""

    name = "masked"

    def prepare(self, batch: dict[str, Any]) -> None:
        for name in batch["scenes"]:
            batch[name] = batch[name].clone()
            batch[name][..., :32] = 0


@pytest.mark.parametrize("turned", [False, True])
def test_scenes_are_degraded_before_they_are_masked_and_other_views_stay(turned: bool) -> None:
    batch = make_batch()
    image = batch["img"]
    batch |= {"pair": image / 4, "clear": image / 8}
    methods = [Fogged(), Masked()]
    make_model(*(methods[::-1] if turned else methods))(batch)
    assert batch["scenes"] == ["img", "pair", "more"] and torch.equal(batch["clear"], image / 8)
    for name, before in (("img", image), ("pair", image / 4), ("more", image)):
        assert (batch[name][..., :32] == 0).all()
        torch.testing.assert_close(batch[name][..., 32:], before[..., 32:] / 2 + 0.5)
