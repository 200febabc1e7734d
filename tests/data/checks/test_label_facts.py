"""One label file: rows that make sense, and each that does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.checks.label_facts import read_label_facts

GOOD = "0 0.5 0.5 0.2 0.2\n"


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str | bytes) -> Path:
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / "a.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "images" / "a.jpg"

    return written


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("cat 0.5 0.5 0.2 0.2", "label-row"),
        ("0 0.5 0.5 0.2", "label-row"),
        ("0 nan 0.5 0.2 0.2", "label-row"),
        ("7 0.5 0.5 0.2 0.2", "label-class"),
        ("-1 0.5 0.5 0.2 0.2", "label-class"),
        ("0 153 0.5 0.2 0.2", "label-range"),
        ("0 0.5 0.5 -0.005 0.2", "label-range"),
        ("0 0.1 0.5 0 0.2", "label-no-area"),
        ("0 0.95 0.5 0.2 0.2", "label-over-edge"),  # 0.95 + 0.1 - 1 = 0.05
        ("0 0.505 0.5 0.2 0.2", "label-doubled"),  # IoU 0.195 / 0.205 = 0.951
        ("1 0.501 0.5 0.2 0.2", "label-two-classes"),  # IoU 0.199 / 0.201 = 0.990
    ],
)
def test_each_kind_of_wrong_row_names_its_line(write, row, kind):
    facts = read_label_facts(write(GOOD + row + "\n"), classes=2)
    assert {kind: [place.line for place in places] for kind, places in facts.wrong.items()} == {kind: [2]}


@pytest.mark.parametrize(
    "row",
    [
        "1 0.52 0.5 0.2 0.2",  # another class, IoU 0.18 / 0.22 = 0.82
        "0 0.515 0.5 0.2 0.2",  # the same class, IoU 0.185 / 0.215 = 0.86
        "0 0.9 0.5 0.215 0.2",  # beyond the edge by 0.0075: rounding
        "1 0.1 0.1 0.3 0.1 0.2 0.3",  # a polygon
    ],
)
def test_rows_that_are_right(write, row):
    facts = read_label_facts(write(GOOD + row + "\n"), classes=2)
    assert not facts.wrong and len(facts.rows) == 2


def test_missing_empty_and_foreign_files(write, tmp_path):
    assert not read_label_facts(tmp_path / "images" / "none.jpg", 2).found
    assert read_label_facts(write(""), 2).found
    assert [*read_label_facts(write(b"\xff\xfe\x00"), 2).wrong] == ["label-unreadable"]


def test_many_boxes_are_compared_with_those_beside_them_only(write):
    rows = [f"0 {0.05 + 0.009 * n:.4f} 0.5 0.02 0.2" for n in range(100)]  # IoU of neighbours 0.011 / 0.029 = 0.38
    facts = read_label_facts(write("\n".join([*rows, rows[40]])), 2)
    assert [place.line for place in facts.wrong["label-doubled"]] == [101]


def test_a_pipe_is_no_label_file(write):
    image = write("")
    label = image.parents[1] / "labels" / "a.txt"
    label.unlink()
    os.mkfifo(label)
    assert list(read_label_facts(image, 2).wrong) == ["label-unreadable"]
