"""The robustness table: a detector measured on clean images and under every corruption and severity.

Images are loaded and letterboxed once per split and kept as bytes; corruptions are made on the detector's device, batch
by batch, just before the network. They come upon the image as the network sees it (its size after letterboxing,
without the padding), as in COCO-C with images that are brought to `imgsz` first.
Source of mPC and rPC: Michaelis et al., Benchmarking Robustness in Object Detection (2019), section 3.3.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch.utils.data import DataLoader

from data.degradations.corruption_sets import Area, Corrupter, labels_of
from data.degradations.recipes import image_seed
from engine.evaluation.evaluator import DetectionMetrics, resolution
from engine.evaluation.predictions import TimedDetector, images_of, inference_state, load
from engine.evaluation.settings import EvalSettings
from engine.inference.stopwatch import Stopwatch
from engine.results import Report
from utils.files import atomic_write
from utils.plots import plot_heat_map
from utils.progress import progress as show_progress
from utils.tables import cell, save_csv, text_table

Batch = dict[str, Any]
STAGES = ("loading", "corruptions", "preprocess", "inference", "postprocess")  # as the stopwatch calls them
KEPT = 0.5  # fraction of the free memory that letterboxed images may take


@dataclass(frozen=True)
class RobustnessPlan:
    """What a sweep measures and how. `root`: the folder that images' names, and with them their seeds, are relative to."""

    corrupters: Sequence[Corrupter]
    severities: Sequence[int]
    settings: EvalSettings
    device: torch.device
    root: Path

    @property
    def measures(self) -> tuple[str, str]:
        """AP and AP50 by their column: those of the protocol, or Ultralytics'."""
        return ("AP", "AP50") if self.settings.protocol else ("mAP50-95", "mAP50")


@dataclass
class Sweep:
    """The results of a sweep over one split: the clean report, one for each (corruption, severity), and seconds by stage."""

    plan: RobustnessPlan
    clean: Report
    reports: dict[tuple[Corrupter, int], Report] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def score(self, corrupter: Corrupter, severity: int, measure: int = 0) -> float:
        """The first (AP) or second (AP50) measure under a corruption, a fraction of 1."""
        return self.reports[corrupter, severity].metrics[self.plan.measures[measure]]

    def table(self, measure: int = 0) -> np.ndarray:
        """(corruptions, severities) of a measure, fractions of 1."""
        plan = self.plan
        return np.array([[self.score(one, step, measure) for step in plan.severities] for one in plan.corrupters])

    @property
    def name(self) -> str:
        """Of its files and entries: the split, and the condition where that has a word of its own."""
        clean = self.clean
        return clean.split if clean.condition == clean.split else f"{clean.split}-{clean.condition}"

    @property
    def outside(self) -> float:
        """The fraction of the time spent outside the network."""
        return 1 - self.seconds.get("inference", 0.0) / max(self.seconds.get("total", 0.0), 1e-9)


class Images:
    """The letterboxed batches of a data set, loaded once if they fit in memory, else again in every pass."""

    def __init__(self, dataset: Any, plan: RobustnessPlan) -> None:
        self.loader: DataLoader[Any] = load(dataset, plan.settings, plan.device)
        self.most = KEPT * psutil.virtual_memory().available
        self.kept: list[Batch] | None = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        if self.kept:
            yield from self.kept
            return
        size = 0
        for batch in filter(None, self.loader):  # one whose images are all damaged is empty
            size += batch["img"].numel()
            if self.kept is not None and size <= self.most:
                self.kept.append(batch)
            else:
                self.kept = None
            yield batch


def sweep(model: Any, dataset: Any, plan: RobustnessPlan, *, split: str = "val", condition: str = "val") -> Sweep:
    """Measure `model`, which lies on the plan's device, clean and corrupted; a line is printed for each corruption.

    An image's seed is that of its name, so that results depend neither on batches nor on their order; every severity
    of a corruption starts from the same seed.
    """
    plan = replace(plan, settings=plan.settings.resolve(dataset, plan.device))
    images, labels = Images(dataset, plan), labels_of(plan.corrupters)
    width = max(len(label) for label in [*labels.values(), "corruption"])
    names = {"condition": condition, "split": split}
    start = time.perf_counter()
    clean, seconds = _pass(model, images, plan, names)
    found = Sweep(plan, replace(clean, resolution=resolution(dataset)), seconds=seconds)
    ap = plan.measures[0]
    print(f"{condition}, {resolution(dataset)}: {ap} {cell(clean.metrics[ap])} on clean images")
    print(_line("corruption", [f"{step}" for step in plan.severities], "mean", width), flush=True)
    for one in plan.corrupters:
        for step in plan.severities:
            report, seconds = _pass(model, images, plan, names, one, step)
            found.reports[one, step] = replace(report, resolution=found.clean.resolution)
            found.seconds = {stage: found.seconds[stage] + spent for stage, spent in seconds.items()}
        scores = [found.score(one, step) for step in plan.severities]
        print(_line(labels[one], map(cell, scores), cell(float(np.mean(scores))), width), flush=True)
    found.seconds["total"] = time.perf_counter() - start
    return found


def _line(label: str, cells: Iterable[str], mean: str, width: int) -> str:
    return label.ljust(width) + "".join(text.rjust(7) for text in cells) + mean.rjust(8)


def _pass(
    model: Any,
    images: Images,
    plan: RobustnessPlan,
    names: Mapping[str, str],
    corrupter: Corrupter | None = None,
    severity: int = 0,
) -> tuple[Report, dict[str, float]]:
    """Once over all images. Returns the report and the seconds by stage."""
    watch = Stopwatch(plan.device)
    watch.seconds |= dict.fromkeys(STAGES, 0.0)
    detector = TimedDetector(model, plan.device, plan.settings, watch)
    metrics = DetectionMetrics(model.names, plan.settings)
    title = f"{names['condition']}, {corrupter.name} {severity}" if corrupter else names["condition"]
    batches = _timed(iter(images), watch)
    with inference_state(model, plan.settings):
        for batch in show_progress(batches, len(images), title) if plan.settings.progress else batches:
            if corrupter is not None:
                with watch("corruptions"):
                    batch = {**batch, "img": corrupted(batch, corrupter, severity, plan)}
            for image in images_of(detector, batch):
                metrics.add(image)
    return metrics.report(names["condition"], names["split"], watch), watch.seconds


def _timed(batches: Iterator[Batch], watch: Stopwatch) -> Iterator[Batch]:
    """The batches; waiting for each counts as loading."""
    while True:
        with watch("loading"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def corrupted(batch: Batch, corrupter: Corrupter, severity: int, plan: RobustnessPlan) -> torch.Tensor:
    """The images (B, 3, H, W) uint8 of a batch, corrupted on the plan's device."""
    seeds = [image_seed(name_below(file, plan.root), 0) for file in batch["im_file"]]
    return corrupter(batch["img"].to(plan.device, non_blocking=True), areas(batch), seeds, severity)


def name_below(file: str, root: Path) -> str:
    """An image's name from the data set's folder on, with forward slashes; its bare name where it lies elsewhere."""
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def areas(batch: Batch) -> list[Area]:
    """The area of each image of a batch within its padding."""
    found = []
    for (height, width), ((gain_y, gain_x), (left, top)) in zip(batch["ori_shape"], batch["ratio_pad"], strict=True):
        found.append((int(top), int(left), round(height * gain_y), round(width * gain_x)))
    return found


def summary(found: Sweep) -> list[dict[str, Any]]:
    """One row per set of corruptions: clean AP, mPC (mean AP over corruptions and severities) and rPC (mPC / clean AP).

    Two sets are not averaged together: their severities have nothing to do with each other.
    """
    plan, table = found.plan, found.table()
    clean = found.clean.metrics[plan.measures[0]]
    rows = []
    for family in dict.fromkeys(one.family for one in plan.corrupters):
        mine = [one.family == family for one in plan.corrupters]
        mpc = float(table[mine].mean())
        head = {key: value for key, value in found.clean.head.items() if key != "split"} | {"set": family}
        means = {"clean": clean, "mPC": mpc, "rPC": mpc / clean if clean > 0 else float("nan")}
        rows.append({**head, "corruptions": sum(mine), **means})
    return rows


def rows(found: Sweep) -> list[dict[str, Any]]:
    """The rows of corruptions.csv: the clean one (severity 0), then one for each corruption and severity."""
    kinds = {("", "clean", 0): found.clean}
    kinds |= {(one.family, one.name, step): report for (one, step), report in found.reports.items()}
    return [
        {**found.clean.head, "set": family, "corruption": name, "severity": step, "images": report.images}
        | {measure: report.metrics[measure] for measure in found.plan.measures}
        for (family, name, step), report in kinds.items()
    ]


def time_line(found: Sweep) -> str:
    """Where the time was spent, in a sentence."""
    total = max(found.seconds["total"], 1e-9)
    named = {"network": "inference", "corruptions": "corruptions", "NMS": "postprocess"}
    shares = {name: found.seconds[stage] / total for name, stage in named.items()}
    shares["loading"] = (found.seconds["loading"] + found.seconds["preprocess"]) / total
    shares["matching and averaging"] = max(1 - sum(shares.values()), 0.0)
    parts = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    return f"{total:.1f} s, {100 * found.outside:.1f} % of them outside the network: {parts}"


def write(sweeps: Sequence[Sweep], folder: Path, plots: bool = True) -> list[dict[str, Any]]:
    """corruptions.csv, corruptions.json and, with `plots`, a heat map per split; prints the summary. Returns all rows."""
    every = [row for found in sweeps for row in rows(found)]
    totals = [row for found in sweeps for row in summary(found)]
    save_csv(folder / "corruptions.csv", every)
    times = {found.name: {**found.seconds, "outside network": found.outside} for found in sweeps}
    content = {"measures": list(sweeps[0].plan.measures), "summary": totals, "seconds": times, "rows": every}
    atomic_write(folder / "corruptions.json", json.dumps(_without_nan(content), indent=1).encode())
    for found in sweeps if plots else ():
        heat_map(found, folder / f"corruptions-{found.name}.png")
    print("\n" + text_table(totals))
    for found in sweeps:
        print(f"{found.clean.condition}: {time_line(found)}")
    return every


def _without_nan(content: Any) -> Any:
    """The same with null for nan, which JSON does not know."""
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and content != content else content


def heat_map(found: Sweep, target: Path) -> None:
    """AP by corruption and severity as an image, the mean over severities beside it."""
    plan, table = found.plan, found.table()
    columns = [*map(str, plan.severities), *(["mean"] if len(plan.severities) > 1 else [])]
    values = np.column_stack((table, table.mean(1))) if len(plan.severities) > 1 else table
    clean = found.clean.metrics[plan.measures[0]]
    means = "   ".join(f"{row['set']}: mPC {cell(row['mPC'])}, rPC {cell(row['rPC'])}" for row in summary(found))
    seen = ", ".join(value for key, value in found.clean.head.items() if key != "split")
    title = f"{plan.measures[0]}, {seen}: clean {cell(clean)}\n{means}"
    plot_heat_map(values, list(labels_of(plan.corrupters).values()), columns, target, title=title, top=clean)
