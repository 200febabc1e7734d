"""Charts as inline SVG, in the colours of the page: text is `currentColor`, and follows its light and dark theme."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import seaborn
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

INK, GRID = "#0a0b0c", "#d0d1d2"  # stand for the page's colours in the SVG
PALETTE = ("#1f77b4", "#d95f02", "#2a9d5c", "#c2459b", "#8a6d1d", "#6a51c7")  # 3:1 or more on white and on dark grey
MARKERS = "osD^vP"
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "grid.color": GRID, "axes.facecolor": "none", "svg.fonttype": "none", "svg.hashsalt": "report", "font.family": "sans-serif",
    "legend.framealpha": 0.0, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False,
}  # fmt: skip
WIDTH = 5.0  # inches: letters are readable where the chart is as wide as a phone
LONGEST = 28  # letters of a label on one line
LONGEST_LABEL = 60
MOST_ROWS = 40  # of a chart of parts
Numbers = Sequence[float] | NDArray[np.float64]
Series = Mapping[str, tuple[Numbers, Numbers]]  # name -> x, y


def chart(draw: Callable[[Axes], None], size: tuple[float, float] = (WIDTH, 3.1)) -> Markup:
    """An SVG element of what `draw` puts on the axes. size: inches; on the page it takes the width that there is."""
    with seaborn.axes_style("whitegrid"), matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_inline(stream.getvalue()))  # noqa: S704  matplotlib escapes every text


def _inline(text: str) -> str:
    """The SVG element alone, as wide as its place, hidden from screen readers (its figure is described in words)."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    svg = re.sub(r"font: (\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \1px; font-family: inherit", svg)
    return svg.replace(INK, "currentColor").replace(GRID, "var(--grid)")


def cut(text: str) -> str:
    """A label that leaves room for the chart."""
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _deep(names: Sequence[str]) -> float:
    """Lines that the labels take, on average."""
    return sum(len(textwrap.wrap(cut(text), LONGEST) or [""]) for text in names) / max(len(names), 1)


def colour(number: int) -> str:
    """The colour of a series."""
    return PALETTE[number % len(PALETTE)]


def lines(series: Series, x: str, y: str, *, unit: bool = False, diagonal: bool = False) -> Markup:
    """Curves over x. unit: both axes from 0 to 1; diagonal: where x and y are equal."""

    def draw(axis: Axes) -> None:
        if diagonal:
            axis.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle=":", label="ideal")
        for number, (name, (xs, ys)) in enumerate(series.items()):
            known = np.isfinite(np.asarray(ys, float))
            few = known.sum() < 30
            axis.plot(
                np.asarray(xs, float)[known], np.asarray(ys, float)[known], color=colour(number), label=cut(name),
                marker=MARKERS[number % len(MARKERS)] if few else "", markersize=4, linewidth=1.8,
            )  # fmt: skip
        axis.set(xlabel=cut(x), ylabel=cut(y))
        if unit:
            axis.set(xlim=(0, 1), ylim=(0, 1.02))
        if series:
            axis.legend(fontsize="small")
        if x == "epoch":
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))

    return chart(draw)


def intervals(rows: Sequence[Mapping[str, Any]], series: str, name: str, value: str, *, zero: bool = False) -> Markup:
    """Points with intervals (`low`, `high`), a line per `name` and a colour per `series`; zero: a line at 0."""
    names = list(dict.fromkeys(str(row[name]) for row in rows))[:MOST_ROWS]
    kinds = list(dict.fromkeys(str(row[series]) for row in rows))

    def draw(axis: Axes) -> None:
        step = 0.7 / max(len(kinds), 1)
        for number, kind in enumerate(kinds):
            mine = [row for row in rows if str(row[series]) == kind and str(row[name]) in names]
            places = [names.index(str(row[name])) + (number - (len(kinds) - 1) / 2) * step for row in mine]
            values = np.array([row[value] for row in mine], float)
            ends = np.array([[row.get("low", np.nan), row.get("high", np.nan)] for row in mine], float).reshape(-1, 2)
            spans = np.nan_to_num(np.abs(ends.T - values), posinf=0.0)  # one seed has no interval
            axis.errorbar(
                values, places, xerr=spans, fmt=MARKERS[number % len(MARKERS)], color=colour(number), label=cut(kind),
                markersize=5, linewidth=1.6, capsize=2,
            )  # fmt: skip
        axis.set_yticks(range(len(names)), [textwrap.fill(cut(text), LONGEST) for text in names], fontsize="small")
        axis.set(xlabel=value, ylim=(len(names) - 0.5, -0.5))
        if zero:
            axis.axvline(0, color=INK, linewidth=1)
        else:
            axis.set_xlim(left=0)
        if len(kinds) > 1:
            axis.legend(fontsize="small", loc="best")

    return chart(draw, (WIDTH, 1.1 + 0.2 * len(names) * max(1.2, 0.8 * len(kinds), _deep(names))))


def bars(rows: Sequence[Mapping[str, Any]], series: str, name: str, value: str) -> Markup:
    """Horizontal bars, a group per `name` and a colour per `series`."""
    names = list(dict.fromkeys(str(row[name]) for row in rows))
    kinds = list(dict.fromkeys(str(row[series]) for row in rows))

    def draw(axis: Axes) -> None:
        height = 0.8 / max(len(kinds), 1)
        for number, kind in enumerate(kinds):
            mine = [row for row in rows if str(row[series]) == kind]
            places = [names.index(str(row[name])) + (number - (len(kinds) - 1) / 2) * height for row in mine]
            axis.barh(places, [row[value] for row in mine], height=0.9 * height, color=colour(number), label=cut(kind))
        axis.set_yticks(range(len(names)), [textwrap.fill(cut(text), LONGEST) for text in names], fontsize="small")
        axis.set(xlabel=value)
        axis.invert_yaxis()
        axis.yaxis.grid(visible=False)
        if len(kinds) > 1:
            axis.legend(fontsize="small")

    return chart(draw, (WIDTH, 1.0 + 0.22 * len(names) * max(1.0, 0.6 * len(kinds), _deep(names))))
