"""Kernels against the numbers of the AERIS specification, and filtering against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from data.degradations.kernels import (
    _by_fourier,
    _direct,
    _fast_length,
    correlate,
    disc_kernels,
    gaussian_kernel,
    gaussian_kernels,
    line_kernels,
    pad,
)


def second_moments(kernel: torch.Tensor) -> tuple[float, float, float]:
    """Sxx, Syy, Sxy of a kernel read as a distribution."""
    x = torch.arange(kernel.shape[-1], dtype=torch.float64) - kernel.shape[-1] // 2
    k = kernel.double()
    return (k * x**2).sum().item(), (k * x[:, None] ** 2).sum().item(), (k * x * x[:, None]).sum().item()


@pytest.mark.parametrize(
    ("size", "variances", "angle", "cells"),
    [
        (17, (2.4, 2.4), 0.0, {(8, 8): 0.06631456, (8, 9): 0.05384320}),
        (
            17,
            (5.0, 2.3),
            math.pi / 3,
            {(8, 8): 0.04693399, (8, 10): 0.02212190, (10, 8): 0.02797611, (10, 10): 0.01980298},
        ),
        (7, (0.1, 0.1), 0.0, {(3, 3): 0.97358338}),
        (7, (2.4, 2.4), 0.0, {(3, 3): 0.069260}),
        (1, (2.0, 1.0), 0.3, {(0, 0): 1.0}),
    ],
)
def test_gaussian_cells(size, variances, angle, cells):
    kernel = gaussian_kernel(size, variances, angle)
    assert kernel.shape == (size, size)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    for place, value in cells.items():
        assert kernel[place].item() == pytest.approx(value, abs=5e-7)


@pytest.mark.parametrize(
    ("size", "variances", "angle", "expected", "within"),
    [
        (17, (2.4, 2.4), 0.0, (2.399998, 2.399998, 0.0), 1e-5),
        (33, (5.0, 2.3), math.pi / 3, (2.975, 4.325, 1.169134), 1e-4),  # Sxx = 5 / 4 + 2.3 * 3 / 4, Sxy = 2.7 sin cos
        (7, (6.0, 6.0), 0.0, (3.0807, 3.0807, 0.0), 1e-4),  # cut off, not scaled up again
    ],
)
def test_gaussian_second_moments(size, variances, angle, expected, within):
    assert second_moments(gaussian_kernel(size, variances, angle)) == pytest.approx(expected, abs=within)


def test_many_kernels_stand_in_frames_of_zeros():
    batch = gaussian_kernels([7, 11], [(1.0, 2.0), (3.0, 1.5)], [0.4, 1.1])
    assert batch.shape == (2, 11, 11)
    assert torch.allclose(batch[0, 2:9, 2:9], gaussian_kernel(7, (1.0, 2.0), 0.4))
    assert batch[0].count_nonzero() == 49
    assert torch.allclose(batch[1], gaussian_kernel(11, (3.0, 1.5), 1.1))


@pytest.mark.parametrize(
    ("size", "variances"), [(8, (1.0, 1.0)), (0, (1.0, 1.0)), (7, (0.0, 1.0)), (7, (1.0, math.nan))]
)
def test_kernels_that_are_none(size, variances):
    with pytest.raises(ValueError, match="odd sizes"):
        gaussian_kernel(size, variances)


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(0, 10).map(lambda n: 2 * n + 1),
    first=st.floats(0.1, 9),
    second=st.floats(0.1, 9),
    angle=st.floats(0, 7),
)
def test_any_gaussian_is_a_symmetric_distribution(size, first, second, angle):
    kernel = gaussian_kernel(size, (first, second), angle)
    assert kernel.min() >= 0
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(kernel, kernel.flip(0, 1), atol=1e-6)
    swapped = gaussian_kernel(size, (second, first), angle + math.pi / 2)
    assert torch.allclose(kernel, swapped, atol=1e-5)


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 0), (math.pi / 2, 1)])
def test_a_stroke_spreads_along_its_angle(angle, axis):
    """A box of 12 px, 0.6 longer for its ends, has variance 12.6^2 / 12 = 13.2; the profile adds 1 both ways."""
    (kernel,) = line_kernels(torch.tensor([12.0]), torch.tensor([angle]), 1.0)
    moments = second_moments(kernel)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    assert moments[axis] == pytest.approx(12.6**2 / 12 + 1, rel=0.02)
    assert moments[1 - axis] == pytest.approx(1.0, abs=0.02)


def test_disc_by_hand():
    """Radius 1: the middle and its four neighbours count 1 and 1/2; the corners, sqrt(2) away, 1.5 - sqrt(2)."""
    (kernel,) = disc_kernels(torch.tensor([1.0]))
    corner = 1.5 - math.sqrt(2)
    total = 1 + 4 * 0.5 + 4 * corner
    assert kernel[2, 2].item() == pytest.approx(1 / total)
    assert kernel[2, 3].item() == pytest.approx(0.5 / total)
    assert kernel[1, 1].item() == pytest.approx(corner / total, rel=1e-4)
    assert kernel[0].abs().sum() == 0


@pytest.mark.parametrize(
    ("border", "amount", "expected"),
    [
        ("reflect", 2, [2, 1, 0, 1, 2, 1, 0]),
        ("symmetric", 2, [1, 0, 0, 1, 2, 2, 1]),
        ("replicate", 2, [0, 0, 0, 1, 2, 2, 2]),
        ("reflect", 4, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]),  # wider than the image: to and fro
        ("symmetric", 4, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]),
    ],
)
def test_borders_by_hand(border, amount, expected):
    row = torch.arange(3.0).view(1, 1, 1, 3)
    assert pad(row, amount, border)[0, 0, 0].tolist() == expected


def test_an_unknown_border():
    with pytest.raises(ValueError, match="expected reflect"):
        pad(torch.zeros(1, 1, 3, 3), 5, "wrap")


def test_correlation_is_not_convolution():
    """A kernel with its weight one to the right fetches the right neighbour."""
    kernel = torch.zeros(1, 3, 3)
    kernel[0, 1, 2] = 1
    image = torch.arange(4.0).view(1, 1, 1, 4)
    assert correlate(image, kernel)[0, 0, 0].tolist() == [1, 2, 3, 2]


@pytest.mark.parametrize("side", [3, 9, 15])
@pytest.mark.parametrize("border", ["reflect", "replicate", "symmetric"])
def test_both_ways_of_filtering_agree(side, border):
    image = torch.rand(2, 3, 20, 27, generator=torch.Generator().manual_seed(1))
    kernels = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(2))
    kernels = kernels / kernels.sum((2, 3), keepdim=True)
    padded = pad(image, side // 2, border)
    expected = torch.cat([F.conv2d(x[:, None], k[None]).transpose(0, 1) for x, k in zip(padded, kernels, strict=True)])
    for work in (_direct, _by_fourier):
        assert torch.allclose(work(image, kernels, border), expected, atol=2e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 30)])
def test_images_smaller_than_the_kernel_keep_their_mean_colour(size):
    image = torch.full((1, 3, *size), 0.4)
    assert torch.allclose(correlate(image, gaussian_kernel(21, (6.0, 6.0))[None]), image, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
def test_the_type_is_kept_and_the_image_not_written_to(kind):
    image = torch.rand(2, 3, 12, 12).to(kind)
    before = image.clone()
    result = correlate(image, gaussian_kernel(11, (2.0, 2.0)).expand(2, -1, -1))
    assert result.dtype == kind and result.shape == image.shape
    assert torch.equal(image, before)


@pytest.mark.parametrize(("length", "expected"), [(1, 2), (15, 16), (532, 540), (14, 16), (26, 30), (540, 540)])
def test_fast_lengths(length, expected):
    assert _fast_length(length) == expected
