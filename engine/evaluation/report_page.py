"""The report.html of val.py: what was measured, where and why the detector fails, and the images to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from data.io.images import read_image
from engine.evaluation.analysis import WHOLE, Analysis
from engine.evaluation.mistakes import Judged, Mistake, most_confident
from engine.evaluation.session import EvalSession, weights_of
from engine.evaluation.subsets import SplitResults
from engine.evaluation.writers import draw_judged
from engine.reporting import charts
from engine.reporting.images import allowance, data_address
from engine.reporting.page import Chart, Figure, Page, Section, Table, run_facts, save
from engine.results import Report
from utils.draw import FALSE_ALARM, draw_boxes, enlarge_small
from utils.files import file_digest, plain
from utils.metrics.streaming_ap import RECALL_STEPS, precision_at_recall
from utils.metrics.tide import Errors

MOST_CLASSES = 40  # in the table by class; all are in metrics.csv
CONFIDENT = 6  # most confident mistakes of a split
SHOWN = ("condition", "subset", "images", "instances", "mAP50", "low", "high", "mAP50-95")


def save_report(analysis: Analysis, rows: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write report.html into the run folder. rows: those of metrics.csv."""
    session, reports = analysis.session, [report for report, _ in analysis.splits]
    weights = weights_of(session.options)
    conditions = ", ".join(f"{report.condition} ({report.images} images)" for report in reports)
    sections = [
        accuracy(rows, analysis.splits),
        *parts(analysis.subsets),
        errors(analysis.errors),
        calibration(analysis.subsets, analysis.reliability),
        *images(analysis),
    ]
    summary = f"{weights.name} on {session.config.file.stem}: {conditions}."
    return save(Page(f"Evaluation of {weights.stem}", summary, facts(session, reports), sections), folder)


def facts(session: EvalSession, reports: Sequence[Report]) -> list[tuple[str, str]]:
    """What was run, and on what."""
    options, weights = session.options, weights_of(session.options)
    changed = {
        entry.name: plain(value)
        for entry in fields(options)
        if (value := getattr(options, entry.name)) != entry.default
        and entry.name not in ("data", "weights", "project", "name")
    }
    data = f"{session.config.file}: {', '.join(f'{r.split} {r.images} images, {r.instances} objects' for r in reports)}"
    known = [("weights", f"{weights}, SHA-256 {file_digest(weights)}"), ("data", data)]
    classes = ", ".join(session.model.names.values())
    known.append(("classes", f"{len(session.model.names)}: {classes:.400}"))
    known.append(
        ("options", ", ".join(f"{name}={value}" for name, value in changed.items()) or "the defaults of val.py")
    )
    return [*run_facts(options.device), *known]


def accuracy(rows: Sequence[Mapping[str, Any]], splits: Sequence[tuple[Report, SplitResults]]) -> Section:
    """Tables by condition and class, and the precision-recall curves."""
    whole = [row for row in rows if row["class"] == "all"]
    single = [row for row in rows if row["class"] != "all"]
    curves = {report.condition: (RECALL_STEPS, mean_precision(split.errors)) for report, split in splits}
    words = "; ".join(f"{row['condition']}: mAP50 {row['mAP50']:.3f}" for row in whole)
    caption = "By class" if len(single) <= MOST_CLASSES else f"By class, the first {MOST_CLASSES} of {len(single)} rows"
    return Section(
        "Accuracy by condition",
        tables=[Table("All classes", whole), Table(caption, single[:MOST_CLASSES])],
        charts=[
            Chart(
                "Precision and recall at IoU 0.5, mean over classes", f"Precision-recall curves. {words}.",
                charts.lines(curves, "recall", "precision", unit=True),
            )
        ],
    )  # fmt: skip


def mean_precision(errors: Errors) -> np.ndarray:
    """Precision (101,) at recall 0 to 1, the mean over classes with objects; zeros without any."""
    order = np.argsort(-errors.scores, kind="stable")
    classes, hit = errors.classes[order], errors.kind[order] == -1
    curves = [
        precision_at_recall(hit[classes == number], int(count))
        for number, count in zip(*np.unique(errors.target_classes, return_counts=True), strict=True)
    ]
    return np.mean(curves, 0) if curves else np.zeros(len(RECALL_STEPS))


def parts(subsets: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    """A section per name of --by: chart and table."""
    for by in dict.fromkeys(row["by"] for row in subsets if row["by"] != WHOLE):
        mine = [row for row in subsets if row["by"] == by]
        there = [row for row in mine if row["instances"]]
        absent = len(mine) - len(there)
        recall = next(name for name in mine[0] if name.startswith("recall at"))
        table = [{name: row[name] for name in (*SHOWN, recall, "D-ECE")} for row in there]
        words = "; ".join(f"{row['condition']}, {row['subset']}: {row['mAP50']:.3f}" for row in there[:20])
        note = [f"{absent} parts have no object and are left out."] if absent else []
        drawn = [
            Chart(
                f"mAP50 by {by}, with 95 % intervals", f"mAP50 by {by}. {words}.",
                charts.intervals(there, "condition", "subset", "mAP50"),
            )
        ] if there else []  # fmt: skip
        yield Section(f"By {by}", note, [Table(f"Parts by {by}", table)], drawn)


def errors(rows: Sequence[Mapping[str, Any]]) -> Section:
    """Error types, how many and what they cost."""
    table = [{name: value for name, value in row.items() if name not in ("split", "resolution")} for row in rows]
    words = "; ".join(f"{row['condition']}, {row['error']}: {row['cost in mAP50']:.3f}" for row in rows)
    text = (
        "Count: at confidence 0.25 and more. Cost: by how much mAP50 would rise if all errors of the type were mended and "
        "nothing else; costs do not add up. Types as in TIDE (Bolya et al., ECCV 2020)."
    )
    chart = Chart(
        "What each type costs", f"Cost in mAP50. {words}.", charts.bars(rows, "condition", "error", "cost in mAP50")
    )
    return Section("Why it fails: error types", [text], [Table("Error types", table)], [chart])


def calibration(subsets: Sequence[Mapping[str, Any]], bins: Sequence[Mapping[str, Any]]) -> Section:
    """Reliability curves and D-ECE."""
    conditions = dict.fromkeys(row["condition"] for row in bins)

    def column(name: str, condition: str) -> list[float]:
        return [row[name] for row in bins if row["condition"] == condition]

    curves = {condition: (column("confidence", condition), column("precision", condition)) for condition in conditions}
    whole = [{"condition": row["condition"], "D-ECE": row["D-ECE"]} for row in subsets if row["by"] == WHOLE]
    words = "; ".join(f"{row['condition']}: {row['D-ECE']:.3f}" for row in whole)
    text = (
        "Below the dotted line confidences are too high. D-ECE: the mean difference between confidence and precision at IoU "
        "0.5, over detections of confidence 0.25 and more."
    )
    chart = Chart(
        "Precision at each confidence", f"Reliability curves. D-ECE {words}.",
        charts.lines(curves, "confidence", "precision", unit=True, diagonal=True),
    )  # fmt: skip
    return Section("Calibration", [text], [Table("Detection calibration error", whole)], [chart] if curves else [])


def images(analysis: Analysis) -> Iterator[Section]:
    """The worst images and the most confident mistakes of each split."""
    names = dict(analysis.session.model.names)
    mistakes = [most_confident(split, CONFIDENT) for _, split in analysis.splits]
    allowed = allowance(sum(map(len, analysis.worst)) + sum(map(len, mistakes)))
    for (report, split), worst, wrong in zip(analysis.splits, analysis.worst, mistakes, strict=True):
        figures = [judged_figure(split, image, names, allowed) for image in worst]
        text = ["Hits are green, misses red, false alarms blue (confidence 0.25, IoU 0.5)."] if figures else []
        yield Section(f"Worst images: {report.condition}", text, figures=figures)
        figures = [mistake_figure(split, mistake, names, allowed) for mistake in wrong]
        yield Section(f"Most confident mistakes: {report.condition}", figures=figures)


def judged_figure(split: SplitResults, image: Judged, names: Mapping[int, str], allowed: int) -> Figure:
    """An image with its hits, misses and false alarms."""
    drawn, words = draw_judged(split.results[image.place], names)
    return Figure(Path(image.file).name, words, (("", data_address(drawn, allowed)),))


def mistake_figure(split: SplitResults, mistake: Mistake, names: Mapping[int, str], allowed: int) -> Figure:
    """An image with one wrong detection."""
    result = split.results[mistake.place]
    image, scale = enlarge_small(read_image(Path(result.file)))
    row = np.array([[*(scale * mistake.box), mistake.confidence, mistake.number]])
    drawn = draw_boxes(image, row, names, paint=FALSE_ALARM)
    words = f"{names[mistake.number]}, confidence {mistake.confidence:.2f}: {mistake.error}"
    return Figure(Path(result.file).name, words, (("", data_address(drawn, allowed)),))
