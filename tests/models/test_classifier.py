"""models.classifier: sizes, pooled features, the projector's numbers, bad names."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.byol import Predictor
from models.classifier import VectorProjector, build, logits_and_features, normalise
from utils.errors import UserError


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "parameters", "tensors"),
    [("resnet18", 10, 11_181_642, 122), ("resnet50", 12, 23_532_620, 320)],
)
def test_sizes_of_the_specification(name: str, classes: int, parameters: int, tensors: int):
    with torch.device("meta"):
        network = build(name, classes)
    assert (count(network), len(network.state_dict())) == (parameters, tensors)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("resnet19", 10, "Did you mean 'resnet18'"),
        ("models/yolov5s.yaml", 10, "Known are resnet18, resnet50"),
        ("resnet18", 1, "at least two names"),
    ],
)
def test_what_cannot_be_built(name: str, classes: int, message: str):
    with pytest.raises(UserError, match=message):
        build(name, classes)


def test_features_are_what_the_head_reads():
    """logits = fc(features), and the hook is gone afterwards."""
    network = build("resnet18", 3).eval()
    with torch.no_grad():
        logits, features = logits_and_features(network, torch.rand(2, 3, 32, 32))
    assert features.shape == (2, 512)
    torch.testing.assert_close(network.fc(features), logits)
    assert not network.fc._forward_pre_hooks


def test_normalise_makes_the_mean_colour_zero():
    """(0.485 - 0.485) / 0.229 = 0; white in red is (1 - 0.485) / 0.229 = 2.2489."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    assert normalise(mean).abs().max() == 0
    assert normalise(torch.ones(1, 3, 1, 1))[0, 0].item() == pytest.approx(2.248908, abs=1e-5)


def test_projector_by_hand():
    """All parameters 0.01, evaluation, ones (512): linear 512 * .01 + .01 = 5.13; batch norm x / sqrt(1 + 1e-5) * .01 + .01

    = .0612997; ReLU keeps it; linear 128 * .0612997 * .01 + .01 = .0884636. The predictor has 33,280 parameters.
    """
    projector = VectorProjector(512).eval()
    for parameter in projector.parameters():
        nn.init.constant_(parameter, 0.01)
    inner = 5.13 / math.sqrt(1 + 1e-5) * 0.01 + 0.01
    assert projector(torch.ones(1, 512))[0].tolist() == pytest.approx([128 * inner * 0.01 + 0.01] * 128)
    assert projector(torch.ones(1, 512))[0, 0].item() == pytest.approx(0.0884636, abs=1e-6)
    assert (count(projector), count(Predictor())) == (82_432, 33_280)
