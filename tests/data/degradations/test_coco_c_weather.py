"""COCO-C's weather: the plasma by its recursion written out, fog and snow by their formulas, frost by its moments."""

from __future__ import annotations

import pytest
import torch

from data.degradations.coco_c import COCO_C
from data.degradations.coco_c_weather import fog, frost, frost_pattern, plasma
from data.degradations.common import RandomFields

CPU = torch.device("cpu")


def fields(seed: int = 1) -> RandomFields:
    return RandomFields([seed], CPU)


@pytest.mark.parametrize("decay", [1.4, 2.0])
def test_plasma_by_recursion(decay):
    """A side of 4: every new point is the mean of four around it (wrapped) plus a displacement of the octave's reach."""
    draws, side = fields(), 4
    heights, step, reach = torch.zeros(side, side), side, 1.0
    while step >= 2:
        half = step // 2
        starts = range(0, side, step)
        for kind, (row, column) in enumerate(((half, half), (0, half), (half, 0))):
            shift = 2 * draws.uniform(len(starts), len(starts))[0] - 1
            new = heights.clone()
            for i, y in enumerate(starts):
                for j, x in enumerate(starts):
                    y0, x0 = y + row, x + column
                    around = [(-half, -half), (-half, half), (half, -half), (half, half)] if kind == 0 else [
                        (-half, 0), (half, 0), (0, -half), (0, half)]  # fmt: skip
                    mean = sum(heights[(y0 + a) % side, (x0 + b) % side] for a, b in around) / 4
                    new[y0, x0] = mean + reach * shift[i, j]
            heights = new
        step, reach = half, reach / decay**2
    expected = (heights - heights.min()) / (heights.max() - heights.min())
    assert torch.allclose(plasma(fields(), side, decay)[0, 0], expected, atol=1e-6)


def test_plasma_is_rougher_where_octaves_fade_slowly():
    rough, even = (plasma(fields(), 64, decay).diff(dim=3).abs().mean().item() for decay in (1.4, 2.0))
    assert rough > 1.5 * even


def test_fog_scales_back_to_the_brightest_value():
    """(x + a c) m / (m + a): with m 0.8, a 1.5 and c in [0, 1], black lies in [0, 0.8 * 1.5 / 2.3]."""
    image = torch.zeros(1, 3, 20, 30)
    image[..., 0, 0] = 0.8
    result = fog(image, (1.5, 2.0), fields())
    clouds = plasma(fields(), 32, 2.0)[..., :20, :30]
    assert torch.allclose(result, (image + 1.5 * clouds) * 0.8 / 2.3, atol=1e-6)


def test_snow_bleaches_and_is_symmetric_about_the_middle():
    """Black without flakes becomes 0.2 * 0.5 = 0.1 (25.5 steps, cut down to 25); flakes lie there turned round too."""
    result, _ = COCO_C["snow"](torch.zeros(1, 3, 64, 64), [2], 1)
    assert result.min().item() == pytest.approx(25 / 255, abs=1e-5)
    assert (result > 0.2).float().mean() > 0.005
    assert (result - result.flip(2, 3)).abs().max() <= 1.1 / 255


def test_frost_has_the_moments_of_the_published_photographs():
    """Those five: mean 0.57, 0.65, 0.70 of red, green and blue, deviation 0.06 to 0.17 within an image."""
    pattern = frost_pattern(RandomFields(range(12), CPU), (96, 128))
    assert pattern.mean((0, 2, 3)).tolist() == pytest.approx([0.57, 0.65, 0.70], abs=0.05)
    assert 0.06 < pattern.std((2, 3)).mean() < 0.17


def test_frost_is_added_in_the_published_shares():
    image = torch.full((1, 3, 32, 40), 0.3)
    expected = 0.7 * image + 0.7 * frost_pattern(fields(), (32, 40))
    assert torch.allclose(frost(image, (0.7, 0.7), fields()), expected, atol=1e-6)
