"""What loggers have in common: numbers of a row, images of a run folder, tables."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.callbacks import Callback, RunInfo
from engine.results import Report
from utils.tables import cell

IMAGES = (".jpg", ".png")


class Logger(Callback):
    """A callback that passes on rows, images and tables. A subclass says how one of each is written.

    Images are those that the run leaves in its folder: the first batch after the first epoch, curves and predictions at
    the end. With --no-plots there are none.
    """

    optional = True

    def __init__(self) -> None:
        self.folder = Path()
        self.sent: set[str] = set()

    @abstractmethod
    def open(self, run: RunInfo) -> None:
        """Begin, or continue the run with the same key."""

    @abstractmethod
    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Finite numbers of an epoch, from 1."""

    @abstractmethod
    def image(self, path: Path, step: int) -> None:
        """An image file of the run."""

    @abstractmethod
    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of one kind, under a name."""

    @abstractmethod
    def close(self, finished: bool) -> None:
        """The last call. finished: whether the run came to its end."""

    def on_start(self, run: RunInfo) -> None:
        """Open the logger."""
        self.folder, self.step = run.save_dir, 0
        self.open(run)

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        """Pass on the numbers of the row, and images that are new."""
        self.step = row["epoch"]
        self.scalars(numbers(row), self.step)
        self.new_images()

    def on_end(self, reports: Sequence[Report]) -> None:
        """The final metrics as a table, the images of the end, and close."""
        if reports:
            self.table("best", [{**report.head, **report.metrics} for report in reports])
        self.new_images()
        self.close(bool(reports))

    def new_images(self) -> None:
        """Images that the run folder holds and this logger has not passed on."""
        for path in sorted(path for path in self.folder.iterdir() if path.suffix in IMAGES):
            if path.name not in self.sent:
                self.sent.add(path.name)
                self.image(path, self.step)


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row, without its epoch.

    >>> numbers({"epoch": 2, "train/box_loss": 1.5, "val/APt": float("nan"), "note": "a"})
    {'train/box_loss': 1.5}
    """
    found = {name: value for name, value in row.items() if name != "epoch" and isinstance(value, int | float)}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; columns in order of appearance.

    >>> print(markdown([{"run": "none", "mAP50": 0.5}]))
    | run | mAP50 |
    |---|---|
    | none | 0.500 |
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(text(row.get(name, "")) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def text(value: Any) -> str:
    """A value of a table."""
    return cell(value) if isinstance(value, float) else str(value)
