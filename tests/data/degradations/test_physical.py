"""What holds for every physical degradation of the table."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.degradations.physical import DEGRADATIONS

NAMES = list(DEGRADATIONS)


def images(batch: int = 2, height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_nothing_but_its_seed(name):
    """Not on its batch, not on global randomness, which is not moved either; and the input stays."""
    image, model = images(3), DEGRADATIONS[name]
    before, state = image.clone(), torch.get_rng_state()
    together, drawn = model(image, [7, 8, 9], 0.8)
    alone, (parameters,) = model(image[1:2], [8], 0.8)
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    assert drawn[1] == parameters
    assert torch.equal(image, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(together, image)


@pytest.mark.parametrize("name", NAMES)
def test_more_severe_is_further_away(name):
    image = torch.nn.functional.interpolate(images(4, 6, 8), (48, 64), mode="bicubic").clamp(0, 1)
    distances = [
        (DEGRADATIONS[name](image, range(4), level)[0] - image).abs().mean().item() for level in (0.0, 0.5, 1.0)
    ]
    assert distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("low_light", "infrared")])
def test_severity_nought_hardly_shows(name):
    image = torch.nn.functional.interpolate(images(4, 6, 8), (48, 64), mode="bicubic").clamp(0, 1)
    assert (DEGRADATIONS[name](image, range(4), 0.0)[0] - image).abs().mean() < 0.06


@pytest.mark.parametrize("name", NAMES)
def test_a_severity_for_each_image(name):
    """Two images with severities of their own are what each is alone."""
    image, model = images(2), DEGRADATIONS[name]
    both, drawn = model(image, [7, 8], [0.2, 0.9])
    for place, level in enumerate((0.2, 0.9)):
        alone, (parameters,) = model(image[place : place + 1], [7 + place], level)
        assert torch.allclose(both[place : place + 1], alone, atol=1e-5) and drawn[place] == parameters


@pytest.mark.parametrize("name", NAMES)
def test_no_severity_is_drawn_below_the_mildest(name):
    model = DEGRADATIONS[name]
    _, drawn = model(torch.rand(1, 3, 4, 4).expand(40, -1, -1, -1), range(40))
    levels = [one["severity"] for one in drawn]
    assert model.least <= min(levels) < model.least + 0.2 and max(levels) > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_may_be_fixed_and_is_kept(name):
    model = DEGRADATIONS[name]
    middle = {key: limits.at(0.5, 0.5) for key, limits in model.ranges.items()}
    if name == "low_light":
        middle["bits"] = 10.0
    _, (drawn,) = model(images(1), [1], 0.3, middle)
    assert drawn == {"severity": 0.3, **middle}


@pytest.mark.parametrize("name", NAMES)
def test_kinds_of_numbers(name):
    image = (images(1) * 255).round()
    model = DEGRADATIONS[name]
    from_bytes, _ = model(image.byte(), [1], 0.5)
    from_floats, _ = model(image / 255, [1], 0.5)
    half, _ = model((image / 255).half(), [1], 0.5)
    assert torch.equal(from_bytes, from_floats)
    assert half.dtype == torch.float16


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(NAMES), seed=st.integers(0, 2**63 - 1), severity=st.none() | st.floats(0, 1),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)  # fmt: skip
def test_any_image_stays_an_image(name, seed, severity, size):
    result, (drawn,) = DEGRADATIONS[name](images(1, *size), [seed], severity)
    assert result.shape == (1, 3, *size)
    assert result.min() >= 0 and result.max() <= 1
    assert 0 <= drawn["severity"] <= 1


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("rain", {"image": torch.zeros(1, 1, 8, 8)}, "grey"),
        ("rain", {"image": torch.zeros(1, 4, 8, 8)}, "RGBA"),
        ("rain", {"seeds": [1, 2]}, "expected 1 seeds"),
        ("rain", {"severity": 2.0}, "outside"),
        ("rain", {"severity": [0.5, 0.5]}, "one severity, or 1"),
        ("rain", {"parameters": {"flakes": 1.0}}, "unknown parameters"),
        ("rain", {"depth": torch.ones(1, 1, 8, 8)}, "does not depend on depth"),
        ("low_light", {"depth": torch.ones(1, 1, 8, 8)}, "does not depend on depth"),
        ("fog", {"depth": torch.ones(1, 8, 8)}, "expected a depth"),
    ],
)
def test_mistakes(name, arguments, match):
    with pytest.raises(ValueError, match=match):
        DEGRADATIONS[name](**{"image": torch.zeros(1, 3, 8, 8), "seeds": [1], **arguments})
