"""What --weather says, and what it may not say."""

from __future__ import annotations

import pytest

from methods.weather.mix import PRESETS, Part, describe, parse_mix, parse_range
from utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fog=0.2", [(("fog",), 0.2)]),
        ("low_light=0.4 fog=0.2 rain=0.1", [(("low_light",), 0.4), (("fog",), 0.2), (("rain",), 0.1)]),
        ("fog:0.2,night+motion:0.5", [(("fog",), 0.2), (("low_light", "motion_blur"), 0.5)]),
        ("Fog=1", [(("fog",), 1.0)]),
        (
            "sea=0.35",
            [(("underwater",), 0.25), (("underwater", "defocus_blur"), 0.05), (("underwater", "read_noise"), 0.05)],
        ),
    ],
)
def test_parsing(text, expected):
    parts = parse_mix(text)
    assert [part.models for part in parts] == [models for models, _ in expected]
    assert [part.fraction for part in parts] == pytest.approx([fraction for _, fraction in expected])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_leave_some_images_clean(name):
    assert 0.5 <= sum(part.fraction for part in parse_mix(name)) <= 0.8
    assert parse_mix(" ".join(map(str, parse_mix(name)))) == parse_mix(name)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("rian=0.1", "no degradation 'rian'. Did you mean 'rain'"),
        ("fog+sno=0.1", "Did you mean 'snow'"),
        ("stret", "Did you mean 'street'"),
        ("fog=0.7 rain=0.4", "add up to 1.1"),
        ("street rain=0.4", "add up to 1.1"),
        ("fog=1.5", "above 0 and up to 1, not '1.5'"),
        ("fog=-0.5", "above 0"),
        ("fog=0", "above 0"),
        ("fog=nan", "above 0"),
        ("fog=much", "not 'much'"),
        ("fog", "says nothing of how many"),
        (" ", "names no degradation"),
    ],
)
def test_mistakes(text, match):
    with pytest.raises(UserError, match=match):
        parse_mix(text)


@pytest.mark.parametrize("text", ["rian=0.1", "fog=2", "fog", " ", "fog=0.7 rain=0.7"])
def test_mistakes_name_the_option_that_holds_the_mix(text):
    with pytest.raises(UserError, match="^--target-weather"):
        parse_mix(text, "--target-weather")


@pytest.mark.parametrize(
    ("text", "expected"), [("", None), ("0.5", (0.5, 0.5)), ("0.3-1", (0.3, 1.0)), (".2-.4", (0.2, 0.4))]
)
def test_ranges(text, expected):
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["1-0.5", "0.5-1.5", "much", "-1", "0.1-0.2-0.3"])
def test_ranges_that_are_none(text):
    with pytest.raises(UserError, match="--weather-severity"):
        parse_range(text)


def test_in_words():
    assert describe([Part(("fog",), 0.2), Part(("rain", "jpeg"), 0.5)]) == "50% rain + jpeg, 20% fog, 30% clean"
    assert describe([Part(("fog",), 1.0)]) == "100% fog"
