"""tests.golden: a record equals itself, and a changed one is told."""

from __future__ import annotations

from pathlib import Path

from tests.golden import differences, record


def test_two_records_of_one_tree_are_equal(tmp_path: Path) -> None:
    names = {"action, none"}
    first, again = (record(tmp_path / part, names) for part in ("first", "again"))
    assert first.keys() == names and list(differences(first, again)) == []
    changed = {"action, none": {**first["action, none"], "weights": ""}}
    assert list(differences(first, changed))[0].startswith("action, none: ")
    assert list(differences({}, first)) == ["action, none: is missing"]
