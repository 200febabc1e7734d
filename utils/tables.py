"""Tables of results: rows are mappings from column to value, and become text for the screen, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.disk.reading import read_text
from utils.errors import UserError
from utils.files import atomic_write

Row = Mapping[str, Any]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column of the rows, in the order of first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def cell(value: Any, digits: int = 3) -> str:
    """One value for a reader: fractions rounded, an empty cell for None.

    >>> cell(0.12345), cell(7), cell(None), cell(float("nan"))
    ('0.123', '7', '', '-')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.{digits}f}"
    return str(value)


def _cells(rows: Sequence[Row], digits: int) -> tuple[list[str], list[list[str]]]:
    """Column names and the texts below them."""
    columns = columns_of(rows)
    return columns, [[cell(row.get(column), digits) for column in columns] for row in rows]


def text_table(rows: Sequence[Row], digits: int = 3) -> str:
    """An aligned table for the screen: words to the left, numbers to the right. Empty for no rows."""
    columns, body = _cells(rows, digits)
    numeric = [all(isinstance(row.get(c), (int, float, type(None))) for row in rows) for c in columns]
    widths = [max(len(line[i]) for line in [columns, *body]) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [columns, *body])) if rows else ""


def markdown_table(rows: Sequence[Row], digits: int = 3) -> str:
    """A Markdown table; bars inside a text are escaped, line breaks become spaces. Empty for no rows."""
    columns, body = _cells(rows, digits)
    lines = [columns, ["---"] * len(columns), *body] if rows else []
    return "\n".join("| " + " | ".join(_escape(c) for c in line) + " |" for line in lines)


def _escape(text: str) -> str:
    """A text that cannot break a Markdown row."""
    return " ".join(text.replace("|", "\\|").split())


def csv_text(rows: Sequence[Row], digits: int | None = None) -> str:
    """The rows as CSV with a header, in full precision or to so many significant digits.

    A column that only later rows have is empty in the earlier ones.
    """

    def short(value: Any) -> Any:
        return f"{value:.{digits}g}" if digits and isinstance(value, float) else value

    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: short(value) for column, value in row.items()} for row in rows)
    return stream.getvalue()


def save_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as CSV, whole or not at all. Raises UserError where the place is not writable."""
    atomic_write(path, csv_text(rows).encode(errors="backslashreplace"))


def number(text: str) -> float:
    """A cell's number, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def whole(text: str) -> int | None:
    """A whole number of at most 9 digits from 0 to 9, or None. Python's int reads the digits of every script, and signs.

    >>> whole("12"), whole("\u00b2"), whole("-1"), whole("")
    (12, None, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as texts; blanks around names and values (YOLOv5 pads them) are dropped, and values too many.

    Raises UserError where it cannot be read as a table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline=""), restkey="", skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UserError(f"{path}: cannot be read as a table ({problem!s:.200}). Expected CSV in UTF-8.") from None
    return [{str(key).strip(): (value or "").strip() for key, value in row.items() if key != ""} for row in rows]
