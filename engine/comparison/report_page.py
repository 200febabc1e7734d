"""The report.html of compare.py: means, intervals, parts, and images on which two checkpoints differ, under a slider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.comparison.evaluating import Measured
from engine.comparison.report import Comparison
from engine.evaluation.mistakes import judge, only_one_finds
from engine.evaluation.subsets import SplitResults
from engine.evaluation.writers import draw_judged
from engine.reporting import charts
from engine.reporting.images import allowance, data_address
from engine.reporting.page import Chart, Figure, Page, Section, Table, run_facts, save

MOST = 12  # images of each kind and split
SIMPLE = ("condition", "difference", "low", "high", "verdict")


class Pair(NamedTuple):
    """Two checkpoints: their names, what they detected on each split, and the names of the classes."""

    names: tuple[str, str]
    measured: tuple[Measured, Measured]
    classes: Mapping[int, str]


class Shown(NamedTuple):
    """An image to show: its place in the split, and why, in words."""

    place: int
    words: str


def save_page(comparison: Comparison, facts: Mapping[str, Any], pair: Pair | None, folder: Path) -> Path:
    """Write report.html into the folder of the comparison."""
    sections = [means(comparison), *differences(comparison), *(images(pair) if pair else ())]
    known = [*run_facts(), *((name, str(value)) for name, value in facts.items())]
    conditions = ", ".join(comparison.whole)
    summary = f"{len(comparison.runs)} {'runs' if comparison.trained else 'checkpoints'}, on: {conditions}."
    summary = f"{summary} {comparison.advice(comparison.differences())}".strip()
    return save(Page(" / ".join(comparison.runs), summary, known, sections), folder)


def means(comparison: Comparison) -> Section:
    """Means of each run."""
    rows = comparison.summary()
    metric = comparison.metrics[0]
    bars = [row for row in rows if row["condition"] in comparison.whole]
    words = "; ".join(f"{row['run']}, {row['condition']}: {row[metric]:.3f}" for row in bars)
    chart = Chart(f"{metric} of each run", f"{metric}. {words}.", charts.bars(bars, "run", "condition", metric))
    return Section("Accuracy", tables=[Table("Means", rows)], charts=[chart])


def differences(comparison: Comparison) -> Iterator[Section]:
    """Differences with their intervals, a section per pair of runs and metric."""
    rows = comparison.differences()
    for run, against, metric in dict.fromkeys((row["run"], row["against"], row["metric"]) for row in rows):
        mine = [row for row in rows if (row["run"], row["against"], row["metric"]) == (run, against, metric)]
        words = "; ".join(f"{row['condition']}: {row['difference']:.3f}, {row['verdict']}" for row in mine[:20])
        points = [{**row, "pair": f"{run} minus {against}"} for row in mine]
        svg = charts.intervals(points, "pair", "condition", "difference", zero=True)
        chart = Chart(f"{metric}: {run} minus {against}, with 95 % intervals", f"Differences. {words}.", svg)
        table = [{name: row[name] for name in SIMPLE} for row in mine]
        text = "An interval that contains zero shows no difference."
        yield Section(f"{run} against {against}: {metric}", [text], [Table("Differences", table)], [chart])


def images(pair: Pair) -> Iterator[Section]:
    """Images on which one finds what the other misses, and the worst of the second, each with a slider."""
    splits = list(zip(*pair.measured, strict=True))
    chosen = []
    for (report, ours), (_, theirs) in splits:
        chosen.append((f"Found by one only: {report.condition}", ours, theirs, found_by_one(pair.names, ours, theirs)))
        chosen.append((f"Worst images: {report.condition}", ours, theirs, worst_of_both(ours, theirs)))
    allowed = allowance(2 * sum(len(shown) for *_, shown in chosen))
    text = "Hits are green, misses red, false alarms blue (confidence 0.25, IoU 0.5). Move the slider to compare."
    for title, ours, theirs, shown in chosen:
        figures = [_slider(pair, (ours, theirs), one, allowed) for one in shown]
        yield Section(title, [text] if figures else [], figures=figures)


def found_by_one(names: tuple[str, str], ours: SplitResults, theirs: SplitResults) -> list[Shown]:
    """Images in which just one of two finds an object."""
    gained = only_one_finds(ours.results, theirs.results)[:MOST]
    return [
        Shown(one.place, f"{len(one.ours)} objects found by {names[0]} only, {len(one.theirs)} by {names[1]} only")
        for one in gained
    ]


def worst_of_both(ours: SplitResults, theirs: SplitResults) -> list[Shown]:
    """Images with the most mistakes of both together."""
    pairs = list(zip(judge(ours), judge(theirs), strict=True))
    wrong = sorted((p for p in pairs if p[0].mistakes + p[1].mistakes), key=lambda p: -p[0].mistakes - p[1].mistakes)
    return [Shown(a.place, f"mistakes: {a.mistakes} and {b.mistakes}") for a, b in wrong[:MOST]]


def _slider(pair: Pair, splits: Sequence[SplitResults], shown: Shown, allowed: int) -> Figure:
    drawn = [draw_judged(split.results[shown.place], pair.classes)[0] for split in splits]
    addresses = [data_address(image, allowed) for image in drawn]
    title = Path(splits[0].results[shown.place].file).name
    return Figure(title, shown.words, ((pair.names[0], addresses[0]), (pair.names[1], addresses[1])))
