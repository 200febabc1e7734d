"""Run a detector over a labelled data set and measure it.

The loop is our own, the arithmetic is Ultralytics': boxes are matched by `BaseValidator.match_predictions` and averaged
by `DetMetrics`, so the numbers equal those of `DetectionValidator` on the same weights and images. Three things
differ on purpose: the model is left exactly as it was (mode of each module, head settings), NMS has no time
limit (a slow machine would lose boxes), and the matches of each image stay in the report, for resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.evaluation.predictions import (
    Criterion,
    ImagePrediction,
    LossMeter,
    TimedDetector,
    inference_state,
    whole_images,
)
from engine.evaluation.settings import EvalSettings
from engine.evaluation.sliced import sliced_images
from engine.inference.stopwatch import Stopwatch
from engine.results import DetectionStats, ImageResult, Report
from utils.errors import UserError
from utils.metrics import PROTOCOLS
from utils.metrics.streaming_ap import ProtocolMeter
from utils.plots import plot_precision_recall
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.engine.validator import BaseValidator  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils.metrics import ConfusionMatrix, DetMetrics, box_iou  # noqa: E402

METRICS = ("precision", "recall", "mAP50", "mAP50-95")
IOU_LEVELS = torch.linspace(0.5, 0.95, 10)
Listener = Callable[[ImageResult], None]


def evaluate_detector(
    model: DetectionModel,
    dataset: Any,
    settings: EvalSettings,
    *,
    device: torch.device | str,
    split: str = "val",
    condition: str = "val",
    plots_to: Path | None = None,
    listeners: Iterable[Listener] = (),
    criterion: Criterion | None = None,
) -> Report:
    """Measure `model`, which lies on `device`, over `dataset` (Ultralytics batch dicts), in the data set's order.

    plots_to: a folder for curves and confusion matrices. listeners: each is called with every image's result.
    criterion: the task loss, to be measured as well.
    """
    device = torch.device(device)
    settings = settings.resolve(dataset, device)
    metrics = DetectionMetrics(model.names, settings, confusion=plots_to is not None, listeners=listeners)
    watch, slicing = Stopwatch(device if settings.timed else None), settings.slicing
    losses = LossMeter(criterion) if criterion else None
    detector = TimedDetector(model, device, settings, watch, losses)
    title = f"{condition} {'images' if slicing else 'batches'}" if settings.progress else ""
    images = sliced_images(detector, dataset, slicing, title) if slicing else whole_images(detector, dataset, title)
    with inference_state(model, settings):
        for image in images:
            metrics.add(image)
    if not metrics.images:
        raise UserError(f"none of the {len(dataset)} images of '{split}' can be decoded. Replace them.")
    report = metrics.report(condition, split, watch, plots_to)
    report = replace(report, losses=losses.means()) if losses else report
    return replace(report, resolution="sliced" if slicing else resolution(dataset))


def resolution(dataset: Any) -> str:
    """The size at which the network sees the images, as a word: `native` or `upsampled`."""
    return "native" if getattr(dataset, "native", False) else "upsampled"


class DetectionMetrics:
    """Collects the matches of each image and turns them into a report."""

    def __init__(
        self,
        names: Mapping[int, str],
        settings: EvalSettings,
        confusion: bool = False,
        listeners: Iterable[Listener] = (),
    ) -> None:
        protocol, lvis = settings.protocol, settings.lvis
        if protocol and PROTOCOLS[protocol].long_tail and lvis is None:
            raise ValueError(f"protocol {protocol!r} needs class frequencies: see engine.evaluation.class_frequency")
        self.names = {0: "object"} if settings.single_cls else dict(names)
        self.settings = settings
        self.images: list[DetectionStats] = []
        self.confusion = ConfusionMatrix(names=self.names) if confusion else None
        self.meter = ProtocolMeter(protocol, lvis.frequency if lvis else ()) if protocol else None
        self.listeners = [*listeners, *([self._measure] if protocol else [])]

    def add(self, image: ImagePrediction) -> None:
        """Match the detections of one image with its labels."""
        target = {"cls": image.classes, "bboxes": image.boxes}  # (m,), (m, 4)
        boxes, conf, classes = image.detections.split((4, 1, 1), 1)
        detected = {"bboxes": boxes, "conf": conf[:, 0], "cls": classes[:, 0]}  # (n, 4), (n,), (n,)
        if self.settings.single_cls:
            target["cls"], detected["cls"] = torch.zeros_like(target["cls"]), torch.zeros_like(detected["cls"])
        columns = (detected["conf"], detected["cls"], target["cls"])
        stats = DetectionStats(image.file, match(detected, target), *(c.cpu().numpy() for c in columns))
        self.images.append(stats)
        if self.confusion is not None:
            self.confusion.process_batch(detected, target, conf=0.25)
        if self.listeners:
            found, truth = image.original(image.detections[:, :4]), image.original(image.boxes)  # in its own pixels
            of_found = (found, stats.conf, stats.pred_cls)
            result = ImageResult(stats.file, image.shape, *of_found, truth, stats.target_cls)
            for listener in self.listeners:
                listener(result)

    def _measure(self, result: ImageResult) -> None:
        """Match by the protocol."""
        assert self.meter is not None
        lvis = self.settings.lvis
        truth = (result.targets, label_areas(result.targets), result.target_classes)
        known = lvis.of(result.file) if lvis else None
        absent, partial = (known.absent, known.partial) if known else (None, ())
        self.meter.add(result.boxes, result.scores, result.classes, *truth, absent=absent, partial=partial)

    def report(self, condition: str, split: str, watch: Stopwatch, plots_to: Path | None = None) -> Report:
        """The report on all images added; with `plots_to`, curves are drawn there."""
        averages = average(self.images, self.names, plots_to)
        means = dict(zip(METRICS, map(float, averages.mean_results()), strict=True))
        rows = per_class(averages, self.names)
        if self.meter is not None:
            whole, by_class = self.meter.result()
            means |= whole
            rows = [{**row, **by_class[int(number)]} for row, number in zip(rows, averages.ap_class_index, strict=True)]
        if plots_to is not None:
            self._draw(averages, means, plots_to)
        speed = watch.per_image(len(self.images)) if self.settings.timed else {}
        images, instances = len(self.images), sum(len(image.target_cls) for image in self.images)
        return Report(condition, split, images, instances, means, rows, speed, tuple(self.images))

    def _draw(self, metrics: DetMetrics, means: Mapping[str, float], folder: Path) -> None:
        """Confusion matrices, and the precision-recall curve again with a protocol's numbers on it."""
        if self.confusion is not None:
            for normalize in (True, False):
                self.confusion.plot(save_dir=folder, normalize=normalize)
        if self.meter is not None and len(metrics.ap_class_index):
            rows = zip(metrics.ap_class_index, metrics.box.ap50, metrics.box.prec_values, strict=True)
            curves = {f"{self.names[int(c)]} {ap:.3f}": precision for c, ap, precision in rows}
            numbers = {name: value for name, value in means.items() if name not in METRICS}
            plot_precision_recall(metrics.box.px, curves, folder / "BoxPR_curve.png", numbers)


def match(detected: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> np.ndarray:
    """(n, 10) bool: true positives among n detections (descending confidence) at each IoU level; greedy, one to one."""
    if not len(detected["cls"]) or not len(target["cls"]):
        return np.zeros((len(detected["cls"]), len(IOU_LEVELS)), dtype=bool)
    iou = box_iou(target["bboxes"], detected["bboxes"])  # (m, n)
    levels: Any = SimpleNamespace(iouv=IOU_LEVELS)
    return BaseValidator.match_predictions(levels, detected["cls"], target["cls"], iou).numpy()


def label_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (m,) of labels (m, 4) xyxy px, from sides to a hundredth of a pixel.

    Label files hold six digits of a fraction and boxes are float32, so that 8 x 8 px would often not be 64.
    """
    return (boxes[:, 2:] - boxes[:, :2]).astype(float).round(2).prod(1)


def average(images: list[DetectionStats], names: Mapping[int, str], plots_to: Path | None = None) -> DetMetrics:
    """Ultralytics' precision, recall and average precision over images (at least one)."""
    metrics = DetMetrics(names=dict(names))
    for image in images:
        columns = {key: getattr(image, key) for key in ("tp", "conf", "pred_cls", "target_cls")}
        metrics.update_stats({**columns, "target_img": np.unique(image.target_cls), "im_name": image.file})
    metrics.process(save_dir=plots_to or Path(), plot=plots_to is not None)
    return metrics


def per_class(metrics: DetMetrics, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """One row per class with objects: class, images, instances and the four metrics."""
    images, instances = metrics.nt_per_image, metrics.nt_per_class
    return [
        {"class": names[int(c)], "images": int(images[c]), "instances": int(instances[c])}
        | dict(zip(METRICS, map(float, metrics.class_result(i)), strict=True))
        for i, c in enumerate(metrics.ap_class_index)
    ]
