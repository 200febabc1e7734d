"""AERIS's degradation against the numbers of its specification, section 7, items 4 to 8."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.degradations import aeris
from data.degradations.aeris import (
    AERISParameters,
    blur_resize_noise,
    degrade,
    degrade_batch,
    draw_parameters,
    draw_size,
    image_random,
)
from data.degradations.kernels import gaussian_kernel


def draws(count: int, **options: object) -> list[AERISParameters]:
    return [draw_parameters(image_random(0, i), (512, 512), (256, 256), **options) for i in range(count)]  # type: ignore[arg-type]


def test_replay_of_the_published_draws():
    """Python's generator seeded 123, eight draws in the publication's order."""
    one = draw_parameters(random.Random(123), (512, 512), (192, 192))
    assert (one.kernel_size, one.blur, one.mode, one.size) == (7, "none", "bilinear", (192, 192))
    numbers = (one.variance, one.angle, one.major, one.minor, one.sigma * 255)
    assert numbers == pytest.approx((0.7156574823, 2.4157477413, 1.9660459689, 1.7292847007, 13.4050510009), abs=1e-9)


def test_replay_of_the_published_image():
    image = (torch.arange(3 * 512 * 512) % 251).float().view(1, 3, 512, 512) / 250
    noise = torch.Generator().manual_seed(123)
    result = blur_resize_noise(image, None, (192, 192), "bilinear", 13.405051 / 255, noise)
    assert result.mean().item() == pytest.approx(0.499646, abs=3e-3)
    assert result.std().item() == pytest.approx(0.282080, abs=3e-3)
    assert result.flatten()[:3].tolist() == pytest.approx([0.054402, 0.037988, 0.042044], abs=1e-5)
    assert result.sum().item() == pytest.approx(55256.867, rel=1e-5)
    assert blur_resize_noise(image, None, (192, 192), "bilinear", 0.0).sum().item() == pytest.approx(
        55291.797, rel=1e-5
    )


def test_distributions_of_the_draws():
    """Means and deviations of the laws, each within five standard errors of 4000 draws."""
    many = draws(4000)
    assert {one.kernel_size for one in many} == set(range(7, 22, 2))
    for name in ("none", "iso", "aniso"):
        assert sum(one.blur == name for one in many) / 4000 == pytest.approx(1 / 3, abs=0.038)
    for values, mean, deviation in (
        ([one.kernel_size for one in many], 14, 4.583),
        ([one.variance for one in many], 1.25, 0.664),
        ([one.angle for one in many], math.pi / 2, 0.907),
        ([one.major for one in many], 3.25, 1.588),
        ([one.minor for one in many], 1.875, 1.215),
        ([255 * one.sigma for one in many], 12.5, 7.217),
        ([one.sigma**2 for one in many], 3.204e-3, 2.87e-3),
    ):
        assert sum(values) / 4000 == pytest.approx(mean, abs=5 * deviation / math.sqrt(4000))


def test_equispaced_sizes():
    """512 / l over l = 128, 160, ... 512: mean 1.9045, mean of its inverse 0.625, of the inverse's square 0.4453."""
    rng = random.Random(0)
    sides = [draw_size(rng, (512, 512))[0] for _ in range(4000)]
    assert sorted(set(sides)) == list(range(128, 513, 32))
    exact = [512 / side for side in range(128, 513, 32)]
    for power, mean in ((1, 1.9045), (-1, 0.625), (-2, 0.4453)):
        assert sum(s**power for s in exact) / 13 == pytest.approx(mean, abs=1e-4)
        assert sum((512 / side) ** power for side in sides) / 4000 == pytest.approx(mean, rel=0.04)


def test_uniform_sizes():
    """U(1, 4): mean 2.5, of the inverse ln 4 / 3 = 0.4621, of its square 1/4; rounding to 32 px stays near."""
    rng = random.Random(0)
    ratios = [512 / draw_size(rng, (512, 512), "uniform")[0] for _ in range(4000)]
    assert sum(ratios) / 4000 == pytest.approx(2.5, abs=0.08)
    assert sum(1 / s for s in ratios) / 4000 == pytest.approx(0.4621, abs=0.015)
    assert sum(1 / s**2 for s in ratios) / 4000 == pytest.approx(0.25, abs=0.02)


def test_tenths_round_down():
    """Ratio 3.3 makes 150 x 100 px out of 495 x 330; no ratio lies outside 1.0 to 4.0."""
    rng = random.Random(0)
    found = {draw_size(rng, (495, 330), "tenths") for _ in range(600)}
    assert (150, 100) in found
    assert len(found) == 31
    assert min(found) == (123, 82) and max(found) == (495, 330)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99), height=st.integers(1, 900), width=st.integers(1, 900), law=st.sampled_from(aeris.LAWS))
def test_no_side_vanishes_or_grows_much(seed, height, width, law):
    size = draw_size(random.Random(seed), (height, width), law)
    for side, before in zip(size, (height, width), strict=True):
        assert min(before, 32) <= side <= before + 16
        assert law == "tenths" or before < 32 or side % 32 == 0


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("nearest", (1.0, 1.0, 1.0)), ("bilinear", (0.25, 0.44, 0.25)), ("bicubic", (0.53, 0.73, 0.52))],
)
def test_variance_of_white_noise_after_resizing(mode, expected):
    """Bilinear at half the size: four weights of 1/4, 4/16; bicubic: (2 * (0.09375^2 + 0.59375^2))^2 = 0.522."""
    noise = torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(1))
    for side, variance in zip((128, 160, 256), expected, strict=True):
        result = blur_resize_noise(noise, None, (side, side), mode, 0.0)
        assert result.var().item() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize(
    ("side", "mode", "rows"),
    [
        (4, "bilinear", [[4.5, 6.5, 8.5, 10.5]]),
        (4, "nearest", [[0, 2, 4, 6]]),
        (2, "bilinear", [[13.5, 17.5], [45.5, 49.5]]),
        (2, "bicubic", [[13.5, 17.5], [45.5, 49.5]]),
        (2, "nearest", [[0, 4], [32, 36]]),
    ],
)
def test_resizing_by_hand(side, mode, rows):
    image = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    result = blur_resize_noise(image, None, (side, side), mode, 0.0)
    assert result[0, 0, : len(rows)].tolist() == [pytest.approx(row, abs=1e-4) for row in rows]


def test_boxes_follow_as_fractions():
    """(10, 20, 110, 220) of an image of 512 px at l = 160: times 160 / 512 = 0.3125."""
    assert [v * 160 / 512 for v in (10, 20, 110, 220)] == [3.125, 6.25, 34.375, 68.75]


@pytest.mark.parametrize("kernel", [None, gaussian_kernel(15, (3.0, 1.0), 0.5)])
@pytest.mark.parametrize("sigma", [0.0, 0.1])
@pytest.mark.parametrize("size", [(16, 16), (24, 32)])
def test_the_clean_target_is_never_written_to_nor_handed_back(kernel, sigma, size):
    image = torch.rand(1, 3, 24, 32)
    before = image.clone()
    result = blur_resize_noise(image, kernel, size, "bilinear", sigma, torch.Generator().manual_seed(0))
    result.add_(1)
    assert torch.equal(image, before)


@pytest.mark.parametrize("scope", aeris.SCOPES)
def test_a_batch_leaves_its_input(scope):
    image = torch.rand(4, 3, 64, 64)
    before = image.clone()
    degrade_batch(image, [draw_parameters(image_random(1, i), (64, 64), (32, 32), scope) for i in range(4)]).add_(1)
    assert torch.equal(image, before)


def test_nothing_is_clipped():
    image = torch.tensor([0.0, 1.0]).repeat(32).view(1, 1, 1, 64).expand(1, 3, 64, 64)
    result = blur_resize_noise(image, None, (48, 48), "bicubic", 0.1, torch.Generator().manual_seed(0))
    assert result.min() < -0.05 and result.max() > 1.05


def test_noise_alone_and_blur_alone():
    image = torch.full((1, 3, 200, 200), 0.5)
    noisy = blur_resize_noise(image, None, (200, 200), "nearest", 0.1, torch.Generator().manual_seed(0))
    assert noisy.std().item() == pytest.approx(0.1, rel=0.02)
    point = torch.zeros(1, 3, 31, 31)
    point[..., 15, 15] = 1
    kernel = gaussian_kernel(17, (5.0, 2.3), math.pi / 3)
    spread = blur_resize_noise(point, kernel, (31, 31), "nearest", 0.0)
    assert torch.allclose(spread[0, 1, 7:24, 7:24], kernel, atol=1e-6)


def test_scopes_draw_the_same_numbers():
    """Only what counts differs: `resolution` without blur and noise, `blur-noise` at full size with twice the noise."""
    one, small, full = (
        [draw_parameters(image_random(3, i), (96, 64), (48, 32), s) for i in range(30)] for s in aeris.SCOPES
    )
    for a, b, c in zip(one, small, full, strict=True):
        assert b == replace(a, blur="none", sigma=0.0)
        assert c == replace(a, size=(96, 64), sigma=pytest.approx(2 * a.sigma))


def test_chances_of_blur_move_nothing_else():
    always = draws(300, blurs=(0.0, 0.0, 1.0))
    assert {one.blur for one in always} == {"aniso"}
    assert [replace(one, blur="iso") for one in always] == [replace(one, blur="iso") for one in draws(300)]
    some = draws(600, blurs=(0.2, 0.8, 0.0))
    assert sum(one.blur == "iso" for one in some) / 600 == pytest.approx(0.8, abs=0.08)


def test_an_image_does_not_depend_on_its_batch():
    images = torch.rand(3, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    each = [draw_parameters(image_random(7, i), (40, 56), (32, 32)) for i in range(3)]
    together = degrade_batch(images, each)
    assert torch.equal(together[1:2], degrade_batch(images[1:2], each[1:2]))
    assert torch.equal(together[2:], degrade(images[2:], each[2]))


def test_grouped_work_gives_what_image_by_image_does():
    """The way of a GPU, tried on the CPU: all but the noise."""
    images = torch.rand(9, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    each = [replace(draw_parameters(image_random(2, i), (40, 56), (32, 32)), sigma=0.0) for i in range(9)]
    assert {one.mode for one in each} == set(aeris.MODES) and {one.blur for one in each} == set(aeris.BLURS)
    packed = aeris.batch_draw(each)
    grouped = aeris._resize_each(aeris._blur_each(images, packed), packed)
    assert torch.allclose(grouped, degrade_batch(images, each), atol=2e-6)


def test_bytes_count_as_fractions():
    image = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    each = [draw_parameters(image_random(0, i), (32, 32), (32, 32)) for i in range(2)]
    assert torch.equal(degrade_batch(image, each), degrade_batch(image.float() / 255, each))


def test_a_draw_prints_and_goes_into_a_manifest():
    one = draws(1)[0]
    row = one.as_dict()
    assert (row["height"], row["width"], row["mode"]) == (256, 256, one.mode)
    assert "kernel_size=" in str(one) and "size" not in row
    with pytest.raises(AttributeError):
        one.sigma = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("image", "mode", "size", "sigma", "match"),
    [
        (torch.zeros(1, 1, 8, 8), "nearest", (4, 4), 0.1, "grey"),
        (torch.zeros(1, 4, 8, 8), "nearest", (4, 4), 0.1, "RGBA"),
        (torch.zeros(1, 3, 8, 8), "area", (4, 4), 0.1, "mode"),
        (torch.zeros(1, 3, 8, 8), "nearest", (0, 4), 0.1, "at least 1 px"),
        (torch.zeros(1, 3, 8, 8), "nearest", (4, 4), -0.1, "sigma"),
    ],
)
def test_mistakes(image, mode, size, sigma, match):
    with pytest.raises(ValueError, match=match):
        blur_resize_noise(image, None, size, mode, sigma)


def test_mistakes_of_settings():
    rng = random.Random(0)
    with pytest.raises(ValueError, match="expected one of"):
        draw_size(rng, (64, 64), "sizes")
    with pytest.raises(ValueError, match="scope"):
        draw_parameters(rng, (64, 64), (32, 32), "nb")
    with pytest.raises(ValueError, match="sum 1"):
        draw_parameters(rng, (64, 64), (32, 32), blurs=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="one size"):
        degrade_batch(torch.zeros(2, 3, 8, 8), draws(1))
