"""val.py --report: its numbers are those of metrics.csv, its images have a mistake, hostile names are shown as text."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.checkpoint import save_checkpoint
from engine.evaluation.report_page import mean_precision
from models.detector import build
from tests.engine.reporting.cells import Cells
from utils.metrics.tide import Errors

NAMES = {0: "<script>alert(1)</script>", 1: "dog & cat"}
DATA = "path: .\ntrain: images/train\nval: images/val\nval2: images/night\nconditions: {val: day, val2: night}\n"


@pytest.fixture
def result(tiny_set: Path, make_image, tmp_path: Path):
    """A validation of classes and images with hostile names."""
    (tiny_set / "data.yaml").write_text(DATA + f"names: {list(NAMES.values())}\n")
    make_image(tiny_set / "images/night" / "<img src=x onerror=alert(2)>.png", seed=9)
    weights = tmp_path / "<b>best.pt"
    save_checkpoint(weights, build("yolov5n.yaml", NAMES), epoch=0, options={}, metrics={})
    where = {"data": tiny_set / "data.yaml", "weights": weights, "project": tmp_path / "runs"}
    how = {"imgsz": 32, "batch_size": 2, "plots": False, "conf_thres": 1e-6, "workers": 0}
    return engine.validate(**where, **how, report=True, by="crowding")


def test_numbers_are_those_of_metrics_csv(result):
    text = (result.save_dir / "report.html").read_text()
    with (result.save_dir / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    expected = [row for row in rows if row["class"] == "all"] + [row for row in rows if row["class"] != "all"]
    cells = Cells(text).found[: sum(map(len, expected))]
    for (value, shown), (column, written) in zip(
        cells, [pair for row in expected for pair in row.items()], strict=True
    ):
        if value:
            assert float(value) == float(written), column
        else:
            assert shown == written, column


def test_what_is_in_it(result):
    text = (result.save_dir / "report.html").read_text()
    assert text.count("<script") == 1 and "&lt;script&gt;alert(1)" in text and "&lt;b&gt;best" in text
    assert len(text) < 5_000_000 and text.count("data:image/jpeg") >= 6
    for heading in (
        "Accuracy by condition",
        "By crowding",
        "Why it fails",
        "Calibration",
        "Worst images: night",
        "What was run",
    ):
        assert heading in text
    captions = [part.partition("</figcaption>")[0] for part in text.split("<figcaption>")[1:]]
    judged = [caption for caption in captions if "(green)" in caption]
    assert judged and not [caption for caption in judged if "0 missed (red), 0 false" in caption]


def test_a_split_without_labels_has_no_empty_chart(tiny_set: Path, checkpoint: Path, tmp_path: Path):
    """No warning of matplotlib, and the parts that have no object are told of."""
    for label in (tiny_set / "labels/val").iterdir():
        label.unlink()
    where = {"data": tiny_set / "data.yaml", "weights": checkpoint, "project": tmp_path / "runs"}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="engine|matplotlib")
        result = engine.validate(**where, imgsz=32, plots=False, workers=0, report=True, by="light")
    text = (result.save_dir / "report.html").read_text()
    assert "have no object and are left out" in text and "with 95 % intervals" not in text


def test_mean_precision_by_hand():
    """Class 0: hit, miss of two objects: precision 1 up to recall 0.5, then 0. Class 1: nothing found."""
    kinds, scores = np.array([-1, 3]), np.array([0.9, 0.8])
    errors = Errors(kinds, np.array([0, -1]), scores, np.zeros(2, int), np.array([0, 0, 1]), np.zeros(3, bool))
    curve = mean_precision(errors)
    assert curve[:51] == pytest.approx(0.5) and curve[51:] == pytest.approx(0)
    assert mean_precision(Errors(*(np.zeros(0, int),) * 5, np.zeros(0, bool))).max() == 0
