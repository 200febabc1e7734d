"""The table of findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.checks.findings import KINDS, SEVERITIES, Finding, Place, counted


def test_every_kind_has_a_severity_and_a_meaning():
    assert {kind.severity for kind in KINDS.values()} == {*SEVERITIES}
    assert all(kind.about and kind.about == kind.about.strip().rstrip(".") for kind in KINDS.values())


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place(Path("a.txt")), "a.txt"),
        (Place(Path("a.txt"), 3), "a.txt:3"),
        (Place(Path("a.txt"), 3, "no number"), "a.txt:3: no number"),
        (Place(Path("a.jpg"), None, "an empty file"), "a.jpg: an empty file"),
    ],
)
def test_places_read_like_compiler_messages(place, text):
    assert str(place) == text


def test_gist_leaves_values_and_names_out():
    assert Finding("shift-dark", "val", "val is darker than train (medians 1 and 2)").gist == "val is darker than train"
    assert counted(1234, "image") == "1,234 images"
