"""Rows, fitness, patience, lines: the bookkeeping of a run."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from engine.results import Report
from engine.training.run_log import Records, fitness, rows_text


def make_records(**train: Any) -> Records:
    options = {"patience": 3, "epochs": 10, **train}
    return Records(SimpleNamespace(train=SimpleNamespace(**options), save_dir=None))  # type: ignore[arg-type]


def test_fitness_by_hand() -> None:
    """0.1 * 0.5 + 0.9 * 0.3 = 0.32."""
    assert fitness({"mAP50": 0.5, "mAP50-95": 0.3, "precision": 1.0}) == pytest.approx(0.32)


def test_rows_with_new_columns_leave_gaps() -> None:
    text = rows_text([{"epoch": 1, "loss": 0.123456789}, {"epoch": 2, "loss": 2.0, "val/mAP50": 0.5}])
    assert text.splitlines() == ["epoch,loss,val/mAP50", "1,0.123457,", "2,2,0.5"]


@pytest.mark.parametrize(("rows", "best", "expected"), [(3, 0, False), (4, 0, True), (4, 3, False)])
def test_patience_counts_epochs_since_the_best(rows: int, best: int, expected: bool) -> None:
    records = make_records()
    records.rows = [{"epoch": i + 1} for i in range(rows)]
    records.best_epoch = best
    assert records.out_of_patience() is expected


def test_no_patience_means_never() -> None:
    records = make_records(patience=0)
    records.rows = [{"epoch": 99}]
    assert not records.out_of_patience()


def test_the_line_of_an_epoch() -> None:
    report = Report("night", "val", 4, 9, {"mAP50": 0.5, "mAP50-95": 0.25}, [], {})
    row = {"epoch": 3, "train/box_loss": 1.2345, "lr/weight": 0.1}
    line = make_records()._line(row, report, 12.3, better=True)
    assert "3/10" in line and "box_loss 1.234" in line and "night: mAP50 0.500" in line
    assert "*" in line and "(12 s)" in line and "lr" not in line
    assert "night" not in make_records()._line(row, None, 1.0, better=True)


def test_a_protocol_is_in_the_line() -> None:
    metrics = {"mAP50": 0.5, "mAP50-95": 0.25, "AP": 0.2, "AP50": 0.4, "APvt": math.nan, "APt": 0.1, "APs": 0.3}
    line = make_records()._line({"epoch": 3}, Report("day", "val", 4, 9, metrics, [], {}), 1.0, better=False)
    assert "day: mAP50 0.500  mAP50-95 0.250  AP 0.200  APvt -  APt 0.100  (1 s)" in line


def test_state_comes_back() -> None:
    first, second = make_records(), make_records()
    first.rows, first.best, first.best_epoch = [{"epoch": 1}], 0.4, 0
    second.load_state(first.state())
    assert (second.rows, second.best, second.best_epoch) == ([{"epoch": 1}], 0.4, 0)
    assert second.seconds_before > 0
