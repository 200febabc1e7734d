"""The clip classifiers: sizes as published, what they take, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from models.action import INPUTS, build, check_clip
from models.classifier import logits_and_features
from models.normalize import IMAGENET, KINETICS
from utils.errors import UserError

PARAMETERS = {  # with 11 classes
    "r3d_18": 33_171_915,
    "mc3_18": 11_495_883,
    "r2plus1d_18": 31_305_768,
    "s3d": 7_921_323,
    "swin3d_t": 27_858_929,
    "mvit_v2_s": 34_238_603,
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_every_network_is_torchvisions_own(name: str, count: int) -> None:
    with torch.device("meta"):  # sizes need no numbers
        network, other = build(name, 11), models.get_model(name, weights=None, num_classes=11)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert list(network.state_dict()) == list(other.state_dict())


def test_the_table_has_what_was_measured() -> None:
    assert INPUTS.keys() == PARAMETERS.keys()


@pytest.mark.parametrize(("name", "frames", "size", "width"), [("mc3_18", 2, 16, 512), ("swin3d_t", 2, 32, 768)])
def test_logits_and_pooled_features_come_from_one_forward(name: str, frames: int, size: int, width: int) -> None:
    network = build(name, 3).eval()
    clips = torch.zeros(2, 3, frames, size, size)
    with torch.no_grad():
        logits, features = logits_and_features(network, clips)
        assert torch.equal(logits, network(clips))
    assert logits.shape == (2, 3) and features.shape == (2, width)


def test_each_network_has_its_own_normalisation() -> None:
    assert INPUTS["r3d_18"].normalize == KINETICS
    assert INPUTS["swin3d_t"].normalize == IMAGENET


@pytest.mark.parametrize(
    ("name", "frames", "size", "said"),
    [
        ("r3d_18", 16, 112, None),
        ("s3d", 16, 224, None),
        ("s3d", 16, 112, "209 px"),
        ("s3d", 8, 224, "13 frames"),
        ("mvit_v2_s", 16, 112, "exactly 16 frames at 224 px"),
        ("swin3d_t", 16, 16, "32 px"),
    ],
)
def test_clips_that_a_network_cannot_take(name: str, frames: int, size: int, said: str | None) -> None:
    if said is None:
        check_clip(name, frames, size)
        return
    with pytest.raises(UserError, match=said):
        check_clip(name, frames, size)


@pytest.mark.parametrize(("name", "classes", "said"), [("r3d18", 11, "r3d_18"), ("r3d_18", 1, "at least two names")])
def test_networks_that_cannot_be_built(name: str, classes: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(name, classes)
