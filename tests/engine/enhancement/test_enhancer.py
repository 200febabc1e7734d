"""Enhancers: curves by hand, padding left alone, weights of every layout, and what unfit ones get."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.enhancement.enhancer import (
    REACH,
    Enhancer,
    brightened,
    chained,
    clahe,
    gamma,
    in_bands,
    load_zero_dce,
    open_enhancer,
    save_zero_dce,
)
from models.zero_dce import ZeroDCE
from utils.errors import UserError


@pytest.fixture
def network() -> ZeroDCE:
    """Weights that do something: curves between about -0.5 and 0.5."""
    torch.manual_seed(0)
    made = ZeroDCE().requires_grad_(False)
    for tensor in made.parameters():
        tensor.normal_(0, 0.06)
    return made


def grey(level: float, height: int = 8, width: int = 8) -> Tensor:
    return torch.full((1, 3, height, width), level)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0.25, 0.5),  # g = ln .5 / ln .25 = .5
        (0.125, 0.5),  # g = 1/3
        (0.5, 0.5),  # g = 1
        (0.8, 0.8),  # bright images are left as they are
        (0.01, 0.01**0.2),  # g = .15 would be below the limit
        (0.0, 0.0),
        (1.0, 1.0),
    ],
)
def test_gamma_by_hand(level, expected):
    assert gamma(grey(level)).unique().tolist() == pytest.approx([expected], rel=1e-5)


def test_gamma_takes_each_image_by_itself():
    both = torch.cat([grey(0.25), grey(0.8)])
    assert torch.allclose(gamma(both).mean((1, 2, 3)), torch.tensor([0.5, 0.8]))


def test_gamma_of_an_image_of_two_levels():
    """Half 0, half .5: mean .25, g = .5: 0 and sqrt(.5)."""
    image = torch.cat([grey(0.0), grey(0.5)], 3)
    assert gamma(image).unique().tolist() == pytest.approx([0.0, math.sqrt(0.5)])


def test_clahe_is_opencv_s_on_the_lightness():
    rgb = np.random.default_rng(0).integers(0, 60, (64, 48, 3), dtype=np.uint8)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    expected = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    found = clahe(torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255)
    assert (found[0].permute(1, 2, 0).mul(255).round().byte().numpy() == expected).all()
    assert expected.mean() > 1.2 * rgb.mean()


@pytest.mark.parametrize("rows", [1, 5, 19, 20, 100])
def test_bands_change_nothing(network, rows):
    """Seven 3 x 3 convolutions reach 7 px: a band with so many rows around it is the same as in the whole image."""
    assert REACH == 7
    images = torch.rand(2, 3, 20, 13)
    assert torch.allclose(in_bands(network, images, most=2 * 13 * rows), network(images)[0], atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_fast_way_gives_what_the_network_gives(network, scale):
    network.scale = scale
    images = 0.4 * torch.rand(2, 3, 37, 50)
    assert torch.allclose(brightened(network, images), network(images)[0], atol=1e-5)


@pytest.mark.parametrize("method", ["zero-dce", "clahe", "gamma"])
@pytest.mark.parametrize("shape", [(2, 40, 56), (1, 3, 5)])
def test_every_enhancer_keeps_shape_and_range(method, shape):
    batch, height, width = shape
    enhancer = open_enhancer(method)
    assert enhancer is not None and enhancer.name.startswith(method)
    images = 0.3 * torch.rand(batch, 3, height, width)
    bright = enhancer(images)
    assert (bright.shape, bright.dtype, bright.requires_grad) == (images.shape, torch.float32, False)
    assert bright.min() >= 0 and bright.max() <= 1


@pytest.mark.parametrize("method", ["zero-dce", "gamma"])
def test_the_shipped_choice_brightens_the_dark(method):
    """A mean of .1 comes to more than .25."""
    enhancer = open_enhancer(method)
    assert enhancer is not None
    assert enhancer(0.2 * torch.rand(1, 3, 64, 64)).mean() > 0.25


def test_none_is_none():
    assert open_enhancer("none") is None
    assert chained(None, None) is None


def test_padding_stays_and_is_not_seen(network):
    """Images of three places in grey come out as they do alone; equal places go together."""
    enhancer = Enhancer("test", lambda images: in_bands(network, images))
    areas = [(2, 0, 20, 24), (2, 0, 20, 24), (0, 6, 24, 12)]
    images = torch.full((3, 3, 24, 24), 114 / 255)
    imgs = [0.2 * torch.rand(1, 3, height, width) for _, _, height, width in areas]
    for image, img, (top, left, height, width) in zip(images, imgs, areas, strict=True):
        image[:, top : top + height, left : left + width] = img[0]
    before = images.clone()
    found = enhancer.within(images, areas)
    assert (images == before).all()
    for image, img, (top, left, height, width) in zip(found, imgs, areas, strict=True):
        inside = image[:, top : top + height, left : left + width].clone()
        assert torch.allclose(inside, enhancer(img)[0], atol=1e-6)
        image[:, top : top + height, left : left + width] = 114 / 255
    assert (found == 114 / 255).all()


def test_an_image_of_bytes_keeps_its_channels_apart():
    """Blue-green-red in and out: only blue is doubled."""
    enhancer = Enhancer("test", lambda images: images * torch.tensor([1.0, 1.0, 2.0]).view(1, 3, 1, 1))
    image = np.array([[[10, 20, 30], [200, 20, 30]]], np.uint8)
    assert enhancer.image(image).tolist() == [[[20, 20, 30], [255, 20, 30]]]


def test_the_caller_s_step_comes_first():
    enhancer = Enhancer("test", lambda images: images * 2)
    both = chained(lambda image: image + 5, enhancer)
    assert both is not None and both(np.full((1, 1, 3), 10, np.uint8)).tolist() == [[[30, 30, 30]]]


def as_published(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)  # as torch 1.0 wrote it


@pytest.mark.parametrize(
    "write",
    [
        torch.save,
        as_published,
        lambda state, path: torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path),
        save_file,
    ],
)
def test_a_user_s_own_file_loads_unchanged(network, tmp_path, write: Callable[[dict[str, Tensor], Path], None]):
    path = tmp_path / "weights.bin"
    write(network.state_dict(), path)
    found = load_zero_dce(path, scale=4)
    assert found.scale == 4
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
    assert load_zero_dce(path).scale == 1


def test_saved_weights_say_how_they_were_made(network, tmp_path):
    path = tmp_path / "deep" / "zero.safetensors"
    save_zero_dce(path, network, {"epoch": 3})
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "network": "zero-dce", "epoch": "3"}
    assert 317_000 < path.stat().st_size < 325_000  # 79,416 numbers of 4 bytes
    assert torch.equal(load_zero_dce(path).e_conv7.bias, network.e_conv7.bias)


@pytest.mark.parametrize(
    ("facts", "asked", "expected"),
    [
        ({"options": {"scale": 4}}, None, 4),
        ({"options": {"scale": 4}}, 1, 1),
        ({"options": {"scale": 7}}, None, 1),
        ({"options": "4"}, None, 1),
        ({}, None, 1),
    ],
)
def test_the_scale_is_that_of_the_training_unless_asked(network, tmp_path, facts, asked, expected):
    save_zero_dce(tmp_path / "a.safetensors", network, facts)
    assert load_zero_dce(tmp_path / "a.safetensors", asked).scale == expected


def test_another_architecture_is_named_by_its_tensors(tmp_path):
    """Zero-DCE++ has depthwise convolutions under the same first names: 14 tensors miss, 2 are unknown."""
    path = tmp_path / "other.pt"
    torch.save({"e_conv1.depth_conv.weight": torch.zeros(3, 1, 3, 3), "e_conv1.depth_conv.bias": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"other.pt.*e_conv1.weight is missing.*and 12 more.*train-enhancer"):
        load_zero_dce(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gamma", Path("a.pt")), "--enhance gamma: only zero-dce has a network with weights"),
        (("clahe", None, 4), "--enhance clahe: only zero-dce has a network with scale"),
        (("none", Path("a.pt")), "--enhance none"),
        (("zero-dce", Path("nowhere.pt")), "nowhere.pt: there is no such file"),
    ],
)
def test_unfit_options_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        open_enhancer(*arguments)
