"""What the checks know of one label file: its boxes, and each row that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.checks.findings import Place
from data.io.labels import MOST_BYTES, TOLERANCE, label_path, parse_row
from utils.disk.reading import read_text
from utils.errors import UserError

Rows = NDArray[np.float64]  # (n, 5) class, centre x, centre y, width, height as fractions of the image
DOUBLED, CONFLICT = 0.9, 0.95  # IoU from which two boxes count as one object; of two classes
REASONS = (("label-class", "out of range; there are"), ("label-range", "outside 0 to 1"), ("label-range", "negative"))


@dataclass(frozen=True)
class LabelFacts:
    """One label file. found: whether it exists; lines: the line of each row; wrong: kind of finding -> its places."""

    file: Path
    found: bool
    rows: Rows
    lines: tuple[int, ...]
    wrong: dict[str, list[Place]]


def read_label_facts(image: Path, classes: int) -> LabelFacts:
    """Read the label file of an image. Raises nothing: what is wrong stands in the facts."""
    file = label_path(image)
    try:
        text = read_text(file, MOST_BYTES)
    except FileNotFoundError:
        return LabelFacts(file, False, np.zeros((0, 5)), (), {})
    except (OSError, UnicodeDecodeError, UserError) as problem:
        return LabelFacts(file, True, np.zeros((0, 5)), (), {"label-unreadable": [Place(file, None, str(problem))]})
    rows, lines, wrong = _parsed(file, text, classes)
    for kind, line, note in _doubtful(rows, lines):
        wrong.setdefault(kind, []).append(Place(file, line, note))
    keep = (rows[:, 3:] > 0).all(1)
    return LabelFacts(file, True, rows[keep], tuple(np.array(lines, int)[keep].tolist()), wrong)


def _parsed(file: Path, text: str, classes: int) -> tuple[Rows, list[int], dict[str, list[Place]]]:
    """The rows that make sense with their lines, and the places of the others."""
    rows: list[tuple[float, ...]] = []
    lines: list[int] = []
    wrong: dict[str, list[Place]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(parse_row(line.split(), classes))
            lines.append(number)
        except ValueError as problem:
            kind = next((kind for kind, words in REASONS if words in str(problem)), "label-row")
            wrong.setdefault(kind, []).append(Place(file, number, str(problem)))
    return np.array(rows, float).reshape(-1, 5), lines, wrong


def _doubtful(rows: Rows, lines: list[int]) -> list[tuple[str, int, str]]:
    """(kind, line, note) of rows that can be read but look wrong."""
    found = []
    for row, line in zip(rows, lines, strict=True):
        if min(row[3:]) <= 0:
            found.append(("label-no-area", line, f"width {row[3]:g}, height {row[4]:g}"))
        beyond = float((np.abs(row[1:3] - 0.5) + row[3:] / 2).max() - 0.5)
        if beyond > TOLERANCE:
            found.append(("label-over-edge", line, f"extends {beyond:.0%} beyond the image"))
    for first, second, overlap in _overlapping(rows):
        same = rows[first, 0] == rows[second, 0]
        if not same and overlap < CONFLICT:
            continue
        kind = "label-doubled" if same else "label-two-classes"
        found.append((kind, lines[second], f"IoU {overlap:.2f} with line {lines[first]}"))
    return found


def _overlapping(rows: Rows) -> list[tuple[int, int, float]]:
    """(earlier row, later row, IoU) of boxes that overlap by `DOUBLED` or more; each later row once."""
    if len(rows) < 2:
        return []
    order = np.argsort(rows[:, 1] - rows[:, 3] / 2, kind="stable")
    low, high, area = rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2, rows[:, 3] * rows[:, 4]
    found: dict[int, tuple[int, int, float]] = {}
    for place, first in enumerate(order):
        others = order[place + 1 :]
        others = others[: int(np.searchsorted(low[others, 0], high[first, 0]))]  # those that begin within this one
        side = (np.minimum(high[first], high[others]) - np.maximum(low[first], low[others])).clip(0)  # (k, 2)
        shared = side.prod(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = shared / (area[first] + area[others] - shared)
        for second, value in zip(others[overlap >= DOUBLED], overlap[overlap >= DOUBLED], strict=True):
            one, two = sorted((int(first), int(second)))
            found.setdefault(two, (one, two, float(value)))
    return [found[key] for key in sorted(found)]
