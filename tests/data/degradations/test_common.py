"""What degradations share: ranges and draws by hand, fields that belong to an image, the curve of displays."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.degradations.common import (
    BatchParameters,
    RandomFields,
    Range,
    as_images,
    check_request,
    draw,
    grey,
    linear_to_srgb,
    srgb_to_linear,
    to_bytes,
)

RANGES = {"a": Range((0.0, 1.0), (10.0, 20.0), ""), "b": Range((1.0, 4.0), (16.0, 64.0), "", geometric=True)}
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "severity", "share", "expected"),
    [
        ("a", 0.0, 0.25, 0.25),
        ("a", 1.0, 0.5, 15.0),
        ("a", 0.5, 0.0, 5.0),  # the low end, half way from 0 to 10
        ("a", 0.5, 1.0, 10.5),  # the high end, half way from 1 to 20
        ("b", 0.0, 0.5, 2.0),  # the geometric middle of 1 and 4
        ("b", 0.5, 0.0, 4.0),  # of 1 and 16
        ("b", 0.5, 0.5, 8.0),  # of 4 and 16
    ],
)
def test_range_by_hand(name, severity, share, expected):
    assert RANGES[name].at(severity, share) == pytest.approx(expected)


@settings(deadline=None)
@given(severity=st.floats(0, 1), share=st.floats(0, 1), name=st.sampled_from("ab"))
def test_a_range_is_never_left(severity, share, name):
    limits = RANGES[name]
    ends = [*limits.mild, *limits.strong]
    assert min(ends) - 1e-9 <= limits.at(severity, share) <= max(ends) + 1e-9


def test_fixing_one_parameter_leaves_the_others():
    free = draw(torch.Generator().manual_seed(1), RANGES, 0.5)
    fixed = draw(torch.Generator().manual_seed(1), RANGES, 0.5, {"a": 3.0})
    assert fixed == {**free, "a": 3.0}


def test_without_a_severity_one_is_drawn_from_the_least_up():
    levels = [draw(torch.Generator().manual_seed(i), RANGES, least=0.6)["severity"] for i in range(40)]
    assert 0.6 <= min(levels) < 0.7 < 0.9 < max(levels) <= 1


def test_drawn_columns():
    drawn = BatchParameters([{"severity": 0.0, "x": 1.0}, {"severity": 1.0, "x": 2.5}], CPU)
    assert drawn["x"].shape == (2, 1, 1, 1)
    assert drawn["x"].flatten().tolist() == [1.0, 2.5]


def test_fields_belong_to_their_image():
    both, second = RandomFields([3, 4], CPU), RandomFields([4], CPU)
    for fields in ("normal", "uniform"):
        assert torch.equal(getattr(both, fields)(2, 5)[1:], getattr(second, fields)(2, 5))
    assert torch.equal(both.clouds((6, 9), 3)[1:], second.clouds((6, 9), 3))


def test_clouds_are_smooth_and_of_about_deviation_one():
    field = RandomFields(range(8), CPU).clouds((60, 90), 3)
    assert field.shape == (8, 1, 60, 90)
    assert 0.5 < field.std() < 1.2
    assert (field[..., 1:] - field[..., :-1]).abs().mean() < 0.1


@pytest.mark.parametrize(("shown", "linear"), [(0.0, 0.0), (0.04, 0.04 / 12.92), (0.5, 0.2140411), (1.0, 1.0)])
def test_srgb_curve_by_hand(shown, linear):
    """((0.5 + 0.055) / 1.055) ** 2.4 = 0.2140411."""
    assert srgb_to_linear(torch.tensor(shown)).item() == pytest.approx(linear, abs=1e-6)
    assert linear_to_srgb(torch.tensor(linear)).item() == pytest.approx(shown, abs=1e-6)


def test_linear_to_srgb_clips():
    assert linear_to_srgb(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([0.0, 1.0])


def test_bytes_and_grey_by_hand():
    """0.299 of red; -0.2 and 1.3 are clipped, 0.4 * 255 = 102."""
    assert grey(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).item() == pytest.approx(0.299)
    assert to_bytes(torch.tensor([-0.2, 0.4, 1.3])).tolist() == [0, 102, 255]


def test_images_are_kept_or_scaled():
    image = torch.rand(1, 3, 2, 2).half()
    assert as_images(image) is image
    assert as_images(torch.full((1, 3, 1, 1), 51, dtype=torch.uint8)).flatten().tolist() == pytest.approx([0.2] * 3)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (torch.zeros(1, 1, 8, 8), "grey: repeat"),
        (torch.zeros(1, 4, 8, 8), "RGBA: drop"),
        (torch.zeros(3, 8, 8), "expected images"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int32), "int32"),  # 16-bit files are read as such
    ],
)
def test_what_is_no_image(image, match):
    with pytest.raises(ValueError, match=match):
        as_images(image)


@pytest.mark.parametrize(
    ("seeds", "severity", "fixed", "match"),
    [
        ([1, 2], None, None, "expected 1 seeds"),
        ([1], 1.5, None, "outside"),
        ([1], 0.5, {"c": 1.0}, "unknown parameters"),
    ],
)
def test_requests_that_do_not_fit(seeds, severity, fixed, match):
    with pytest.raises(ValueError, match=match):
        check_request(torch.zeros(1, 3, 8, 8), seeds, severity, fixed, RANGES)
