"""train.py --report: the curves of results.csv, terms and shares, also of a run that was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.callbacks import RunInfo
from engine.results import Report
from engine.training.report_page import ReportPage, page_of
from utils.tables import read_csv, save_csv


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    """A run of three of ten epochs, whose first share was not measured."""
    rows = [
        {
            "epoch": n, "seconds": 1.0, "train/box_loss": 3.0 / n, "train/<b>term": 0.1, "share/<b>term": 0.05 if n > 1 else "",
            "val/box_loss": 2.0, "val/mAP50": n / 10, "val2/mAP50": n / 20, "lr/0": 0.01,
        }
        for n in (1, 2, 3)
    ]  # fmt: skip
    save_csv(tmp_path / "results.csv", rows)
    return RunInfo(tmp_path, {"data": "demo-night", "method": "none", "lr0": 0.01}, 10, 4, "key")


def test_sections(run):
    report = Report("night", "val", 3, 4, {"mAP50": 0.25}, [{"class": "car", "mAP50": 0.25}], {})
    page = page_of(run, read_csv(run.save_dir / "results.csv"), [report])
    titles = [section.title for section in page.sections if section]
    assert titles == ["Accuracy by condition", "Training curves"]
    words = {chart.title: chart.words for section in page.sections for chart in section.charts}
    assert list(words) == [
        "mAP50", "Training losses", "Validation losses",
        "Fraction of the gradient in the shared backbone, by term", "Learning rate",
    ]  # fmt: skip
    assert "val2/mAP50, last: 0.15" in words["mAP50"] and "val/box_loss" in words["Validation losses"]
    assert "train/<b>term, last: 0.1" in words["Training losses"]
    assert page.summary == "3 of 10 epochs on demo-night, method none."


def test_a_stopped_run_has_a_page_and_an_empty_one_has_none(run, tmp_path):
    page = ReportPage()
    page.on_end([])
    page.on_start(run)
    page.on_end([])
    text = (run.save_dir / "report.html").read_text()
    assert "Training losses" in text and "&lt;b&gt;term" in text and "<b>" not in text
    other = RunInfo(tmp_path / "other", {}, 1, 1, "key")
    page.on_start(other)
    page.on_end([])
    assert not (tmp_path / "other").exists()
