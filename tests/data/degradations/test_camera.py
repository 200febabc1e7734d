"""Lens, shutter, sensor, file: each model by hand on plain images."""

from __future__ import annotations

import math

import pytest
import torch

from data.degradations.camera import compressed
from data.degradations.common import grey, srgb_to_linear
from data.degradations.physical import DEGRADATIONS


def plain(value: float, size: int = 96) -> torch.Tensor:
    return torch.full((1, 3, size, size), value)


def light_of(name: str, image: torch.Tensor, **parameters: float) -> torch.Tensor:
    """Linear light after a degradation with parameters given."""
    return srgb_to_linear(DEGRADATIONS[name](image, [5], 0.5, parameters)[0].double())


def test_shot_noise_grows_with_the_light():
    """Light 0.214041 (display 0.5) at 100 electrons: deviation sqrt(0.214041 / 100) = 0.04626."""
    light = light_of("shot_noise", plain(0.5), electrons=100.0)
    assert light.std().item() == pytest.approx(math.sqrt(0.214041 / 100), rel=0.02)
    assert light.mean().item() == pytest.approx(0.214041, rel=0.01)
    assert light_of("shot_noise", plain(0.0), electrons=100.0).abs().max() == 0


@pytest.mark.parametrize("shown", [0.5, 0.7])
def test_read_noise_does_not(shown):
    light = light_of("read_noise", plain(shown), sigma=0.03)
    assert light.std().item() == pytest.approx(0.03, rel=0.02)


def test_impulses_are_black_and_white_by_halves():
    """0.2 of all values: 0.1 black, 0.1 white; the rest stays."""
    result, _ = DEGRADATIONS["impulse_noise"](plain(0.5, 150), [1], 0.5, {"share": 0.2})
    assert (result == 0).float().mean().item() == pytest.approx(0.1, abs=0.006)
    assert (result == 1).float().mean().item() == pytest.approx(0.1, abs=0.006)
    assert ((result == 0) | (result == 1) | (result == 0.5)).all()


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0])
def test_contrast_keeps_the_mean_grey(factor):
    image = 0.3 + 0.4 * torch.rand(1, 3, 20, 20)
    result, _ = DEGRADATIONS["contrast"](image, [1], 0.5, {"factor": factor})
    mean = grey(image).mean()
    assert grey(result).mean().item() == pytest.approx(mean.item(), abs=1e-5)
    assert torch.allclose(result - mean, factor * (image - mean), atol=1e-5)


def test_motion_spreads_a_point_along_its_way():
    """0.1 of 100 px along x: 10 px; the light stays the same in sum."""
    point = plain(0.0, 101)[..., :, :100]
    point[..., 50, 50] = 1
    light = light_of("motion_blur", point, length=0.1, angle=0.0)[0, 0]
    assert light.sum().item() == pytest.approx(1, abs=1e-3)
    assert int((light[50] > 0.05).sum()) in (10, 11)
    assert light[53:].sum().item() == pytest.approx(0, abs=1e-4)


def test_defocus_makes_even_discs():
    """0.05 of 100 px: a disc of 5 px, area about pi 5.5^2 less the soft edge."""
    point = plain(0.0, 100)
    point[..., 50, 50] = 1
    light = light_of("defocus_blur", point, radius=0.05)[0, 0]
    assert light.sum().item() == pytest.approx(1, abs=1e-3)
    assert light[50, 50].item() == pytest.approx(light[53, 52].item(), rel=1e-3)
    assert light[50, 56].item() == pytest.approx(0, abs=1e-5)
    assert light[50, 50].item() == pytest.approx(1 / (math.pi * 5**2), rel=0.05)


@pytest.mark.parametrize("name", ["motion_blur", "defocus_blur"])
def test_blur_leaves_plain_images(name):
    image = plain(0.6, 40)
    assert torch.allclose(DEGRADATIONS[name](image, [1], 1.0)[0], image, atol=1e-4)


def test_jpeg_of_each_image_at_its_quality():
    coarse = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(coarse, (32, 40), mode="bicubic").clamp(0, 1).repeat(2, 1, 1, 1)
    good, bad = (compressed(image, [95, 5]) - image).abs().mean((1, 2, 3)).tolist()
    assert good < 0.02 < 0.04 < bad
    assert torch.equal((compressed(image, [95, 5]) * 255).round() / 255, compressed(image, [95, 5]))


def test_jpeg_keeps_the_order_of_channels():
    image = torch.tensor([0.8, 0.4, 0.2]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    result, drawn = DEGRADATIONS["jpeg"](image, [1], 0.0, {"quality": 95.0})
    assert result.mean((0, 2, 3)).tolist() == pytest.approx([0.8, 0.4, 0.2], abs=0.02)
    assert drawn[0]["quality"] == 95


def test_low_resolution_averages_and_enlarges():
    """At a factor of 4, a board of single pixels is grey, and edges of large parts stay where they are."""
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 32, 32)
    result, _ = DEGRADATIONS["low_resolution"](board, [1], 1.0, {"factor": 4.0})
    assert (result[..., 8:24, 8:24] - 0.5).abs().max() < 0.1
    halves = (columns >= 16).float().expand(1, 3, 32, 32)
    result, _ = DEGRADATIONS["low_resolution"](halves, [1], 1.0, {"factor": 4.0})
    assert result[..., :12].max() < 0.1 and result[..., 20:].min() > 0.9
    same, _ = DEGRADATIONS["low_resolution"](halves, [1], 1.0, {"factor": 1.0})
    assert torch.equal(same, halves)
