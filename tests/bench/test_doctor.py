"""Planted faults: prepare.py check finds each of them, and nothing that nobody planted."""

from __future__ import annotations

import pytest

from bench.doctor import page, plant_files, plant_sets
from tests.data.checks.sets import write_clean_set


@pytest.mark.slow
def test_every_fault_of_a_file_is_found_and_nothing_else(tmp_path):
    source = write_clean_set(tmp_path / "set", pair=True, train=60, val=24).parent
    rows = [*plant_files(source, tmp_path / "copy", set())]
    planted = [row for row in rows if row["fault"]]
    assert [row["fault"] for row in planted if not row["found"]] == [] and len(planted) == 39
    assert [row["false"] for row in rows if not row["fault"]] == [[], []]


@pytest.mark.slow
def test_every_fault_of_a_split_is_found(tmp_path):
    source = write_clean_set(tmp_path / "set", suffix=".png", train=30, val=24).parent
    rows = [*plant_sets(source, tmp_path / "copy", set())]
    assert [row["fault"] for row in rows if not row["found"]] == []
    assert f"**{len(rows)} of {len(rows)} planted faults found**" in page([], [], rows)
