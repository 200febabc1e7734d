"""Both sides trained at toy size, and the table by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.against_ultralytics import main, summary, title
from tests.engine.tiny import write_dataset


def test_the_table_by_hand() -> None:
    """Theirs 0.4 and 0.6, ours 0.5 and 0.7: spread 0.1414 each, standard error sqrt(2 * 0.02 / 2) = 0.1414."""
    rows = [
        {"data": "d", "condition": "c", "side": side, "seed": seed, "mAP50": value, "mAP50-95": value}
        for side, values in (("yolo train", (0.4, 0.6)), ("ours", (0.5, 0.7)))
        for seed, value in enumerate(values)
    ]
    first, _ = summary(rows)
    assert (first["yolo train"], first["ours"], first["ours - theirs"]) == (0.5, 0.6, 0.1)
    assert first["sd"] == pytest.approx(0.02**0.5) and first["standard error"] == pytest.approx(0.02**0.5)


@pytest.mark.slow
def test_both_sides_are_trained_and_measured_once(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, images=8)["data"]
    words = ["--data", data, "--epochs", "1", "--batch-size", "4", "--imgsz", "64", "--seeds", "1", "--workers", "0"]
    for _ in range(2):
        assert main([*words, "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "rows.csv").open()))
    assert [(row["side"], row["condition"]) for row in rows] == [
        (side, condition) for side in ("yolo train", "ours") for condition in ("night", "day")
    ]
    assert len(list((tmp_path / "out" / title(data)).iterdir())) == 2


@pytest.mark.parametrize(
    ("data", "name"), [("sets/raccoon/data.yaml", "raccoon"), ("night.yaml", "night"), ("data.yaml", "data")]
)
def test_sets_that_are_all_called_data_have_their_own_folders(data: str, name: str) -> None:
    assert title(data) == name
