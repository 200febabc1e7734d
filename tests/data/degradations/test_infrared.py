"""Infrared by its formula: the lamp's law, the exposure, and what it does to colours."""

from __future__ import annotations

import math

import pytest
import torch

from data.degradations.common import srgb_to_linear
from data.degradations.physical import DEGRADATIONS

EXACT = {
    "daylight": 40.0, "lamp": 0.5, "falloff": 2.0, "beam": 1e3, "aim": 0.5, "exposure": 0.05, "glare": 0.0, "foliage": 0.0,
    "electrons": 1e12, "read": 1e-9,
}  # fmt: skip


def light_of(image: torch.Tensor, fixed: dict[str, float], depth: torch.Tensor) -> torch.Tensor:
    result, _ = DEGRADATIONS["infrared"](image, [1], 1.0, {**EXACT, **fixed}, depth)
    return srgb_to_linear(result)


@pytest.mark.parametrize(("falloff", "ratio"), [(2.0, 4.0), (1.0, 2.0)])
def test_the_lamp_falls_off_with_distance(falloff, ratio):
    """Left half at 5 m, right half at 10 m, no daylight: 4 times the light at the left by the inverse square.

    The mean of both is the exposure of 0.05, so that the left has 0.05 * 2 * 4 / 5 = 0.08 and the right 0.02.
    """
    depth = torch.full((1, 1, 16, 32), 5.0)
    depth[..., 16:] = 10.0
    light = light_of(torch.full((1, 3, 16, 32), 0.5), {"falloff": falloff}, depth)
    left, right = light[..., :16].mean().item(), light[..., 16:].mean().item()
    assert left / right == pytest.approx(ratio, rel=1e-3)
    assert (left + right) / 2 == pytest.approx(0.05, rel=1e-3)


def test_what_is_near_is_overexposed_and_glares():
    """A tenth of the image at 1 m, the rest at 20 m: 400 times the light, cut at full; beside it light is scattered."""
    depth = torch.full((1, 1, 80, 160), 20.0)
    depth[..., :16] = 1.0
    image = torch.full((1, 3, 80, 160), 0.5)
    clear, glaring = (light_of(image, {"exposure": 0.5, "glare": glare}, depth) for glare in (0.0, 0.1))
    assert clear[..., :16].min() > 0.999
    beside, away = (slice(17, 24), slice(120, 160))
    assert glaring[..., beside].mean() > 3 * clear[..., beside].mean()
    assert glaring[..., beside].mean() > glaring[..., away].mean()


def test_colours_are_gone_and_leaves_are_bright():
    """Linear light of a pure green is 1 / 3 by the sensor, and 1 / 3 + foliage as a leaf."""
    red_and_green = torch.zeros(1, 3, 16, 32)
    red_and_green[:, 0, :, :16] = red_and_green[:, 1, :, 16:] = 1.0
    depth = torch.full((1, 1, 16, 32), 5.0)
    plain, leafy = (light_of(red_and_green, {"foliage": foliage}, depth) for foliage in (0.0, 0.5))
    assert torch.equal(plain[:, :1].expand_as(plain), plain)
    assert plain[..., :16].mean().item() == pytest.approx(plain[..., 16:].mean().item(), rel=1e-3)
    ratio = leafy[..., 16:].mean().item() / leafy[..., :16].mean().item()
    assert ratio == pytest.approx((1 / 3 + 0.5) * 3, rel=1e-3)


def test_the_beam_is_round():
    """One deviation from its centre exp(-0.5) of the light is left, whatever the image's shape."""
    image, depth = torch.full((1, 3, 41, 101), 0.5), torch.full((1, 1, 41, 101), 5.0)
    light = light_of(image, {"beam": 10 / 101}, depth)[0, 0]
    centre = light[20, 50].item()
    assert light[20, 60].item() / centre == pytest.approx(math.exp(-0.5), rel=0.02)
    assert light[30, 50].item() / centre == pytest.approx(math.exp(-0.5), rel=0.02)


def test_noise_is_that_of_a_sensor():
    """Light 0.05, 100 electrons, read noise 0.01: variance 0.05 / 100 + 0.0001 = 0.0006; alike in all three channels."""
    depth = torch.full((1, 1, 120, 160), 5.0)
    light = light_of(torch.full((1, 3, 120, 160), 0.5), {"electrons": 100.0, "read": 0.01}, depth)
    assert light[0, 0].std().item() == pytest.approx(math.sqrt(0.0006), rel=0.05)
    assert torch.equal(light[:, 0], light[:, 2])
