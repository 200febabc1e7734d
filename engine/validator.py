"""`engine.validate`, behind val.py: measure a checkpoint on the splits of a data YAML."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.config import DataConfig, load_data, task_of
from data.corruptions import choose_corruptions, choose_severities
from data.scenes import make_world
from data.views import build_dataset
from engine.checkpoint import load_detector
from engine.corruptions import Plan, areas, sweep, write
from engine.crux_view import CruxSheet, split_of, view_at
from engine.detections import Settings
from engine.distributed import pick_device
from engine.enhance import Enhancer, enhancer_of
from engine.evaluation import METRICS, ImageResult, PictureStats, Report, enough, evaluate_detector, fullest
from engine.long_tail import LongTail, absent_groups, long_tail_of
from engine.options.val import ValOptions
from engine.sliced_evaluation import Slicing
from engine.tasks import check_weights, entry
from engine.val_outputs import JsonWriter, Samples, TextWriter
from utils.files import UserError, atomic_write, find_weights, new_run_folder
from utils.metrics import FREQUENCIES
from utils.options import build
from utils.plots import plot_study
from utils.report import save_csv, text_table

__all__ = ["METRICS", "ImageResult", "PictureStats", "Report", "ValResult", "evaluate_detector", "validate"]

SPLITS = {"train": ("train",), "test": ("test", "test2")}  # by task; every other task looks at val and val2
WARM_UP = 5  # forward passes before time is taken
IN_USE = 0.25  # confidence at which detectors are used: speed is measured there
TIMES = ("preprocess", "inference", "postprocess")


@dataclass(frozen=True)
class ValResult:
    """What a validation found: one report a split (and size), the rows of its table, and where the files are."""

    reports: list[Report]
    save_dir: Path
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """A detector, ready to be measured, and the data to measure it on."""

    model: Any
    config: DataConfig
    options: ValOptions
    device: torch.device
    long_tail: LongTail | None = None  # for --protocol lvis
    enhancer: Enhancer | None = None

    @property
    def stride(self) -> int:
        """The largest stride of the head, in pixels."""
        return int(max(self.model.stride))

    @property
    def workers(self) -> int:
        """Loader processes."""
        given = self.options.workers
        return given if given is not None else 8 * (self.device.type == "cuda")

    @property
    def enhance(self) -> Callable[[Tensor, dict[str, Any]], Tensor] | None:
        """What brightens the pictures of a batch, as the network is about to see them; padding stays grey."""
        enhancer = self.enhancer
        return (lambda images, batch: enhancer.within(images, areas(batch))) if enhancer else None

    def named(self, report: Report) -> Report:
        """The report with what brightened its pictures."""
        return replace(report, enhanced=self.enhancer.name) if self.enhancer else report


def validate(**options: Any) -> ValResult:
    """Measure a checkpoint: `engine.validate(data="demo-night", weights="best.pt", task="test")`.

    The options are those of val.py. Prints a table, writes it as CSV with curves and sample pictures into a run folder.
    Where the data YAML names another task, that task's own validation takes them. Raises UserError for what the user can mend.
    """
    (chosen,) = build([ValOptions], options)
    task = task_of(chosen.data)
    if chosen.weights is not None:
        check_weights(weights_of(chosen), task, chosen.data)
    other = entry("validate", task)
    if other is not None:
        found: ValResult = other(**options)
        return found
    subject = load_subject(chosen)
    save_dir = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    whole = _corruptions if chosen.corruptions is not None else _accuracy
    measurement: Callable[[Subject, Path], ValResult] = {"speed": _speed, "study": _study}.get(chosen.task, whole)
    result = measurement(subject, save_dir)
    print(f"results in {save_dir}")
    return result


def load_subject(chosen: ValOptions) -> Subject:
    """Load data and detector, and check that they belong together. Raises UserError where they do not."""
    weights_of(chosen)
    check_togetherness(chosen)
    config = load_data(chosen.data, make_demo=make_world, need=splits_of(chosen.task))
    present_splits(config, chosen.task)
    return subject_of(chosen, config)


def subject_of(chosen: ValOptions, config: DataConfig) -> Subject:
    """Load the detector for data that are there already, and check that the two belong together."""
    weights = weights_of(chosen)
    device = pick_device(chosen.device)
    model, _ = load_detector(weights, device, chosen.trust)
    if not chosen.single_cls:
        check_names(dict(model.names), config, weights)
    if chosen.show_crux:
        check_crux(model, chosen)
    if getattr(model, "end2end", None) is not None:
        model.end2end = chosen.end2end  # fusing keeps the head that is asked for
    model = model.float().eval().fuse(verbose=False)
    size = -(-chosen.imgsz // int(max(model.stride))) * int(max(model.stride))
    if chosen.native:
        print(
            f"native: every picture at its own size, in grey up to multiples of {int(max(model.stride))} px; --imgsz rests"
        )
    elif size != chosen.imgsz:
        print(f"note: --imgsz {chosen.imgsz} becomes {size}, a multiple of the stride")
    if chosen.half and device.type != "cuda":
        print("note: --half acts on GPUs only; float32 is used")
    long_tail = long_tail_of(config, single_cls=chosen.single_cls) if chosen.protocol == "lvis" else None
    if long_tail and (unseen := long_tail.frequency.count("")):
        print(f"note: {unseen} classes have no training picture: they count in AP, but are in no group")
    enhancer = enhancer_of(chosen, device)
    if enhancer is not None:
        print(f"every picture is brightened by {enhancer.name} before the detector sees it")
    return Subject(model, config, replace(chosen, imgsz=size), device, long_tail, enhancer)


def weights_of(chosen: ValOptions) -> Path:
    """The checkpoint's file. Raises UserError where none is named, or it is not there."""
    if chosen.weights is None:
        raise UserError("--weights: name the checkpoint to measure, such as runs/train/exp/weights/best.pt.")
    return find_weights(chosen.weights)


def check_togetherness(chosen: ValOptions) -> None:
    """UserError for options that have no meaning together, and for corruptions that are not known."""
    given = {"--native": chosen.native, "--corruptions": chosen.corruptions is not None}
    for name in (name for name, on in given.items() if on):
        if chosen.task in {"speed", "study"}:
            raise UserError(
                f"{name}: --task {chosen.task} measures squares of --imgsz. Choose --task val, test or train."
            )
        if chosen.slice is not None:
            raise UserError(f"{name}: --slice looks at pictures in tiles of its own. Leave one of the two options out.")
    apart = {"--slice": chosen.slice is not None, "--show-crux": chosen.show_crux}
    for name in (name for name, on in apart.items() if on and chosen.enhance != "none"):
        raise UserError(
            f"--enhance: {name} reads pictures in a way of its own, unenhanced. Leave one of the two options out, or "
            "measure a copy made by prepare.py enhance."
        )
    if chosen.native and chosen.show_crux:
        raise UserError("--native: crux.jpg is drawn at --imgsz. Leave out --native or --show-crux.")
    if chosen.corruptions is not None:
        if chosen.protocol == "lvis":
            raise UserError(
                "--corruptions: is not measured by --protocol lvis. Choose coco or aitod, or leave one out."
            )
        choose_corruptions(chosen.corruptions)
        choose_severities(chosen.severities)
        wanted = {"--save-txt": chosen.save_txt, "--save-json": chosen.save_json, "--show-crux": chosen.show_crux}
        for name in (name for name, on in wanted.items() if on):
            raise UserError(f"--corruptions: writes a table, no detections. Leave out {name}, or --corruptions.")


def check_crux(model: Any, chosen: ValOptions) -> None:
    """UserError where there is no crux map to show."""
    split_of(model)
    if chosen.task in {"speed", "study"}:
        raise UserError(f"--show-crux: --task {chosen.task} draws no pictures. Choose --task val, test or train.")
    if chosen.slice is not None:
        raise UserError("--show-crux: every tile of --slice has a map of its own. Leave one of the two options out.")


def splits_of(task: str) -> tuple[str, ...]:
    """The splits that a task looks at, the first of which must be there."""
    return SPLITS.get(task, ("val", "val2"))


def check_names(names: dict[int, str], config: DataConfig, weights: Path) -> None:
    """UserError where data and detector differ in the number of classes; a note where only names differ."""
    if len(names) != len(config.names):
        raise UserError(
            f"{weights}: detects {len(names)} classes, but {config.file} has {len(config.names)}. Use the data YAML "
            "that the checkpoint was trained with, or --single-cls to compare boxes only."
        )
    other = [f"{number}: {names[number]} / {name}" for number, name in config.names.items() if names[number] != name]
    if other:
        print(f"note: classes are matched by number, but names differ (checkpoint / data): {', '.join(other[:5])}")


def present_splits(config: DataConfig, task: str) -> list[str]:
    """The splits of a task that the data YAML has. Raises UserError where its first is missing."""
    wanted = splits_of(task)
    if wanted[0] not in config.splits:
        known = ", ".join(config.splits) or "none"
        raise UserError(f"{config.file}: there is no '{wanted[0]}' split. It has: {known}. Choose another --task.")
    return [split for split in wanted if split in config.splits]


def measure(
    subject: Subject,
    split: str,
    *,
    folder: Path | None = None,
    listeners: Iterable[Callable[[ImageResult], None]] = (),
    rect: bool = True,
    progress: bool = True,
) -> Report:
    """Measure one split as the options say. Curves go to `folder`; each listener gets every picture's result."""
    options = subject.options
    dataset = dataset_of(subject, split, rect)
    heard = list(listeners)

    def tell(result: ImageResult) -> None:
        for listener in heard:
            listener(result)

    report = evaluate_detector(
        subject.model,
        dataset,
        device=subject.device,
        split=split,
        condition=subject.config.conditions.get(split, split),
        conf=options.conf_thres,
        iou=options.iou_thres,
        max_det=options.max_det,
        half=options.half,
        batch_size=options.batch_size,
        single_cls=options.single_cls,
        workers=subject.workers,
        save_dir=folder,
        plots=folder is not None,
        progress=progress,
        on_image=tell if heard else None,
        augment=options.augment,
        end2end=options.end2end,
        protocol=options.protocol,
        long_tail=subject.long_tail,
        slicing=_slicing(subject),
        enhance=subject.enhance,
    )
    _mention(dataset, report, options)
    return subject.named(report)


def dataset_of(subject: Subject, split: str, rect: bool = True) -> Any:
    """A split as the options want to see it: fitted into --imgsz, in rectangles or squares, or with --native as it is."""
    options = subject.options
    return build_dataset(
        subject.config, split, imgsz=options.imgsz, stride=subject.stride, rect=rect, cache="none",
        batch_size=options.batch_size, single_cls=options.single_cls, native=options.native,
    )  # fmt: skip


def _slicing(subject: Subject) -> Slicing | None:
    """How pictures are cut into tiles, if they are."""
    chosen = subject.options
    if chosen.slice is None:
        return None
    return Slicing(chosen.slice, chosen.overlap, chosen.merge, chosen.imgsz, subject.stride)


def _mention(dataset: Any, report: Report, options: ValOptions) -> None:
    """Say what the numbers do not: pictures that were left out, and pictures with more objects than detections."""
    for path, reason in dataset.skipped:
        print(f"note: left out {path}: {reason}")
    most = max((len(picture.target_cls) for picture in report.pictures), default=0)
    if options.max_det is not None and most > options.max_det:
        print(f"note: a picture of {report.split} has {most} objects, more than --max-det {options.max_det} can find")
    if options.protocol == "lvis" and (groups := absent_groups(report.metrics)):
        print(f"note: {report.split} has no object of a class that is {' or '.join(groups)}: no AP of these")


def _accuracy(subject: Subject, save_dir: Path) -> ValResult:
    """Tasks train, val and test: the table of metrics by condition, and the files that were asked for."""
    options, reports, extra = subject.options, [], []
    for split in present_splits(subject.config, options.task):
        condition = subject.config.conditions.get(split, split)
        folder = save_dir / (condition if condition == split else f"{split}-{condition}")
        folder.mkdir(parents=True, exist_ok=True)
        outputs = _outputs(subject, folder)
        reports.append(measure(subject, split, folder=folder if options.plots else None, listeners=outputs))
        extra += [{"condition": condition, **found} for output in outputs if (found := output.close())]
    rows = table(reports)
    save_csv(save_dir / "metrics.csv", rows)
    print(text_table([_with_dashes(row, options) for row in rows if options.verbose or row["class"] == "all"]))
    if extra and options.protocol != "coco":  # else the table has them
        print("\nby the COCO protocol\n" + text_table(extra))
    print("\n" + text_table([{"condition": report.condition, **_times(report)} for report in reports], digits=1))
    return ValResult(reports, save_dir, rows)


def _corruptions(subject: Subject, save_dir: Path) -> ValResult:
    """Instead of the usual table: clean, under each corruption and severity, and their means."""
    options, config, sweeps = subject.options, subject.config, []
    for split in present_splits(config, options.task):
        dataset = dataset_of(subject, split)
        plan = Plan(
            choose_corruptions(options.corruptions or ""), choose_severities(options.severities), _settings(subject, dataset),
            subject.device, config.root, options.batch_size, subject.workers, options.protocol,
        )  # fmt: skip
        found = sweep(subject.model, dataset, plan, split=split, condition=config.conditions.get(split, split))
        found.clean = subject.named(found.clean)
        _mention(dataset, found.clean, options)
        sweeps.append(found)
    rows = write(sweeps, save_dir, options.plots)
    reports = [report for found in sweeps for report in (found.clean, *found.reports.values())]
    return ValResult(reports, save_dir, rows)


def _settings(subject: Subject, dataset: Any) -> Settings:
    """How predictions become detections, by the options and the data."""
    options = subject.options
    most = options.max_det if options.max_det is not None else enough(fullest(dataset), options.protocol)
    half = options.half and subject.device.type == "cuda"
    return Settings(
        options.conf_thres, options.iou_thres, most, half, options.augment, options.single_cls, options.end2end,
        subject.enhance,
    )  # fmt: skip


def _outputs(subject: Subject, folder: Path) -> list[Any]:
    """The writers that the options ask for: each is called with every picture's result, and closed at the end."""
    options, names = subject.options, dict(subject.model.names)
    outputs: list[Any] = [TextWriter(folder / "labels", options.save_conf)] if options.save_txt else []
    seen_at = "native" if options.native else "sliced" if options.slice is not None else "upsampled"
    seen_at += f", {subject.enhancer.name} enhanced," if subject.enhancer else ""
    outputs += [JsonWriter(folder, names, seen_at, subject.long_tail)] if options.save_json else []
    if options.show_crux:
        outputs.append(CruxSheet(folder / "crux.jpg", view_at(subject.model, options.imgsz), names))
    return [*outputs, Samples(folder / "pictures.jpg", names)] if options.plots else outputs


def table(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """The rows of metrics.csv: for each report one of all classes, then one a class."""
    rows = []
    for report in reports:
        whole = {"class": "all", "images": report.images, "instances": report.instances, **report.metrics}
        rows += [{**report.head, **row} for row in (whole, *report.per_class)]
    return rows


def _with_dashes(row: dict[str, Any], options: ValOptions) -> dict[str, Any]:
    """A row of all classes as the screen shows it: with a dash for a frequency without objects."""
    if options.protocol != "lvis" or row["class"] != "all":
        return row
    groups = [f"AP{letter}" for letter in FREQUENCIES]
    others = {name: value for name, value in row.items() if name not in groups}
    return others | {name: row.get(name, math.nan) for name in groups}


def _times(report: Report) -> dict[str, float]:
    """Milliseconds a picture by stage, and together."""
    return {f"{name} ms": report.speed[name] for name in TIMES} | {"total ms": sum(report.speed.values())}


def _speed(subject: Subject, save_dir: Path) -> ValResult:
    """Task speed: milliseconds a picture, one at a time, square, at the confidence of use, after a warm-up."""
    options = replace(subject.options, batch_size=1, conf_thres=max(subject.options.conf_thres, IN_USE))
    subject = replace(subject, options=options)
    blank = torch.zeros(1, 3, options.imgsz, options.imgsz, device=subject.device)  # (1, 3, H, W)
    with torch.no_grad():
        for _ in range(WARM_UP):
            subject.model(blank)
    reports = [measure(subject, split, rect=False) for split in present_splits(subject.config, options.task)]
    rows: list[dict[str, Any]] = [
        {"condition": report.condition, "imgsz": options.imgsz, "images": report.images, **_times(report)}
        for report in reports
    ]
    rows = [{**row, "images per s": 1000 / row["total ms"]} for row in rows]
    save_csv(save_dir / "speed.csv", rows)
    print(text_table(rows, digits=2))
    return ValResult(reports, save_dir, rows)


def _study(subject: Subject, save_dir: Path) -> ValResult:
    """Task study: accuracy and time at many sizes, square; a text file a condition (as YOLOv5's), and a curve."""
    options, stride = subject.options, subject.stride
    reports, rows = [], []
    for imgsz in dict.fromkeys(-(-size // stride) * stride for size in options.study_sizes):
        sized = replace(subject, options=replace(options, imgsz=imgsz))
        for split in present_splits(subject.config, options.task):
            report = measure(sized, split, rect=False)
            ms = sum(report.speed.values())
            rows.append({"condition": report.condition, "imgsz": imgsz, **report.metrics, **report.speed, "ms": ms})
            reports.append(report)
        print(text_table(rows[-1:]), flush=True)
    save_csv(save_dir / "study.csv", rows)
    _study_texts(subject, save_dir, rows)
    plot_study(rows, save_dir / "study.png")
    return ValResult(reports, save_dir, rows)


def _study_texts(subject: Subject, save_dir: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One line a size: precision, recall, mAP50, mAP50-95, then ms of pre-processing, inference, post-processing."""
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    weights = subject.options.weights.stem if subject.options.weights else "weights"
    for condition in conditions:
        name = subject.config.file.stem + (f"-{condition}" if len(conditions) > 1 else "")
        values = np.array([[row[key] for key in (*METRICS, *TIMES)] for row in rows if row["condition"] == condition])
        text = "".join(" ".join(f"{value:10.4g}" for value in line) + "\n" for line in values)
        atomic_write(save_dir / f"study_{name}_{weights}.txt", text.encode())
