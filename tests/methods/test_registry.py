"""Names to methods: compositions, mistakes, options."""

from __future__ import annotations

import dataclasses

import pytest

from methods.options.wiid import WiiDOptions
from methods.registry import METHODS, create, joined_views, option_schemas, split_names
from methods.wiid import WiiD
from utils.errors import UserError


@pytest.mark.parametrize(
    ("composition", "expected"),
    [("none", []), ("", []), ("wiid", ["wiid"]), ("WiiD", ["wiid"]), ("none+wiid", ["wiid"]), (" wiid + ", ["wiid"])],
)
def test_compositions(composition: str, expected: list[str]) -> None:
    assert split_names(composition) == expected


@pytest.mark.parametrize(
    ("composition", "message"),
    [("wiit", "Did you mean 'wiid'"), ("wiid+wiid", "each method once"), ("zzzzz", "Known: none, wiid")],
)
def test_mistakes(composition: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("+", r"\+")):
        split_names(composition)


def test_options_reach_the_method() -> None:
    (method,) = create("wiid", {WiiDOptions: WiiDOptions(byol_weight=0.7)})
    assert isinstance(method, WiiD) and method.options.byol_weight == 0.7


def test_missing_options_are_the_published_ones() -> None:
    (method,) = create("wiid", {})
    assert isinstance(method, WiiD)
    options = method.options
    assert (options.byol_weight, options.byol_momentum, options.front_ratio, options.back_ratio) == (
        0.1,
        0.99,
        0.0,
        0.3,
    )
    assert (options.num_blocks, options.mask_token, options.highlight) == (5, "zero", "none")
    assert (options.use_mmd, options.mmd_weight) == (None, 0.1)


def test_every_registered_method_keeps_the_protocol() -> None:
    for name, entry in METHODS.items():
        (method,) = create(name, {})
        assert method.name == name and dataclasses.is_dataclass(entry.options)
    names = [field.name for schema in option_schemas() for field in dataclasses.fields(schema)]
    assert len(names) == len(set(names)), "two methods may not share a flag"


def test_two_methods_with_one_view_are_refused() -> None:
    class Other(WiiD):
        name = "other"

    with pytest.raises(UserError, match=r"--method wiid\+other: both wiid and other declare the view 'pair'"):
        joined_views([WiiD(), Other()])
