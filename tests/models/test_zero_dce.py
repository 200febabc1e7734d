"""Zero-DCE against the published network's numbers (specification 7.8) and losses worked out by hand (7.9)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.zero_dce import (
    STEPS,
    ZeroDCE,
    apply_curves,
    apply_small_curves,
    colour_loss,
    exposure_loss,
    smoothness_loss,
    spatial_loss,
    zero_reference_terms,
)


def even(*levels: float, side: int = 64) -> Tensor:
    """One image (1, 3, side, side) of one colour; a single level is grey."""
    return torch.tensor(levels * (3 // len(levels))).view(1, 3, 1, 1).repeat(1, 1, side, side)


@pytest.fixture
def filled() -> ZeroDCE:
    """Every tensor of n values is linspace(-1, 1, n) / sqrt(n), in float64."""
    network = ZeroDCE().double()
    for tensor in network.state_dict().values():
        n = tensor.numel()
        tensor.copy_(torch.linspace(-1, 1, n, dtype=torch.float64).view_as(tensor) / math.sqrt(n))
    return network.requires_grad_(False)


def test_the_published_architecture_to_the_last_digit(filled):
    """Input .5 + .5 sin(0, 1, 2, ..) as (1, 3, 16, 16); numbers of the reference implementation."""
    image = (0.5 + 0.5 * torch.arange(768, dtype=torch.float64).sin()).view(1, 3, 16, 16)
    enhanced, curves = filled(image)
    assert (enhanced.shape, curves.shape) == (image.shape, (1, 24, 16, 16))
    assert float(enhanced.sum()) == pytest.approx(402.72996276, abs=1e-8)
    assert enhanced[0, 0, 0, :4].tolist() == pytest.approx(
        [0.5888372791, 0.9672740588, 0.9843396038, 0.7246070627], abs=1e-10
    )
    assert float(curves.sum()) == pytest.approx(71.31669621, abs=1e-8)
    assert curves[0, 0, 0, :3].tolist() == pytest.approx([-0.4507595986, -0.5768895941, -0.6131027840], abs=1e-10)


def test_names_and_sizes_of_the_published_state_dict():
    """3*32*9+32 + 3*(32*32*9+32) + 2*(64*32*9+32) + 64*24*9+24 = 896 + 27,744 + 36,928 + 13,848 = 79,416."""
    state = ZeroDCE().state_dict()
    assert list(state) == [f"e_conv{n}.{part}" for n in range(1, 8) for part in ("weight", "bias")]
    assert [state[f"e_conv{n}.weight"].shape[:2] for n in (1, 2, 5, 7)] == [(32, 3), (32, 32), (32, 64), (24, 64)]
    assert sum(tensor.numel() for tensor in state.values()) == 79_416


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_are_fixed_points(filled, level):
    enhanced, _ = filled(torch.full((1, 3, 9, 7), level, dtype=torch.float64))
    assert (enhanced == level).all()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (33, 20)])
def test_any_size_at_any_scale_stays_in_range(scale, shape):
    torch.manual_seed(0)
    network = ZeroDCE(scale)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, 0, 0.5)  # curves reach -1 and 1
    image = torch.rand(2, 3, *shape)
    enhanced, curves = network(image)
    assert (enhanced.shape, curves.shape) == (image.shape, (2, 24, *shape))
    assert curves.abs().max() <= 1 + 1e-6  # but for rounding
    assert enhanced.min() >= -1e-6 and enhanced.max() <= 1 + 1e-6


def test_a_reduced_scale_agrees_where_the_image_is_even(filled):
    """In the middle of an even image every scale sees the same: 7 px from the border at a quarter are 28."""
    image = torch.full((1, 3, 96, 96), 0.25, dtype=torch.float64)
    whole, _ = filled(image)
    filled.scale = 4
    reduced, _ = filled(image)
    assert torch.allclose(whole[..., 40:56, 40:56], reduced[..., 40:56, 40:56], atol=1e-12)


def test_a_scale_below_one_is_refused():
    with pytest.raises(ValueError, match="scale of 0"):
        ZeroDCE(0)


@pytest.mark.parametrize(
    ("x", "curves", "expected"),
    [
        (0.25, [-1.0], 0.4375),  # 0.25 - (0.0625 - 0.25)
        (0.25, [1.0], 0.0625),  # x^2
        (0.5, [-1.0, -1.0], 0.9375),  # 0.75, then 0.75 + 0.1875
        (0.5, [0.0] * STEPS, 0.5),
    ],
)
def test_curves_by_hand(x, curves, expected):
    maps = torch.tensor(curves).repeat_interleave(3).view(1, -1, 1, 1)
    assert apply_curves(even(x, side=1), maps).flatten().tolist() == pytest.approx([expected] * 3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (33, 20), (64, 48)])
@pytest.mark.parametrize(("scale", "at_once"), [(2, 1), (4, 50), (4, 10**6), (8, 64)])
def test_small_curves_applied_in_bands_are_the_same(shape, scale, at_once):
    torch.manual_seed(0)
    x = torch.rand(2, 3, *shape, dtype=torch.float64)
    size = [-(-side // scale) for side in shape]
    curves = 2 * torch.rand(2, 24, *size, dtype=torch.float64) - 1
    whole = torch.nn.functional.interpolate(curves, list(shape), mode="bilinear", align_corners=False)
    before = x.clone()
    assert torch.allclose(apply_small_curves(x, curves, at_once), apply_curves(x, whole), atol=1e-6)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("channels", "expected"), [(1, 34.0), (24, 816.0)])
def test_smoothness_by_hand(channels, expected):
    """arange(16) as 4 x 4: 12 steps down of 4, 12 across of 1: 2 * (12 * 16 / 12 + 12 * 1 / 12) = 34; 24 times, 816."""
    curves = torch.arange(16.0).view(1, 1, 4, 4).expand(1, channels, 4, 4)
    assert smoothness_loss(curves).item() == pytest.approx(expected)
    assert smoothness_loss(curves.repeat(3, 1, 1, 1)).item() == pytest.approx(expected)  # a mean over images


def test_colour_by_hand():
    """sqrt(.2^4 + .4^4 + .2^4) = sqrt(.0288) = .1697056; grey costs nothing, and its gradient is a number."""
    assert colour_loss(even(0.2, 0.4, 0.6)).item() == pytest.approx(0.1697056, abs=1e-7)
    grey = even(0.3).requires_grad_()
    colour_loss(grey).backward()
    assert grey.grad is not None and (grey.grad == 0).all()


def test_exposure_by_hand():
    """(.2 - .6)^2 = .16."""
    assert exposure_loss(even(0.2)).item() == pytest.approx(0.16, rel=1e-5)


def test_spatial_by_hand():
    """.6 against .2: 16 x 16 patches changed by .4 each; 64 border sides face black: 64 * .16 / 256 = .04."""
    assert spatial_loss(even(0.6), even(0.2)).item() == pytest.approx(0.04)
    assert spatial_loss(even(0.2), even(0.2)).item() == 0


def test_terms_are_weighted_as_published():
    """200 * 34 * 24 (maps of arange), 1 * .04, 5 * 0, 10 * 0 (.6 is the wanted level)."""
    curves = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 24, 4, 4)
    terms = zero_reference_terms(even(0.6), even(0.2), curves)
    assert {name: round(term.item(), 5) for name, term in terms.items()} == {
        "smooth": 163_200.0, "spatial": 0.04, "colour": 0.0, "exposure": 0.0,
    }  # fmt: skip


def test_training_brightens_dark_images():
    torch.manual_seed(0)
    network, image = ZeroDCE(), 0.2 * torch.rand(2, 3, 32, 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(25):
        enhanced, curves = network(image)
        optimiser.zero_grad()
        sum(zero_reference_terms(enhanced, image, curves).values()).backward()
        optimiser.step()
    assert enhanced.mean() > 2 * image.mean()
