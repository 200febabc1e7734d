"""The low-light model: its pieces by hand, and what must hold for any image and seed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.degradations.common import srgb_to_linear
from data.degradations.low_light import LOW_LIGHT_RANGES, _pools, _tint, _toe, low_light, low_light_bytes, sense

THEN = (0.0205685, 0.1306811, 0.3187341)

# all that low_light does, switched off: what remains is the camera's 12 bits
NOTHING = {
    "stops": 0.0, "lift": 0.0, "electrons": 1e12, "read": 0.0, "bits": 12.0, "warmth": 0.0, "tint": 0.0, "toe": 0.0,
    "pool": 0.0,
}  # fmt: skip


def noise(batch: int = 2, height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def scalar(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


@pytest.mark.parametrize(
    ("signal", "electrons", "read", "bits", "noise", "expected"),
    [
        (0.25, 100.0, 0.0, 12.0, (0.0, 0.0), round(0.25 * 4095) / 4095),  # no noise: rounding alone
        (0.25, 100.0, 0.0, 12.0, (1.0, 0.0), round(0.30 * 4095) / 4095),  # shot: sqrt(0.25 / 100) = 0.05
        (0.25, 100.0, 4.0, 12.0, (0.0, -1.0), round(0.21 * 4095) / 4095),  # read: 4 / 100 = 0.04
        (0.25, 100.0, 4.0, 1.0, (1.0, 1.0), 0.0),  # 0.34 on one bit
        (0.9, 100.0, 20.0, 12.0, (0.0, 3.0), 1.0),  # full
        (0.0, 100.0, 20.0, 12.0, (5.0, -3.0), 0.0),  # no signal, no shot noise; below 0 is cut
    ],
)
def test_sensor_by_hand(signal, electrons, read, bits, noise, expected):
    draws = torch.tensor(noise).view(1, 2, 1, 1, 1)
    result = sense(scalar(signal), scalar(electrons), scalar(read), scalar(bits), draws)
    assert result.item() == pytest.approx(expected, abs=1e-6)


def test_tint_by_hand():
    """warmth 1: red sqrt(2), blue 1 / sqrt(2), green 1, divided by their mean."""
    gains = torch.tensor([math.sqrt(2), 1.0, 1 / math.sqrt(2)])
    assert _tint(scalar(1.0), scalar(0.0)).flatten().tolist() == pytest.approx((gains / gains.mean()).tolist())


@pytest.mark.parametrize(("strength", "at_black"), [(0.0, 1.0), (0.8, 0.5)])
def test_toe_has_half_its_slope_at_black(strength, at_black):
    tiny = 2e-5
    assert (_toe(scalar(tiny), scalar(strength)) / tiny).item() == pytest.approx(at_black, abs=0.01)
    assert _toe(scalar(1.0), scalar(strength)).item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("depth", [0.0, 0.5, 0.9])
def test_pools_have_mean_one_and_a_floor(depth):
    field = _pools(torch.Generator().manual_seed(1), depth)
    assert field.shape == (1, 9, 12)
    assert field.mean().item() == pytest.approx(1.0, abs=1e-5)
    assert field.min().item() >= 1 - depth - 1e-6


def test_with_everything_off_the_image_stays():
    image = noise()
    dark, drawn = low_light(image, [1, 2], parameters=NOTHING)
    assert (dark - image).abs().max() < 1 / 255  # the converter's 12 bits, coarse in the shadows
    assert {key: drawn[0][key] for key in NOTHING} == NOTHING


@pytest.mark.parametrize(("stops", "lift"), [(1.0, 0.0), (4.0, 0.0), (4.0, 2.0)])
def test_exposure_halves_light_by_the_stop(stops, lift):
    image = torch.full((1, 3, 16, 16), 0.8)
    dark, _ = low_light(image, [1], parameters={**NOTHING, "stops": stops, "lift": lift})
    expected = srgb_to_linear(torch.tensor(0.8)) * 2 ** (lift - stops)
    assert srgb_to_linear(dark).mean().item() == pytest.approx(expected.item(), rel=0.01)


def test_noise_follows_the_sensor():
    """Variance at level x: x / electrons + (read / electrons)^2, for two levels of one image."""
    image = torch.cat([torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.8)], dim=3)
    dark, _ = low_light(image, [5], parameters={**NOTHING, "electrons": 500.0, "read": 6.0})
    light = srgb_to_linear(dark.double())
    for half, shown in ((light[..., :64], 0.5), (light[..., 64:], 0.8)):
        level = srgb_to_linear(torch.tensor(shown)).item()
        assert half.var().item() == pytest.approx(level / 500 + (6 / 500) ** 2, rel=0.06)
        assert half.mean().item() == pytest.approx(level, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), severity=st.floats(0, 1), size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_any_image_stays_an_image(seed, severity, size):
    image = noise(1, *size)
    dark, (drawn,) = low_light(image, [seed], severity)
    assert dark.shape == image.shape
    assert dark.min() >= 0 and dark.max() <= 1
    for name, limits in LOW_LIGHT_RANGES.items():
        ends = [*limits.mild, *limits.strong]
        assert min(ends) - 1 <= drawn[name] <= max(ends) + 1


def test_an_image_does_not_depend_on_its_batch():
    image = noise(3)
    together, drawn = low_light(image, [7, 8, 9])
    alone, (parameters,) = low_light(image[1:2], [8])
    turned, _ = low_light(image.flip(0), [9, 8, 7])
    assert torch.equal(together[1:2], alone)
    assert torch.equal(together.flip(0), turned)
    assert drawn[1] == parameters


def test_equal_seeds_give_equal_images_and_others_do_not():
    image = noise(1)
    first, again, other = (low_light(image, [seed])[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_input_is_not_written_to():
    image = noise()
    before = image.clone()
    low_light(image, [1, 2])
    assert torch.equal(image, before)


def test_global_randomness_is_neither_used_nor_moved():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    low_light(noise(), [1, 2])
    assert torch.equal(torch.get_rng_state(), state)


def test_fixing_a_parameter_leaves_the_others():
    image = noise(1)
    _, (free,) = low_light(image, [6], 0.8)
    _, (fixed,) = low_light(image, [6], 0.8, {"stops": 3.25})
    assert fixed["stops"] == 3.25
    assert {k: v for k, v in fixed.items() if k != "stops"} == {k: v for k, v in free.items() if k != "stops"}


def test_severity_darkens():
    image = noise(8, seed=3)
    means = [low_light(image, range(8), severity)[0].mean().item() for severity in (0.0, 0.5, 1.0)]
    assert means[0] > 1.3 * means[1] > 1.3 * means[2]


def test_without_severity_each_image_draws_its_own_night():
    _, drawn = low_light(noise(16), range(16))
    levels = [p["severity"] for p in drawn]
    assert 0.65 <= min(levels) < max(levels) <= 1
    assert len(set(levels)) == 16


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
def test_the_type_is_kept(kind):
    dark, _ = low_light(noise(1).to(kind), [1])
    assert dark.dtype == kind


def test_the_bytes_of_before_are_kept():
    """Sets that were darkened before the models moved house must come out again: a few values of then."""
    dark, _ = low_light(torch.linspace(0, 1, 48).view(1, 3, 4, 4), [7], 0.5)
    assert dark.flatten()[[5, 20, 40]].tolist() == pytest.approx(THEN, abs=1e-5)


def test_bytes_are_the_same_model():
    pixels = (noise(2) * 255).round().byte().permute(0, 2, 3, 1)
    before = pixels.clone()
    dark, _ = low_light_bytes(pixels, [1, 2])
    expected, _ = low_light(pixels.permute(0, 3, 1, 2).float() / 255, [1, 2])
    assert dark.dtype == torch.uint8
    assert torch.equal(dark.permute(0, 3, 1, 2), (expected * 255).round().byte())
    assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    ("image", "seeds", "severity", "parameters", "match"),
    [
        (torch.zeros(3, 8, 8), [1], None, None, "expected images"),
        (torch.zeros(1, 1, 8, 8), [1], None, None, "expected images"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int16), [1], None, None, "int16"),
        (torch.zeros(1, 3, 8, 8), [1, 2], None, None, "expected 1 seeds"),
        (torch.zeros(1, 3, 8, 8), [1], 1.5, None, "outside"),
        (torch.zeros(1, 3, 8, 8), [1], 0.5, {"stop": 1.0}, "unknown parameters"),
    ],
)
def test_mistakes(image, seeds, severity, parameters, match):
    with pytest.raises(ValueError, match=match):
        low_light(image, seeds, severity, parameters)
