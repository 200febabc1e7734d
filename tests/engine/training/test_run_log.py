"""Rows, fitness, patience, lines: the bookkeeping of a run."""

from __future__ import annotations

import doctest
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.results import Report
from engine.training import run_log
from engine.training.detection import DETECTION
from engine.training.run_log import RunLog, fitness


def make_log(**train: Any) -> RunLog:
    options = {"patience": 3, "epochs": 10, "noval": False, "show_shares": False, **train}
    return RunLog(SimpleNamespace(train=SimpleNamespace(**options), save_dir=None))  # type: ignore[arg-type]


def test_fitness_by_hand() -> None:
    """0.1 * 0.5 + 0.9 * 0.3 = 0.32."""
    metrics = {"mAP50": 0.5, "mAP50-95": 0.3, "precision": 1.0}
    assert fitness(DETECTION.fitness, metrics) == pytest.approx(0.32)


@pytest.mark.parametrize(("rows", "best", "expected"), [(3, 0, False), (4, 0, True), (4, 3, False)])
def test_patience_counts_epochs_since_the_best(rows: int, best: int, expected: bool) -> None:
    records = make_log()
    records.rows = [{"epoch": i + 1} for i in range(rows)]
    records.best_epoch = best
    assert records.out_of_patience() is expected


def test_skipped_validation_costs_no_patience() -> None:
    log = make_log(noval=True)
    log.rows, log.best_epoch = [{"epoch": i + 1} for i in range(9)], 0
    assert not log.out_of_patience()


def test_no_patience_means_never() -> None:
    records = make_log(patience=0)
    records.rows = [{"epoch": 99}]
    assert not records.out_of_patience()


def test_the_line_of_an_epoch() -> None:
    report = Report("night", "val", 4, 9, {"mAP50": 0.5, "mAP50-95": 0.25}, [], {})
    row = {"epoch": 3, "seconds": 12.3, "train/box_loss": 1.2345, "lr/weight": 0.1}
    line = make_log()._line(row, [report], better=True)
    assert "3/10" in line and "box_loss 1.234" in line and "night: mAP50 0.500" in line
    assert "*" in line and "(12 s)" in line and "lr" not in line
    assert "night" not in make_log()._line(row, [], better=True)


def test_a_protocol_is_in_the_line() -> None:
    metrics = {"mAP50": 0.5, "mAP50-95": 0.25, "AP": 0.2, "AP50": 0.4, "APvt": math.nan, "APt": 0.1, "APs": 0.3}
    row = {"epoch": 3, "seconds": 1.0}
    line = make_log()._line(row, [Report("day", "val", 4, 9, metrics, [], {})], better=False)
    assert "day: mAP50 0.500  mAP50-95 0.250  AP 0.200  APvt -  APt 0.100  (1 s)" in line


@pytest.mark.parametrize(("hours", "seconds", "over"), [(0.0, 1e9, False), (0.5, 1799, False), (0.5, 1801, True)])
def test_time_counts_what_came_before_a_resume(hours: float, seconds: float, over: bool) -> None:
    log = make_log(time=hours)
    log.seconds_before = seconds
    assert log.out_of_time() is over


def test_the_progress_line_tells_rate_and_rest(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Two epochs of four batches, a second each: after the first batch 3 + 4 are left, and two validations of 5 s."""
    clock = iter([0.0, 1.0, 1.4, 2.0])
    log = make_log(epochs=2)
    log.pauses = [5.0]
    monkeypatch.setattr(run_log.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(run_log.sys.stderr, "isatty", lambda: True)
    with log.progress(0, 4) as show:
        show(0, {"im_file": ["a", "b"], "img": torch.zeros(2)}, {"box_loss": torch.tensor(1.5)}, 1)
        assert "epoch 1/2  1/4  box_loss 1.500  2 img/s  ETA 0:17" in capsys.readouterr().err
        show(1, {"im_file": ["a", "b"]}, {}, 2)  # half a second is not over: the device is left alone
        assert not capsys.readouterr().err


def test_durations() -> None:
    assert doctest.testmod(run_log).failed == 0


def test_state_comes_back() -> None:
    first, second = make_log(), make_log()
    first.rows, first.best, first.best_epoch = [{"epoch": 1}], 0.4, 0
    second.load_state(first.state())
    assert (second.rows, second.best, second.best_epoch) == ([{"epoch": 1}], 0.4, 0)
    assert second.seconds_before > 0


@pytest.mark.parametrize(("best", "epoch", "over"), [(-1.0, 8, False), (0.4, 0, True)])
def test_what_earlier_files_called_best_before_any_validation(best: float, epoch: int, over: bool) -> None:
    """Nine epochs, and the first is the best: of those that are not validated it is the newest instead."""
    log = make_log()
    log.load_state({"rows": [{"epoch": i + 1} for i in range(9)], "best": best, "best_epoch": 0, "seconds": 1.0})
    assert log.best_epoch == epoch and log.out_of_patience() is over
