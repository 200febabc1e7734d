"""What a method may ask of the loader, and what it is told where nothing provides it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.config import load_data
from data.detection.views import View, check_views, of_kind
from utils.errors import UserError


def test_names_by_kind_are_sorted() -> None:
    views = (View("b", "paired"), View("a", "unpaired"), View("c", "per_object"))
    assert of_kind(views, "paired", "unpaired") == ["a", "b"] and of_kind(views, "per_image") == []


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (View("depth", "paired"), "trains with paired images 'depth', but the file has no 'depth' line. Name a folder"),
        (View("sketch", "unpaired", "Draw some"), "no 'sketch' line. Draw some, or use --method none"),
        (View("depth", "deep"), "view 'depth': nothing provides the kind 'deep'"),  # type: ignore[arg-type]
        (View("weather", "per_image"), "`load` and `merge` with per_image"),
    ],
)
def test_a_view_that_nothing_provides(tiny_set: Path, view: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_views(load_data(tiny_set / "data.yaml"), [view])


def test_views_that_are_provided(tiny_set: Path) -> None:
    check_views(load_data(tiny_set / "data.yaml"), [View("pair", "paired"), View("number", "per_object")])
