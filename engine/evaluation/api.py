"""`engine.validate`, behind val.py: measure a checkpoint on the splits of a data YAML."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.config import task_of
from data.degradations.corruption_sets import choose_corruptions, choose_severities
from engine.evaluation.analysis import Analysis, analysis_of
from engine.evaluation.calibrate import calibrate
from engine.evaluation.evaluator import METRICS
from engine.evaluation.report_page import save_report
from engine.evaluation.robustness import RobustnessPlan, sweep, write
from engine.evaluation.session import EvalSession, load_session, present_splits, print_warnings, weights_of
from engine.evaluation.subsets import SplitResults
from engine.evaluation.writers import JsonWriter, SampleSheet, TextWriter
from engine.inference.stopwatch import STAGES
from engine.latest import to_measure
from engine.options.val import ValOptions
from engine.results import Report
from engine.tasks import check_weights, resolve
from engine.visual.heatmap import MapSheet, view_at
from utils.files import atomic_write, new_run_folder
from utils.log import LOGGER
from utils.metrics import FREQUENCIES
from utils.options import build, canonical
from utils.plots import plot_study
from utils.tables import save_csv, text_table

WARM_UP = 5  # forward passes before timing starts
IN_USE = 0.25  # confidence at which detectors are used: speed is measured there


@dataclass(frozen=True)
class ValResult:
    """The result of a validation: one report per split (and size), the rows of its table, and its folder."""

    reports: list[Report]
    save_dir: Path
    rows: list[dict[str, Any]] = field(default_factory=list)


def validate(**options: Any) -> ValResult:
    """Measure a checkpoint: `engine.validate(data="demo-night", weights="best.pt", task="test")`.

    The options are those of val.py; without weights the newest run's best checkpoint is measured on its data.
    Prints a table, writes it as CSV with curves and sample images into a run folder.
    Where the data YAML names another task, that task's own validation takes them. Raises UserError for wrong options or files.
    """
    options = to_measure(canonical(options, [ValOptions]))
    (chosen,) = build([ValOptions], options)
    task = task_of(chosen.data)
    check_weights(weights_of(chosen), task, chosen.data)
    other = resolve("validate", task)
    if other is not None:
        found: ValResult = other(**options)
        return found
    session = load_session(chosen)
    analysis = analysis_of(session)
    save_dir = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    whole = _corruptions if chosen.corruptions is not None else partial(_accuracy, analysis=analysis)
    measurement: Callable[[EvalSession, Path], ValResult] = {"speed": _speed, "study": _study}.get(chosen.task, whole)
    result = measurement(session, save_dir)
    LOGGER.info(f"results in {save_dir}")
    return result


def _accuracy(session: EvalSession, save_dir: Path, analysis: Analysis | None = None) -> ValResult:
    """Tasks train, val and test: the table of metrics by condition, and the requested files."""
    options, reports, extra = session.options, [], []
    for split in present_splits(session.config, options.task):
        condition = session.config.conditions.get(split, split)
        folder = save_dir / (condition if condition == split else f"{split}-{condition}")
        folder.mkdir(parents=True, exist_ok=True)
        outputs, found = _outputs(session, folder), SplitResults()
        listeners = [*outputs, found] if analysis else outputs
        reports.append(session.measure(split, plots_to=folder if options.plots else None, listeners=listeners))
        if analysis:
            analysis.add(reports[-1], found)
        extra += [{"condition": condition, **numbers} for output in outputs if (numbers := output.close())]
    rows = table(reports)
    save_csv(save_dir / "metrics.csv", rows)
    print(text_table([_with_dashes(row, options) for row in rows if options.verbose or row["class"] == "all"]))
    if extra and options.protocol != "coco":  # otherwise the table has them
        print("\nby the COCO protocol\n" + text_table(extra))
    print("\n" + text_table([{"condition": report.condition, **_times(report)} for report in reports], digits=1))
    if analysis:
        analysis.write(save_dir)
        if options.calibrate:
            calibrate(analysis, save_dir)
        if options.report:
            save_report(analysis, rows, save_dir)
    return ValResult(reports, save_dir, rows)


def _corruptions(session: EvalSession, save_dir: Path) -> ValResult:
    """Instead of the usual table: clean, under each corruption and severity, and their means."""
    options, config, sweeps = session.options, session.config, []
    corrupters, severities = choose_corruptions(options.corruptions or ""), choose_severities(options.severities)
    plan = RobustnessPlan(corrupters, severities, session.settings, session.device, config.root)
    for split in present_splits(config, options.task):
        dataset = session.dataset(split)
        found = sweep(session.model, dataset, plan, split=split, condition=config.conditions.get(split, split))
        found.clean = session.named(found.clean)
        print_warnings(dataset, found.clean, options)
        sweeps.append(found)
    rows = write(sweeps, save_dir, options.plots)
    reports = [report for found in sweeps for report in (found.clean, *found.reports.values())]
    return ValResult(reports, save_dir, rows)


def _outputs(session: EvalSession, folder: Path) -> list[Any]:
    """The writers for the options: each is called with every image's result, and closed at the end."""
    options, names = session.options, dict(session.model.names)
    outputs: list[Any] = [TextWriter(folder / "labels", options.save_conf)] if options.save_txt else []
    seen_at = "native" if options.native else "sliced" if options.slice is not None else "upsampled"
    seen_at += f", {session.enhancer.name} enhanced," if session.enhancer else ""
    outputs += [JsonWriter(folder, names, seen_at, session.lvis)] if options.save_json else []
    if options.show_map:
        outputs.append(MapSheet(folder / "map.jpg", view_at(session.model, options.imgsz), names))
    return [*outputs, SampleSheet(folder / "images.jpg", names)] if options.plots else outputs


def table(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """The rows of metrics.csv: for each report one of all classes, then one per class."""
    rows = []
    for report in reports:
        whole = {"class": "all", "images": report.images, "instances": report.instances, **report.metrics}
        rows += [{**report.head, **row} for row in (whole, *report.per_class)]
    return rows


def _with_dashes(row: dict[str, Any], options: ValOptions) -> dict[str, Any]:
    """A row of all classes for the screen, with a dash for a frequency without objects."""
    if options.protocol != "lvis" or row["class"] != "all":
        return row
    groups = [f"AP{letter}" for letter in FREQUENCIES]
    others = {name: value for name, value in row.items() if name not in groups}
    return others | {name: row.get(name, math.nan) for name in groups}


def _times(report: Report) -> dict[str, float]:
    """Milliseconds per image by stage, and in total."""
    return {f"{name} ms": report.speed[name] for name in STAGES} | {"total ms": sum(report.speed.values())}


def _speed(session: EvalSession, save_dir: Path) -> ValResult:
    """Task speed: milliseconds per image, one at a time, square, at the confidence detectors are used at, after a warm-up."""
    options = replace(session.options, batch_size=1, conf_thres=max(session.options.conf_thres, IN_USE))
    session = replace(session, options=options)
    blank = torch.zeros(1, 3, options.imgsz, options.imgsz, device=session.device)  # (1, 3, H, W)
    with torch.no_grad():
        for _ in range(WARM_UP):
            session.model(blank)
    reports = [session.measure(split, rect=False) for split in present_splits(session.config, options.task)]
    rows = []
    for report in reports:
        times = _times(report)
        head: dict[str, Any] = {"condition": report.condition, "imgsz": options.imgsz, "images": report.images}
        rows.append({**head, **times, "images per s": 1000 / times["total ms"]})
    save_csv(save_dir / "speed.csv", rows)
    print(text_table(rows, digits=2))
    return ValResult(reports, save_dir, rows)


def _study(session: EvalSession, save_dir: Path) -> ValResult:
    """Task study: accuracy and time at many sizes, square; a text file per condition (as YOLOv5's), and a curve."""
    options, stride = session.options, session.stride
    reports, rows = [], []
    for imgsz in dict.fromkeys(-(-size // stride) * stride for size in options.study_sizes):
        sized = replace(session, options=replace(options, imgsz=imgsz))
        for split in present_splits(session.config, options.task):
            report = sized.measure(split, rect=False)
            ms = sum(report.speed.values())
            rows.append({"condition": report.condition, "imgsz": imgsz, **report.metrics, **report.speed, "ms": ms})
            reports.append(report)
        print(text_table(rows[-1:]), flush=True)
    save_csv(save_dir / "study.csv", rows)
    _study_texts(session, save_dir, rows)
    plot_study(rows, save_dir / "study.png")
    return ValResult(reports, save_dir, rows)


def _study_texts(session: EvalSession, save_dir: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One line per size: precision, recall, mAP50, mAP50-95, then ms of pre-processing, inference, post-processing."""
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    weights = session.options.weights.stem if session.options.weights else "weights"
    for condition in conditions:
        name = session.config.file.stem + (f"-{condition}" if len(conditions) > 1 else "")
        values = np.array([[row[key] for key in (*METRICS, *STAGES)] for row in rows if row["condition"] == condition])
        text = "".join(" ".join(f"{value:10.4g}" for value in line) + "\n" for line in values)
        atomic_write(save_dir / f"study_{name}_{weights}.txt", text.encode())
