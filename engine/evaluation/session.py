"""An evaluation session: a detector and a data set, loaded and checked against each other, and measured by split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.config import TESTS, VALS, DataConfig, load_data
from data.degradations.corruption_sets import choose_corruptions, choose_severities
from data.detection.dataset import build_dataset
from data.io.labels import unlabelled
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_detector
from engine.checkpoint.temperature import temperature_of
from engine.enhancement.enhancer import Enhancer, enhancer_of
from engine.evaluation.class_frequency import LVISLabels, absent_groups, lvis_labels
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.robustness import areas
from engine.evaluation.settings import EvalSettings, Slicing
from engine.inference.backends.candidates import boxes_of_candidates
from engine.inference.backends.exported import is_exported, load_exported
from engine.inference.backends.fused import fuse_activations
from engine.options.val import ValOptions
from engine.results import Report
from engine.visual.heatmap import view_at
from utils.devices import on_gpu, pick_device
from utils.errors import UserError
from utils.files import find_weights
from utils.log import LOGGER
from utils.metrics.calibration import scaled

SPLITS = {"train": ("train",), "test": TESTS}  # by task; every other task measures val, val2, ...


@dataclass(frozen=True)
class EvalSession:
    """A loaded detector and the data set to evaluate it on."""

    model: Any
    config: DataConfig
    options: ValOptions
    device: torch.device
    lvis: LVISLabels | None = None  # for --protocol lvis
    enhancer: Enhancer | None = None
    temperature: float = 1.0  # of a calibrated checkpoint

    @property
    def stride(self) -> int:
        """The largest stride of the head, in pixels."""
        return int(max(self.model.stride))

    @property
    def settings(self) -> EvalSettings:
        """How to evaluate, by the options."""
        chosen, enhancer = self.options, self.enhancer
        slicing = None
        if chosen.slice is not None:
            slicing = Slicing(chosen.slice, chosen.overlap, chosen.merge, chosen.imgsz, self.stride)
        alike = ("batch_size", "max_det", "half", "augment", "single_cls", "end2end", "protocol")
        return EvalSettings(
            **{name: getattr(chosen, name) for name in alike},
            workers=chosen.workers if chosen.workers is not None else 8 * on_gpu(self.device),
            conf=self._threshold(),
            iou=chosen.iou_thres,
            lvis=self.lvis,
            slicing=slicing,
            enhance=(lambda images, batch: enhancer.within(images, areas(batch))) if enhancer else None,
        )

    def _threshold(self) -> float:
        """--conf-thres as a calibrated confidence: it keeps the same detections, so calibration changes no AP."""
        plain = self.options.conf_thres
        return plain if self.temperature == 1 else float(scaled(np.array([plain]), self.temperature)[0])

    def dataset(self, split: str, rect: bool = True) -> Any:
        """A split as the options ask: fitted into --imgsz, in rectangles or squares, or with --native at its own size."""
        asked = {name: getattr(self.options, name) for name in ("imgsz", "batch_size", "single_cls", "native")}
        free = getattr(self.model, "size", None) is None  # else an exported network for squares of one size
        return build_dataset(self.config, split, stride=self.stride, rect=rect and free, cache="none", **asked)

    def measure(self, split: str, *, rect: bool = True, progress: bool = True, **more: Any) -> Report:
        """Measure one split as the options ask. more: `plots_to` and `listeners` of `evaluate_detector`."""
        dataset, settings = self.dataset(split, rect), replace(self.settings, progress=progress)
        more |= {"split": split, "condition": self.config.conditions.get(split, split)}
        report = evaluate_detector(self.model, dataset, settings, device=self.device, **more)
        print_warnings(dataset, report, self.options)
        return self.named(report)

    def named(self, report: Report) -> Report:
        """The report with the name of the enhancer."""
        return replace(report, enhanced=self.enhancer.name) if self.enhancer else report


def load_session(chosen: ValOptions) -> EvalSession:
    """Load data set and detector. Raises UserError if they do not match."""
    weights_of(chosen)
    check_combination(chosen)
    config = load_data(chosen.data, make_demo=make_synthetic, need=splits_of(chosen.task))
    present_splits(config, chosen.task)
    return open_session(chosen, config)


def open_session(chosen: ValOptions, config: DataConfig) -> EvalSession:
    """Load the detector for a loaded data set. Raises UserError if they do not match."""
    weights = weights_of(chosen)
    exported = is_exported(weights)
    device = pick_device("cpu" if exported else chosen.device)
    loaded: tuple[Any, Any] = (
        (load_exported(weights, chosen), {}) if exported else load_detector(weights, device, chosen.trust)
    )
    model, meta = loaded
    if exported:
        model.names = model.names or config.names
    if not chosen.single_cls:
        check_names(model.names, len(model.names), config, weights, ", or --single-cls to compare boxes only")
    if chosen.show_map:
        view_at(model, chosen.imgsz)  # raises UserError if there is no map
    if not exported and getattr(model, "end2end", None) is not None:
        model.end2end = chosen.end2end  # fusing keeps the chosen head
    model = model.eval() if exported else _ready(model, device)
    stride = int(max(model.stride))
    size = model.size[0] if exported and model.size else -(-chosen.imgsz // stride) * stride
    if chosen.native:
        LOGGER.info(f"native: every image at its own size, padded to a multiple of {stride} px; --imgsz is ignored")
    elif size != chosen.imgsz:
        LOGGER.info(
            f"note: --imgsz {chosen.imgsz} becomes {size}, {'the size of the file' if exported else 'a multiple of the stride'}"
        )
    if chosen.half and not on_gpu(device):
        LOGGER.info("note: --half acts on GPUs only; float32 is used")
    lvis = lvis_labels(config, single_cls=chosen.single_cls) if chosen.protocol == "lvis" else None
    if lvis and (unseen := lvis.frequency.count("")):
        LOGGER.info(f"note: {unseen} classes have no training image: they count in AP, but are in no group")
    enhancer = enhancer_of(chosen, device)
    if enhancer is not None:
        LOGGER.info(f"every image is enhanced by {enhancer.name} before detection")
    return EvalSession(
        model, config, replace(chosen, imgsz=size), device, lvis, enhancer, temperature_of(meta, weights)
    )


def _ready(model: Any, device: torch.device) -> Any:
    """A detector for evaluation: fused, and on a CPU with the channels last in memory, as its convolutions work."""
    model = model.float().eval().fuse(verbose=False)
    if device.type == "cpu":
        model = model.requires_grad_(False).to(memory_format=torch.channels_last)
        boxes_of_candidates(model)
        fuse_activations(model)
    return model


def weights_of(chosen: ValOptions) -> Path:
    """The checkpoint's file. Raises UserError if none is named or it is missing."""
    if chosen.weights is None:
        raise UserError("--weights: name the checkpoint to evaluate, such as runs/train/exp/weights/best.pt.")
    return find_weights(chosen.weights)


def check_combination(chosen: ValOptions) -> None:
    """Raise UserError for options that exclude each other, and for unknown corruptions."""
    given = {"--native": chosen.native, "--corruptions": chosen.corruptions is not None}
    for name in (name for name, on in given.items() if on):
        if chosen.task in {"speed", "study"}:
            raise UserError(
                f"{name}: --task {chosen.task} measures squares of --imgsz. Choose --task val, test or train."
            )
        if chosen.slice is not None:
            raise UserError(f"{name}: cannot be combined with --slice. Leave one of the two out.")
    apart = {"--slice": chosen.slice is not None, "--show-map": chosen.show_map}
    for name in (name for name, on in apart.items() if on and chosen.enhance != "none"):
        raise UserError(
            f"--enhance: {name} does not support it. Leave one of the two out, or evaluate a copy made by prepare.py "
            "enhance."
        )
    if chosen.show_map and chosen.task in {"speed", "study"}:
        raise UserError(f"--show-map: --task {chosen.task} draws no images. Choose --task val, test or train.")
    if chosen.show_map and chosen.slice is not None:
        raise UserError("--show-map: every tile of --slice has a map of its own. Leave one of the two options out.")
    if chosen.native and chosen.show_map:
        raise UserError("--native: map.jpg is drawn at --imgsz. Leave out --native or --show-map.")
    if chosen.corruptions is not None:
        if chosen.protocol == "lvis":
            raise UserError("--corruptions: does not support --protocol lvis. Choose coco or aitod, or leave one out.")
        choose_corruptions(chosen.corruptions)
        choose_severities(chosen.severities)
        if chosen.show_map:
            raise UserError("--corruptions: writes a table, no images. Leave out --show-map, or --corruptions.")
    _check_analysis(chosen)
    if chosen.corruptions is not None or chosen.task in {"speed", "study"}:
        whole = "--corruptions" if chosen.corruptions is not None else f"--task {chosen.task}"
        wanted = {"--save-txt": chosen.save_txt, "--save-json": chosen.save_json}
        for name in (name for name, on in wanted.items() if on):
            raise UserError(f"{whole}: writes a table, no detections. Leave out {name}, or {whole}.")


def _check_analysis(chosen: ValOptions) -> None:
    """Raise UserError where there is nothing that --by and its neighbours could speak of."""
    asked = {
        "--by": chosen.by is not None, "--worst": chosen.worst > 0, "--calibrate": chosen.calibrate, "--report": chosen.report,
    }  # fmt: skip
    whole = "--corruptions" if chosen.corruptions is not None else f"--task {chosen.task}"
    for name in (name for name, on in asked.items() if on):
        if chosen.corruptions is not None or chosen.task in {"speed", "study"}:
            raise UserError(f"{name}: {whole} writes a table of its own. Leave one of the two out.")
    if chosen.single_cls and "frequency" in (chosen.by or ""):
        raise UserError("--by frequency: --single-cls leaves one class. Leave one of the two out.")


def splits_of(task: str) -> tuple[str, ...]:
    """The splits that a task measures, the first of which is required."""
    return SPLITS.get(task, VALS)


def check_names(
    names: Mapping[int, str] | None, classes: int, config: DataConfig, weights: Path, otherwise: str = ""
) -> None:
    """Raise UserError if data and weights differ in the number of classes; log a note if only names differ."""
    if classes != len(config.names):
        raise UserError(
            f"{weights}: has {classes} classes, but {config.file} has {len(config.names)}. Use the data YAML that it was "
            f"trained with{otherwise}."
        )
    own = names or config.names
    other = [f"{number}: {own[number]} / {name}" for number, name in config.names.items() if own[number] != name]
    if other:
        LOGGER.info(f"note: classes are matched by number, but names differ (weights / data): {', '.join(other[:5])}")


def present_splits(config: DataConfig, task: str) -> list[str]:
    """The splits of a task that the data YAML has. Raises UserError if the first is missing."""
    wanted = splits_of(task)
    if wanted[0] not in config.splits:
        raise config.lacks(wanted[0], "Choose another --task.")
    return [split for split in wanted if split in config.splits]


def print_warnings(dataset: Any, report: Report, options: ValOptions) -> None:
    """What the metrics do not show: skipped images, images with more objects than detections, empty groups."""
    for path, reason in dataset.left_out():
        LOGGER.info(f"note: skipped {path}: {reason}")
    for line in unlabelled(dataset.source, report.split):
        LOGGER.info(line)
    most = max((len(image.target_cls) for image in report.detections), default=0)
    if options.max_det is not None and most > options.max_det:
        LOGGER.info(
            f"note: an image of {report.split} has {most} objects, more than --max-det {options.max_det} can find"
        )
    if options.protocol == "lvis" and (groups := absent_groups(report.metrics)):
        LOGGER.info(f"note: {report.split} has no object of a class that is {' or '.join(groups)}: no AP of these")
