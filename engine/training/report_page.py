"""`train.py --report`: report.html of a run: accuracy of the best checkpoint, training curves, method terms and their shares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.callbacks import Callback, RunInfo
from engine.evaluation.api import table
from engine.reporting import charts
from engine.reporting.page import Chart, Page, Section, Table, run_facts, save
from engine.results import Report
from utils.files import file_digest
from utils.tables import number, read_csv

MOST_CLASSES = 40  # in the table by class
PANELS = {  # title -> which columns of results.csv, and the label of the axis
    "Training losses": (r"train/.*", "loss"),
    "Validation losses": (r"val\d*/.*loss", "loss"),
    "Fraction of the gradient in the shared backbone, by term": (r"share/.*", "fraction"),
    "Learning rate": (r"lr/.*", "learning rate"),
}
SKIPPED = ("epoch", "seconds")


class ReportPage(Callback):
    """Writes report.html when the run ends, also where it was stopped, of the epochs that it has. A failure stops nothing."""

    optional = True

    def __init__(self) -> None:
        self.run: RunInfo | None = None

    def on_start(self, run: RunInfo) -> None:
        """Keep where the run is."""
        self.run = run

    def on_end(self, reports: Sequence[Report]) -> None:
        """Write the page; nothing without a finished epoch."""
        if self.run is not None and (self.run.save_dir / "results.csv").is_file():
            save(page_of(self.run, read_csv(self.run.save_dir / "results.csv"), reports), self.run.save_dir)


def page_of(run: RunInfo, rows: Sequence[Mapping[str, str]], reports: Sequence[Report]) -> Page:
    """The page. rows: those of results.csv; reports: of the best checkpoint, none where the run was stopped."""
    options = {key: str(value) for key, value in run.options.items() if key not in ("save_dir",)}
    method = options.get("method", "none")
    summary = f"{len(rows)} of {run.epochs} epochs on {options.get('data', '')}, method {method}."
    known = [*run_facts(options.get("device", "")), *weights_facts(run.save_dir)]
    known.append(
        ("options", ", ".join(f"{key}={value}" for key, value in options.items()) or "the defaults of train.py")
    )
    return Page(f"Training of {run.save_dir.name}", summary, known, [accuracy(reports), curves(rows)])


def weights_facts(folder: Path) -> Iterator[tuple[str, str]]:
    """The best checkpoint and its checksum."""
    best = folder / "weights" / "best.pt"
    if best.is_file():
        yield "weights", f"{best}, SHA-256 {file_digest(best)}"


def accuracy(reports: Sequence[Report]) -> Section:
    """Tables of the best checkpoint, by condition and class."""
    rows = table(reports)
    whole = [row for row in rows if row["class"] == "all"]
    single = [row for row in rows if row["class"] != "all"][:MOST_CLASSES]
    tables = [Table("Best checkpoint, all classes", whole), Table("Best checkpoint, by class", single)]
    return Section("Accuracy by condition", tables=[one for one in tables if one.rows])


def curves(rows: Sequence[Mapping[str, str]]) -> Section:
    """Curves over the epochs: metrics, losses, fractions of the gradient, learning rate."""
    known = [
        name for name in (rows[0] if rows else ()) if name not in SKIPPED and np.isfinite(_values(rows, name)).any()
    ]
    special = {title: [name for name in known if re.fullmatch(form, name)] for title, (form, _) in PANELS.items()}
    accuracies = [name for name in known if not any(name in names for names in special.values())]
    metrics = dict.fromkeys(name.rpartition("/")[2] for name in accuracies)
    panels = {
        metric: ([name for name in accuracies if name.rpartition("/")[2] == metric], metric) for metric in metrics
    } | {title: (special[title], label) for title, (_, label) in PANELS.items()}
    drawn = [_chart(title, names, rows, label) for title, (names, label) in panels.items() if names]
    return Section("Training curves", charts=drawn)


def _chart(title: str, names: Sequence[str], rows: Sequence[Mapping[str, str]], label: str) -> Chart:
    epochs = _values(rows, "epoch")
    series = {name: (epochs, _values(rows, name)) for name in names}
    words = "; ".join(f"{name}, last: {_last(values):.4g}" for name, (_, values) in series.items())
    return Chart(
        title,
        f"Curves over {len(rows)} epochs. {words}.",
        charts.lines(series, "epoch", label),
    )


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """A column's numbers; NaN where there is none."""
    return np.array([number(row.get(name, "")) for row in rows], float)


def _last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")
