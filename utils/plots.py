"""Images of results. No display is needed and no font is fetched: figures are drawn straight into files."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.files import atomic_write
from utils.tables import cell, number, read_csv

if TYPE_CHECKING:  # seaborn and matplotlib take seconds to import: only a run that draws waits for them
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = "colorblind"
MOST_NAMED = 20  # classes that a legend can name
LONG_WORD = 24  # letters that a line can take
LETTER = 0.09  # inches that a letter of a run's name takes, with room beside it
WIDEST = 24  # inches of conditions beside each other; more are drawn below each other
NO_CURVE = {"epoch", "seconds"}  # columns that are no result


@contextmanager
def _figure(target: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """A figure of `size` inches in the house style to fill; it is then written whole or not at all."""
    import seaborn
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with seaborn.axes_style("whitegrid"), seaborn.plotting_context("notebook", font_scale=0.85):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        atomic_write(Path(target), lambda path: figure.savefig(path, dpi=150))


def plot_results(source: Path, target: Path) -> None:
    """Draw the curves of a training run: `results.csv` (any columns, one row per epoch) -> PNG.

    Columns of one `lr/` family share a panel, every other column has its own; empty cells are bridged. Nothing is
    drawn for a file without numbers.
    """
    rows = read_csv(source)
    panels = _panels(rows)
    if not panels:
        return
    steps = _numbers(rows, "epoch")
    x = steps if np.isfinite(steps).all() else np.arange(1.0, len(rows) + 1)
    wide = min(4, len(panels))
    high = math.ceil(len(panels) / wide)
    with _figure(target, (3.4 * wide, 2.6 * high)) as figure:
        axes = list(figure.subplots(high, wide, squeeze=False).flat)
        for axis, (title, columns) in zip(axes, panels.items(), strict=False):
            _curves(axis, x, title, columns)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()


def _panels(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, np.ndarray]]:
    """Panel title -> column -> values, for the columns that hold numbers."""
    panels: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for column in rows[0] if rows else ():
        values = _numbers(rows, column)
        if column not in NO_CURVE and np.isfinite(values).any():
            title = "learning rate" if column.startswith("lr/") else column
            panels[title][column.removeprefix("lr/") if title == "learning rate" else column] = values
    return dict(panels)


def _curves(axis: Axes, x: np.ndarray, title: str, columns: Mapping[str, np.ndarray]) -> None:
    """The curves of one panel; a single epoch is a dot."""
    for paint, (name, y) in zip(_colours(len(columns)), columns.items(), strict=True):
        known = np.isfinite(y)
        axis.plot(x[known], y[known], marker="o" if known.sum() < 30 else "", markersize=3, color=paint, label=name)
    axis.set_title(title)
    axis.set_xlabel("epoch")
    if len(columns) > 1:
        axis.legend(fontsize="small")


def _numbers(rows: Sequence[Mapping[str, str]], column: str) -> np.ndarray:
    """A column's numbers; NaN where there is none."""
    return np.array([number(row.get(column, "")) for row in rows])


def _colours(count: int) -> list[tuple[float, float, float]]:
    """Colours that people with a colour vision deficiency can tell apart too."""
    import seaborn

    return list(seaborn.color_palette(PALETTE, max(count, 1)))[:count]


def plot_comparison(values: Mapping[str, Mapping[str, Sequence[float]]], target: Path, metric: str = "mAP50") -> None:
    """Draw runs side by side: condition -> run -> one value per seed. Dots are seeds, the bar is mean +- spread (sd)."""
    runs = list(dict.fromkeys(run for by_run in values.values() for run in by_run))
    colours = dict(zip(runs, _colours(len(runs)), strict=True))
    names = [_folded(run) for run in runs]
    longest = max((len(line) for name in names for line in name.splitlines()), default=0)
    width = max(3.0, max(1.5, LETTER * longest) * len(runs))
    number = max(1, len(values))
    rows, columns = (1, number) if number * width <= WIDEST else (number, 1)
    with _figure(target, (columns * width, 1.2 + 2.8 * rows)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
        for axis, (condition, by_run) in zip(axes, values.items(), strict=False):
            for place, run in enumerate(runs):
                _strip(axis, place, np.asarray(by_run.get(run, ()), float), colours[run])
            axis.set_title(condition)
            axis.set_xticks(range(len(runs)), names)
            axis.set_xlim(-0.6, len(runs) - 0.4)
            axis.xaxis.grid(visible=False)
            if axis.get_subplotspec().is_first_col():
                axis.set_ylabel(metric)
        axes[0].margins(y=0.12)  # room for the numbers


def _strip(axis: Axes, place: int, values: np.ndarray, colour: tuple[float, float, float]) -> None:
    """One run: its seeds as dots beside each other, its mean as a line with the spread around it."""
    if not len(values):
        return
    from matplotlib.patches import Rectangle

    mean, spread = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axis.add_patch(Rectangle((place - 0.3, mean - spread), 0.6, 2 * spread, color=colour, alpha=0.2, linewidth=0))
    axis.plot((place - 0.3, place + 0.3), (mean, mean), color=colour, linewidth=2)
    across = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
    axis.plot(place + across, values, "o", color=colour, markersize=5, markeredgecolor="white")
    axis.annotate(
        f"{mean:.3f}", (place, max(values.max(), mean + spread)), (0, 5), textcoords="offset points", ha="center"
    )


def _folded(text: str, width: int = 16) -> str:
    """A long name over several lines; words too long for one are broken after = and /."""
    lines: list[str] = []
    for word in text.split():
        first, *rest = re.findall(r"[^=/]*[=/]?", word)[:-1] if len(word) > LONG_WORD else [word]
        if lines and len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(first)
        for part in rest:
            if len(lines[-1] + part) <= width:
                lines[-1] += part
            else:
                lines.append(part)
    return "\n".join(lines)


def plot_study(rows: Sequence[Mapping[str, Any]], target: Path, metric: str = "mAP50-95") -> None:
    """Draw accuracy against time: rows with `condition`, `imgsz` (px), `ms` per image and the metric."""
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    with _figure(target, (6.5, 4.5)) as figure:
        axis = figure.subplots()
        for condition, colour in zip(conditions, _colours(len(conditions)), strict=True):
            mine = [row for row in rows if row["condition"] == condition]
            axis.plot([r["ms"] for r in mine], [r[metric] for r in mine], "o-", color=colour, label=condition)
            for row in mine:
                point = (row["ms"], row[metric])
                axis.annotate(str(row["imgsz"]), point, (3, 4), textcoords="offset points", fontsize="x-small")
        axis.margins(0.08)
        axis.set_xlabel("ms per image")
        axis.set_ylabel(metric)
        axis.legend()


def plot_precision_recall(
    recall: np.ndarray, curves: Mapping[str, np.ndarray], target: Path, numbers: Mapping[str, float]
) -> None:
    """Draw precision (each class (n,), at least one) over recall (n,), both in [0, 1], with metrics as the title.

    Up to twenty classes have a colour and a name; more are drawn in grey below their mean.
    """
    few = len(curves) <= MOST_NAMED
    with _figure(target, (8.0, 5.0)) as figure:
        axis = figure.subplots()
        for (name, curve), colour in zip(curves.items(), _colours(len(curves)), strict=True):
            axis.plot(recall, curve, linewidth=1, color=colour if few else "lightgrey", label=name if few else None)
        mean = np.mean(list(curves.values()), 0)
        axis.plot(recall, mean, linewidth=2.5, color="black", label="all classes")
        axis.set(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
        axis.set_title("  ".join(f"{name} {cell(value)}" for name, value in numbers.items()), fontsize="small")
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize="small")


def plot_heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], target: Path, *, title: str, top: float = 1.0
) -> None:
    """Draw a table (rows, columns) of fractions of 1 as colours with numbers; columns are severities.

    top: the value of the brightest colour, what nothing should exceed; 0 is the darkest.
    """
    import seaborn

    with _figure(target, (3.2 + 0.75 * len(columns), 1.6 + 0.34 * len(rows))) as figure:
        axis = figure.subplots()
        scale: dict[str, Any] = {"vmin": 0.0, "vmax": max(top, 1e-3), "cmap": "mako", "annot": True, "fmt": ".3f"}
        seaborn.heatmap(values, ax=axis, xticklabels=columns, yticklabels=rows, linewidths=0.5, **scale)
        axis.set(xlabel="severity")
        axis.tick_params(axis="y", rotation=0)
        axis.set_title(title, fontsize="small")


def plot_images(images: Sequence[tuple[str, np.ndarray]], target: Path, across: int = 4) -> None:
    """A contact sheet: (title, image (H, W, 3) uint8 RGB) -> PNG, `across` in a row."""
    if not images:
        return
    high, shape = math.ceil(len(images) / across), images[0][1].shape
    with _figure(target, (3.2 * across, (3.2 * shape[0] / shape[1] + 0.3) * high)) as figure:
        axes = list(figure.subplots(high, across, squeeze=False).flat)
        for axis in axes:
            axis.set_axis_off()
        for axis, (title, image) in zip(axes, images, strict=False):
            axis.imshow(image, interpolation="antialiased")
            axis.set_title(title.encode(errors="replace").decode(), fontsize="x-small")  # a file name, not always UTF-8
