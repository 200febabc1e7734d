"""models.classifier: sizes, pooled features, the projector's numbers, bad names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.classifier import ClassificationModel, build, logits_and_features
from models.normalize import IMAGENET
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


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("resnet50", 2048)])
def test_the_model_in_training_takes_views_in_0_to_1(name, width):
    """Its logits are the network's, of normalised images; its criterion is their cross-entropy."""
    torch.manual_seed(0)
    model = ClassificationModel(build(name, 3)).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        logits, pooled = logits_and_features(model.network, IMAGENET(x))
        assert torch.equal(model(x), logits) and torch.equal(model.pooled(x), pooled)
    assert pooled.shape == (2, model.width) == (2, width)
    loss, items = model.init_criterion()(logits, {"cls": torch.tensor([0, 2])})
    expected = -(logits[0].log_softmax(0)[0] + logits[1].log_softmax(0)[2]) / 2
    assert torch.allclose(loss, expected) and items.keys() == {"day"}


def test_a_head_that_reads_nothing_is_named():
    network = nn.Module()
    network.fc = nn.Identity()
    with pytest.raises(ValueError, match="no layer that reads features"):
        _ = ClassificationModel(network).width
