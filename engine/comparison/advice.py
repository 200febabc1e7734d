"""One sentence of advice from a comparison, no stronger than its intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

BETTER, WORSE = "better", "worse"  # verdicts of utils.metrics.bootstrap
Row = Mapping[str, Any]


def advise(runs: Sequence[str], differences: Sequence[Row]) -> str:
    """What to use, by the first metric and against the first run.

    A run is advised that is better than the first in a condition and worse in none; the one with the largest mean difference
    where there are several, without a claim about their order. Nothing is advised where no interval excludes zero. Empty for
    one run, and where nothing could be compared.
    """
    base, metric = runs[0], differences[0]["metric"] if differences else ""
    rows = [row for row in differences if row["against"] == base and row["metric"] == metric]
    by_run = {run: [row for row in rows if row["run"] == run] for run in runs[1:]}
    by_run = {run: mine for run, mine in by_run.items() if mine}
    if not by_run:
        return ""
    verdicts = {run: {row["verdict"] for row in mine} for run, mine in by_run.items()}
    good = [run for run, found in verdicts.items() if BETTER in found and WORSE not in found]
    mixed = [run for run, found in verdicts.items() if {BETTER, WORSE} <= found]
    if good:
        best = max(good, key=lambda run: _mean(by_run[run]))
        others = [run for run in good if run != best]
        more = f"; {_are(others)} better than {base} too, which is best is not shown" if others else ""
        return f"Use {best}: {_where(by_run[best], base, metric)}{more}."
    if mixed:
        best = max(mixed, key=lambda run: _mean(by_run[run]))
        return f"{best} is a trade: {_where(by_run[best], base, metric)}; use it only where the gain counts more."
    lost = [run for run, found in verdicts.items() if WORSE in found]
    if lost:
        return f"Stay with {base}: no run is shown to be better, and {_are(lost)} worse."
    widest = max((row["high"] - row["low"]) / 2 for row in rows)
    if not isfinite(widest):
        return f"Stay with {base}: no difference in {metric} is shown, and more seeds are needed to show one."
    return (
        f"Stay with {base}: no difference in {metric} is shown; the intervals reach {widest:.3f} to either side, so smaller "
        "gains may have been missed, which more seeds or test images would show."
    )


def _mean(rows: Sequence[Row]) -> float:
    return sum(row["difference"] for row in rows) / len(rows)


def _where(rows: Sequence[Row], base: str, metric: str) -> str:
    """`better than none in night by 0.12 to 0.30 mAP50, no difference is shown in day`."""
    parts = []
    for verdict in (BETTER, WORSE):
        mine = [row for row in rows if row["verdict"] == verdict]
        spans = [f"in {row['condition']} by {_span(row)}" for row in mine]
        if spans:
            parts.append(f"{verdict} than {base} {_listed(spans)} {metric}")
    same = [f"in {row['condition']}" for row in rows if row["verdict"] not in (BETTER, WORSE)]
    parts += [f"no difference is shown {_listed(same)}"] if same else []
    return ", ".join(parts)


def _span(row: Row) -> str:
    """The interval, without its sign."""
    low, high = sorted((abs(row["low"]), abs(row["high"])))
    return f"{low:.3f} to {high:.3f}"


def _are(runs: Sequence[str]) -> str:
    """`a is`, `a and b are`."""
    return f"{_listed(runs)} {'is' if len(runs) == 1 else 'are'}"


def _listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
