"""Numbers and tables, as loggers pass them on."""

from __future__ import annotations

import doctest

from engine.loggers import base


def test_examples() -> None:
    assert doctest.testmod(base).failed == 0


def test_cells_that_a_row_lacks_are_empty() -> None:
    assert base.markdown([{"a": 1}, {"b": "x"}]).splitlines()[2:] == ["| 1 |  |", "|  | x |"]
