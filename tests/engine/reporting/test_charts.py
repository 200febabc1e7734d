"""Charts: SVG in the page's colours, with every text as text."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from engine.reporting import charts

ROWS = [
    {"run": run, "part": part, "value": 0.5, "low": 0.4, "high": np.inf} for run in "ab" for part in ("x", "$y_2$ <i>")
]
DRAWN = {
    "lines": lambda: charts.lines({"a<b": ([0, 1], [np.nan, 1])}, "x", "y", diagonal=True),
    "intervals": lambda: charts.intervals(ROWS, "run", "part", "value", zero=True),
    "bars": lambda: charts.bars(ROWS, "run", "part", "value"),
    "nothing": lambda: charts.lines({}, "x", "y"),
    "no rows": lambda: charts.bars([], "run", "part", "value"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_an_svg_in_the_colours_of_the_page(name):
    svg = DRAWN[name]()
    assert svg.startswith("<svg") and "currentColor" in svg and "<metadata" not in svg
    assert charts.INK not in svg and charts.GRID not in svg and "<i>" not in svg
    assert ElementTree.fromstring(svg).get("viewBox")
    assert svg == DRAWN[name]()  # the same again
