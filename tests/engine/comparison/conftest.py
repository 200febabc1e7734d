"""What the tests of comparisons share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.comparison import report as comparison_tables

DATA = "path: .\ntrain: images/train\npair: images/night\nval: images/val\ntest: images/night\ntest2: images/val\n"
NAMES = "names: {0: cat, 1: dog}\nconditions: {test: night, test2: day}\n"


@pytest.fixture
def no_images(monkeypatch) -> None:
    """Drawing is tested where it is done."""
    monkeypatch.setattr(comparison_tables, "plot_comparison", lambda *given: None)


@pytest.fixture
def given(tiny_set: Path, tmp_path: Path) -> dict[str, Any]:
    """A comparison of two runs over two seeds."""
    (tiny_set / "data.yaml").write_text(DATA + NAMES)
    runs = {"run": ("none", "wiid"), "seeds": 2, "epochs": 2}
    return {**runs, "data": tiny_set / "data.yaml", "project": tmp_path / "runs", "resamples": 100}
