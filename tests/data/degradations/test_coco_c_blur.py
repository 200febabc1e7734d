"""COCO-C's blurs against the published formulas, written out in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from data.degradations.coco_c_blur import (
    _disc,
    _rearranged,
    _sources,
    elastic_transform,
    gaussian_blur,
    trail,
    zoomed,
)
from data.degradations.common import RandomFields

CPU = torch.device("cpu")


def noise(height: int = 20, width: int = 26) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(("radius", "sigma", "cells"), [(3, 0.1, 29), (4, 0.5, 49), (10, 0.5, 317)])
def test_disc_covers_the_lattice_points_of_its_circle(radius, sigma, cells):
    """Points with x^2 + y^2 <= r^2: 29 of radius 3, 49 of radius 4, 317 of radius 10.

    A disc that touches its frame is softened with the frame mirrored, as published: it sums to 1.011 for radius 10.
    """
    disc = _disc(radius, sigma)
    assert disc.shape == ((21, 21) if radius > 8 else (17, 17))
    assert disc.sum().item() == pytest.approx(1.011 if radius == 10 else 1, abs=0.001)
    assert disc.max().item() == pytest.approx(1 / cells, rel=1e-3)


@pytest.mark.parametrize("degrees", [-45.0, -30.0, 0.0, 12.5, -100.0])
def test_trail_is_a_sum_of_shifted_images(degrees):
    """Step i of 2 r + 1 fetches from (ceil(i sin a - 1/2), ceil(i cos a - 1/2)) away, weighted exp(-i^2 / 2 s^2)."""
    image, radius, sigma = noise().double(), 4, 2.5
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    expected = torch.zeros_like(image)
    for i, weight in enumerate(weights):
        down, right = (math.ceil(i * wave(math.radians(degrees)) - 0.5) for wave in (math.sin, math.cos))
        rows, columns = (torch.arange(20) + down).clamp(0, 19), (torch.arange(26) + right).clamp(0, 25)
        expected += weight / sum(weights) * image[:, :, rows][..., columns]
    result = trail(image, radius, sigma, torch.tensor([[degrees]]))
    assert torch.allclose(result, expected, atol=1e-6)


def test_zoom_by_hand():
    """Factor 2 of 4 px: the middle 2 (values 1, 2), corners on corners, over 4 px: 1, 4/3, 5/3, 2."""
    row = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert zoomed(row, 2.0)[0, 0, 0].tolist() == pytest.approx([1, 4 / 3, 5 / 3, 2])
    assert zoomed(noise(), 1.0).equal(noise())
    assert zoomed(noise(), 1.31).shape[2:] == (21, 26)  # ceil(20 / 1.31) = 16, 16 * 1.31 = 20.96


@pytest.mark.parametrize("reach", [1, 2, 4])
def test_glass_follows_chains_as_a_loop_does(reach):
    """From the last inner pixel to the first, each takes what its neighbour holds at that moment."""
    height, width = 15, 18
    image = noise(height, width)
    steps = (RandomFields([6], CPU).uniform(2, height, width) * 2 * reach).long().clamp_max(2 * reach - 1)[0] - reach
    expected = image[0].clone()
    for row in range(height - reach, reach, -1):
        for column in range(width - reach, reach, -1):
            down, right = steps[:, row, column].tolist()
            expected[:, row, column] = expected[:, row + down, column + right]
    result = _rearranged(image, _sources(RandomFields([6], CPU), (height, width), reach))
    assert torch.equal(result[0], expected)


@pytest.mark.parametrize(("border", "mode"), [("replicate", "edge"), ("symmetric", "symmetric")])
def test_gaussian_blur_by_sums(border, mode):
    """Rows with deviation 1.5, columns with 0.7, cut after 3 deviations (radius int(3 s + 1/2) = 5 and 2)."""
    image = noise(9, 8)[0, 0].double().numpy()
    for axis, sigma in ((0, 1.5), (1, 0.7)):
        radius = int(3 * sigma + 0.5)
        taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        padded = np.pad(image, [(radius, radius) if a == axis else (0, 0) for a in range(2)], mode)
        image = np.apply_along_axis(lambda line, t=taps: np.convolve(line, t / t.sum(), "valid"), axis, padded)
    result = gaussian_blur(noise(9, 8), 1.5, 0.7, border, truncate=3)
    assert result[0, 0].numpy() == pytest.approx(image, abs=1e-6)


def test_elastic_moves_but_keeps_colours():
    image = noise(60, 80)
    result = elastic_transform(image, 30.0, RandomFields([1], CPU))
    assert not torch.equal(result, image)
    assert result.min() >= image.min() and result.max() <= image.max()
    assert torch.allclose(elastic_transform(image, 0.0, RandomFields([1], CPU)), image, atol=1e-4)
