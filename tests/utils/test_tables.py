"""Tables as text, CSV and Markdown."""

from __future__ import annotations

import pytest

from utils.errors import UserError
from utils.tables import cell, columns_of, csv_text, markdown_table, read_csv, save_csv, text_table

ROWS = [{"run": "none", "mAP50": 0.25, "seeds": 3}, {"run": "wiid", "mAP50": 0.5, "note": "a|b"}]


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(0.12345, 3, "0.123"), (0.12345, 1, "0.1"), (7, 3, "7"), (None, 3, ""), (float("nan"), 3, "-"), ("x", 3, "x")],
)
def test_cell(value, digits, expected):
    assert cell(value, digits) == expected


def test_columns_are_those_of_every_row():
    assert columns_of(ROWS) == ["run", "mAP50", "seeds", "note"]


def test_text_aligns_words_left_and_numbers_right():
    assert text_table(ROWS).splitlines() == [
        "run   mAP50  seeds  note",
        "none  0.250      3",
        "wiid  0.500         a|b",
    ]


def test_markdown_escapes_what_would_break_a_row():
    assert markdown_table([{"a": "x | y\nz", "b": 1}]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| x \\| y z | 1 |",
    ]


@pytest.mark.parametrize("make", [text_table, markdown_table])
def test_no_rows_no_table(make):
    assert make([]) == ""


def test_csv_keeps_full_precision_and_comes_back(tmp_path):
    assert csv_text([{"a": 0.1234567890123, "b": None}]) == "a,b\n0.1234567890123,\n"
    save_csv(tmp_path / "deep" / "table.csv", ROWS)
    back = read_csv(tmp_path / "deep" / "table.csv")
    assert back == [
        {"run": "none", "mAP50": "0.25", "seeds": "3", "note": ""},
        {"run": "wiid", "mAP50": "0.5", "seeds": "", "note": "a|b"},
    ]


def test_read_drops_the_blanks_that_yolov5_pads_with(tmp_path):
    (tmp_path / "results.csv").write_text("   epoch,   train/box_loss\n   0,   0.5 \n")
    assert read_csv(tmp_path / "results.csv") == [{"epoch": "0", "train/box_loss": "0.5"}]


@pytest.mark.parametrize("content", [b"\xff\n1\n", b"a,b\n1," + b"9" * 200_000])
def test_what_is_no_table(tmp_path, content):
    (tmp_path / "results.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"results\.csv: cannot be read as a table"):
        read_csv(tmp_path / "results.csv")


def test_values_too_many_are_left_out(tmp_path):
    (tmp_path / "results.csv").write_text("a\n1,2,3\n")
    assert read_csv(tmp_path / "results.csv") == [{"a": "1"}]


def test_a_name_that_no_encoding_has_is_written_escaped(tmp_path):
    save_csv(tmp_path / "a.csv", [{"name": "dog \ud800"}])
    assert (tmp_path / "a.csv").read_text() == "name\ndog \\ud800\n"
