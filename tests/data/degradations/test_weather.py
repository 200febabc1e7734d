"""Fog and water by their formulas, rain and snow by what must hold of them."""

from __future__ import annotations

import math

import pytest
import torch

from data.degradations.common import srgb_to_linear
from data.degradations.physical import DEGRADATIONS
from data.degradations.weather import pseudo_depth

CLEAR = {"patches": 0.0, "warmth": 0.0, "airlight": 0.6}


def plain(value: float, height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.full((1, 3, height, width), value)


@pytest.mark.parametrize("metres", [0.0, 20.0, 100.0, 1000.0])
def test_fog_follows_koschmieder(metres):
    """J 0.214041, A 0.6, visibility 100 m: t = exp(-ln 20 * d / 100), 5 % at 100 m."""
    depth = torch.full((1, 1, 48, 64), metres)
    result, _ = DEGRADATIONS["fog"](plain(0.5), [1], 0.5, {**CLEAR, "visibility": 100.0}, depth)
    through = math.exp(-math.log(20) * metres / 100)
    expected = 0.214041 * through + 0.6 * (1 - through)
    assert srgb_to_linear(result).mean().item() == pytest.approx(expected, abs=1e-4)
    assert result.std().item() == pytest.approx(0, abs=1e-4)


def test_pseudo_depth_by_hand():
    """Horizon at 0.5, 100 x 100 px: the lowest row looks down by a tangent of 0.495 at a camera 1.6 m high.

    Ground distance along the axis 1.6 / 0.495 = 3.232 m; with 70 m as the limit 1 / (1 / 3.232 + 1 / 70) = 3.089;
    along the line of sight times sqrt(1 + 0.495^2 + 0.005^2) = 1.1158.
    """
    depth = pseudo_depth((100, 100), torch.full((1, 1, 1, 1), 0.5))
    assert depth[0, 0, 99, 50].item() == pytest.approx(3.447, abs=2e-3)
    assert depth[0, 0, 49, 50].item() == pytest.approx(70, abs=0.01)
    below = depth[0, 0, 50:, 50]
    assert (below[1:] < below[:-1]).all()


def test_fog_without_depth_hides_what_is_high_up():
    image = plain(0.0)
    result, _ = DEGRADATIONS["fog"](image, [1], 1.0)
    assert result[..., :10, :].mean() > result[..., -5:, :].mean() + 0.1


@pytest.mark.parametrize("hue", [0.0, 1.0])
def test_water_takes_each_colour_by_its_own_rate(hue):
    """One attenuation length of green, no veil: exp(-1.7), exp(-1), exp(-1.35) of green water, exp(-3.2), ... of blue."""
    fixed = {"reach": 1.0, "hue": hue, "veil": 0.0, "aside": 0.0}
    result, _ = DEGRADATIONS["underwater"](plain(1.0), [1], 0.5, fixed, torch.ones(1, 1, 48, 64))
    rates = (3.2, 1.0, 0.85) if hue else (1.7, 1.0, 1.35)
    light = srgb_to_linear(result).mean((0, 2, 3)).tolist()
    assert light == pytest.approx([math.exp(-rate) for rate in rates], abs=1e-3)


def test_deep_water_shows_nothing_but_itself():
    result, _ = DEGRADATIONS["underwater"](
        torch.rand(1, 3, 48, 64), [1], 0.5, {"reach": 50.0, "hue": 1.0, "veil": 1.0}, torch.ones(1, 1, 48, 64)
    )
    assert srgb_to_linear(result).mean((0, 2, 3)).tolist() == pytest.approx([0.025, 0.13, 0.23], abs=1e-3)


@pytest.mark.parametrize("name", ["rain", "snow"])
def test_what_falls_is_brighter_than_a_dark_street(name):
    image = plain(0.2, 120, 160)
    image[..., :20, :] = 0.9
    clear = {"veil": 0.0, "dimming": 0.0} if name == "rain" else {"veil": 0.0}
    result, _ = DEGRADATIONS[name](image, [4], 1.0, clear)
    change = (result - image)[..., 30:, :]
    assert change.min() > -1e-3
    assert 0.01 < (change > 0.05).float().mean() < 0.6


@pytest.mark.parametrize(("name", "count"), [("rain", "drops"), ("snow", "flakes")])
def test_more_of_it_covers_more(name, count):
    image = plain(0.2, 120, 160)
    image[..., :20, :] = 0.9
    few, many = (
        (DEGRADATIONS[name](image, [4], 0.8, {count: number, "veil": 0.0})[0] - image).clamp_min(0).mean()
        for number in (1.0, 12.0)
    )
    assert many > 3 * few


def test_rain_falls_along_its_angle():
    """Upright streaks: neighbours above each other are alike, neighbours beside each other are not."""
    image = plain(0.2, 120, 160)
    image[..., :20, :] = 0.9
    result, _ = DEGRADATIONS["rain"](image, [4], 1.0, {"angle": 0.0, "veil": 0.0})
    street = result[..., 30:, :]
    along, across = street.diff(dim=2).abs().mean(), street.diff(dim=3).abs().mean()
    assert across > 2 * along


def test_clouds_take_the_colour_with_the_light():
    sky = torch.tensor([0.3, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 40, 40)
    result, _ = DEGRADATIONS["snow"](sky, [1], 0.0, {"veil": 0.5, "flakes": 1e-6})
    before, after = (x.amax(1) - x.amin(1) for x in (srgb_to_linear(sky), srgb_to_linear(result)))
    assert after.mean().item() == pytest.approx(0.25 * before.mean().item(), rel=0.02)
