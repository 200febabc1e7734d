"""The semantic branch: where it sits, how large it is, what it puts out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.detector import build
from models.semantic import SemanticBranch, anchor_features, penultimate_channels, penultimate_names

NAMES = {number: f"class {number}" for number in range(120)}


def hooked(detector: Any, names: list[str]) -> tuple[list[Tensor], Any]:
    """The class features, finest first, and the predictions of a pass in training."""
    kept: dict[str, Tensor] = {}
    handles = [
        detector.get_submodule(name).register_forward_hook(lambda m, i, output, name=name: kept.update({name: output}))
        for name in names
    ]
    predictions = detector.train()(torch.rand(2, 3, 64, 64))
    for handle in handles:
        handle.remove()
    return [kept[name] for name in names], predictions


@pytest.mark.slow
@pytest.mark.parametrize("model", ["yolov8n", "yolo11n", "yolo26n"])
def test_the_feature_is_what_the_class_scores_are_made_of(model: str) -> None:
    """Specification 4.1: 100 channels from 100 classes on; the last convolution makes of them the scores, exactly."""
    detector = build(model, NAMES)
    names = penultimate_names(detector)
    assert len(names) == 3 and not any("one2one" in name for name in names)
    assert penultimate_channels(detector) == 100
    levels, predictions = hooked(detector, names)
    scores = predictions.get("one2many", predictions)["scores"]  # (B, C, A)
    last = [branch[-1](level) for branch, level in zip(detector.model[-1].cv3, levels, strict=True)]
    assert torch.equal(anchor_features(last), scores.transpose(1, 2))
    assert anchor_features(levels).shape == (2, 64 + 16 + 4, 100)


def test_a_head_without_class_branches() -> None:
    with pytest.raises(ValueError, match="a head of type Identity has no class branches"):
        penultimate_names(SimpleNamespace(model=[nn.Identity()]))


def test_levels_of_different_width() -> None:
    head = SimpleNamespace(cv3=[nn.Sequential(nn.Identity(), nn.Conv2d(width, 2, 1)) for width in (8, 4, 8)])
    with pytest.raises(ValueError, match=r"different channels: \[4, 8\]"):
        penultimate_channels(SimpleNamespace(model=[head]))


def test_size_and_start() -> None:
    """100 x 1024 numbers, no bias, standard deviation 1024^-0.5 = 0.03125; the text takes no part."""
    torch.manual_seed(0)
    branch = SemanticBranch(100, torch.randn(7, 1024))
    assert [tuple(p.shape) for p in branch.parameters()] == [(1024, 100)]
    assert branch.project.weight.std().item() == pytest.approx(0.03125, rel=0.01)
    assert list(branch.state_dict()) == ["project.weight"]


def test_logits_by_hand() -> None:
    """Text along the axes, of lengths 2 and 5; embedding (3, 4): cosines 0.6 and 0.8, whatever the lengths."""
    branch = SemanticBranch(2, torch.tensor([[2.0, 0.0], [0.0, 5.0]]), scale=10.0)
    torch.testing.assert_close(branch.logits(torch.tensor([[3.0, 4.0]])), torch.tensor([[6.0, 8.0]]))
    branch.project.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # swaps the axes
    torch.testing.assert_close(branch(torch.tensor([[3.0, 4.0]])), torch.tensor([[8.0, 6.0]]))
    assert branch(torch.zeros(0, 2)).shape == (0, 2)


def test_full_precision_under_autocast() -> None:
    branch = SemanticBranch(4, torch.randn(3, 8))
    features = torch.randn(5, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = branch(features)
    assert inside.dtype == torch.float32 and torch.equal(inside, branch(features))


@pytest.mark.parametrize(
    "text", [torch.zeros(2, 3), torch.tensor([[1.0, float("nan")]]), torch.tensor([[float("inf")]])]
)
def test_a_class_without_a_direction(text: Tensor) -> None:
    with pytest.raises(ValueError, match="need one finite row other than 0 for each class"):
        SemanticBranch(4, text)
