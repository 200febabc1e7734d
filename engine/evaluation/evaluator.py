"""Run a detector over a labelled data set and measure it.

The loop is our own, the arithmetic is Ultralytics': boxes are matched by `BaseValidator.match_predictions` and averaged
by `DetMetrics`, so the numbers equal those of `DetectionValidator` on the same weights and images. Three things
differ on purpose: the model leaves exactly as it came (mode of each module, head settings), suppression has no time
limit (a slow machine would lose boxes), and the matches of each image stay in the report, for resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.evaluation.class_frequency import LongTail
from engine.evaluation.predictions import Network, Seen, Settings, inference_state, whole_images
from engine.evaluation.sliced import Slicing, sliced_images
from engine.inference.stopwatch import Stopwatch
from engine.results import DetectionStats, ImageResult, Report
from utils.metrics import PROTOCOLS
from utils.metrics.streaming_ap import ProtocolMeter
from utils.plots import plot_precision_recall
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.engine.validator import BaseValidator  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils.metrics import ConfusionMatrix, DetMetrics, box_iou  # noqa: E402

METRICS = ("precision", "recall", "mAP50", "mAP50-95")
FEW, HUNDRED = 300, 100  # detections kept of an image at least, and the step beyond
IOU_LEVELS = torch.linspace(0.5, 0.95, 10)


def evaluate_detector(
    model: DetectionModel,
    dataset: Any,
    *,
    batch_size: int,
    device: torch.device | str,
    split: str = "val",
    condition: str = "val",
    conf: float = 0.001,
    iou: float = 0.6,
    max_det: int | None = None,
    half: bool = False,
    workers: int = 0,
    save_dir: Path | None = None,
    plots: bool = False,
    progress: bool = True,
    on_image: Callable[[ImageResult], None] | None = None,
    augment: bool = False,
    single_cls: bool = False,
    end2end: bool = False,
    protocol: str | None = None,
    long_tail: LongTail | None = None,
    slicing: Slicing | None = None,
    enhance: Callable[[Tensor, dict[str, Any]], Tensor] | None = None,
) -> Report:
    """Measure `model`, which lies on `device`, over `dataset` (Ultralytics batch dicts), in the data set's order.

    A data set with rectangular batches must have been built with the same `batch_size`. `half` is autocast to float16
    and acts on CUDA only; the weights are not changed. `end2end` asks for the NMS-free head where the model has one;
    otherwise every model goes through suppression, as in Ultralytics. With `plots`, curves and confusion matrices go to
    `save_dir`. Without `max_det`, it follows the data, see `enough`. `protocol`: "coco", "aitod" or "lvis" adds its numbers to
    the metrics, over boxes in pixels of the original images; "lvis" needs `long_tail`. With `slicing`, images larger
    than a slice go through the network in tiles. `enhance`: images (B, 3, H, W) in [0, 1] and their batch to the
    images that the network sees; not with `slicing`.
    """
    device = torch.device(device)
    if max_det is None:
        max_det = enough(fullest(dataset), protocol)
    settings = Settings(conf, iou, max_det, half and device.type == "cuda", augment, single_cls, end2end, enhance)
    tally = Tally(model.names, settings, confusion=plots, protocol=protocol, long_tail=long_tail)
    watch = Stopwatch(device)
    network = Network(model, device, settings, watch)
    title = f"{condition} {'images' if slicing else 'batches'}" if progress else ""
    common = (batch_size, workers, title)
    seen = sliced_images(network, dataset, slicing, *common) if slicing else whole_images(network, dataset, *common)
    with inference_state(model, settings):
        for image in seen:
            tally.add(image, on_image)
    seen_at = "sliced" if slicing else resolution(dataset)
    return replace(tally.report(condition, split, watch, save_dir if plots else None), resolution=seen_at)


def fullest(dataset: Any) -> int:
    """The number of objects of the image with most of them."""
    return max((len(label.classes) for label in dataset.source), default=0)


def resolution(dataset: Any) -> str:
    """How large the network sees the images, in a word: `native` or `upsampled`."""
    return "native" if getattr(dataset, "native", False) else "upsampled"


def enough(objects: int, protocol: str | None = None) -> int:
    """Detections to keep of an image, where the fullest has so many objects: whole hundreds from 300.

    AI-TOD's protocol wants at least 1500; LVIS's scores 300 of an image, and no more.

    >>> enough(12), enough(301), enough(12, "aitod"), enough(2667, "aitod"), enough(301, "lvis")
    (300, 400, 1500, 2700, 300)
    """
    rules = PROTOCOLS[protocol] if protocol else None
    if rules is not None and rules.most_in_image is not None:
        return rules.most_in_image
    return max(FEW, rules.most if rules else 0, -(-objects // HUNDRED) * HUNDRED)


class Tally:
    """Collects the matches of each image and turns them into a report."""

    def __init__(
        self,
        names: Mapping[int, str],
        settings: Settings,
        confusion: bool = False,
        protocol: str | None = None,
        long_tail: LongTail | None = None,
    ) -> None:
        if protocol and PROTOCOLS[protocol].long_tail and long_tail is None:
            raise ValueError(
                f"protocol {protocol!r} needs the frequencies of the classes: see engine.evaluation.class_frequency"
            )
        self.names = {0: "object"} if settings.single_cls else dict(names)
        self.settings = settings
        self.images: list[DetectionStats] = []
        self.confusion = ConfusionMatrix(names=self.names) if confusion else None
        self.long_tail = long_tail
        self.meter = ProtocolMeter(protocol, long_tail.frequency if long_tail else ()) if protocol else None

    def add(self, seen: Seen, on_image: Callable[[ImageResult], None] | None = None) -> None:
        """Match the detections of one image with its labels."""
        target = {"cls": seen.classes, "bboxes": seen.boxes}  # (m,), (m, 4)
        detected = {
            "bboxes": seen.found[:, :4],
            "conf": seen.found[:, 4],
            "cls": seen.found[:, 5],
        }  # (n, 4), (n,), (n,)
        if self.settings.single_cls:
            target["cls"], detected["cls"] = torch.zeros_like(target["cls"]), torch.zeros_like(detected["cls"])
        columns = (detected["conf"], detected["cls"], target["cls"])
        stats = DetectionStats(seen.file, match(detected, target), *(c.cpu().numpy() for c in columns))
        self.images.append(stats)
        if self.confusion is not None:
            self.confusion.process_batch(detected, target, conf=0.25)
        if on_image is not None or self.meter is not None:
            result = original_pixels(seen, stats)
            for listener in filter(None, (on_image, self._measure)):
                listener(result)

    def _measure(self, result: ImageResult) -> None:
        """Match by the protocol, where there is one."""
        if self.meter is not None:
            truth = (result.targets, label_areas(result.targets), result.target_classes)
            known = self.long_tail.of(result.file) if self.long_tail else None
            absent, partial = (known.absent, known.partial) if known else (None, ())
            self.meter.add(result.boxes, result.scores, result.classes, *truth, absent=absent, partial=partial)

    def report(self, condition: str, split: str, watch: Stopwatch, plots_to: Path | None = None) -> Report:
        """Average everything that was added; with `plots_to`, draw the curves there."""
        metrics = average(self.images, self.names, plots_to)
        means = dict(zip(METRICS, map(float, metrics.mean_results()), strict=True))
        rows = per_class(metrics, self.names)
        if self.meter is not None:
            whole, by_class = self.meter.result()
            means |= whole
            rows = [{**row, **by_class[int(number)]} for row, number in zip(rows, metrics.ap_class_index, strict=True)]
        if plots_to is not None:
            self._draw(metrics, means, plots_to)
        instances = sum(len(image.target_cls) for image in self.images)
        images = len(self.images)
        return Report(condition, split, images, instances, means, rows, watch.per_image(images), tuple(self.images))

    def _draw(self, metrics: DetMetrics, means: Mapping[str, float], folder: Path) -> None:
        """Confusion matrices, and the precision-recall curve anew where a protocol's numbers belong on it."""
        if self.confusion is not None:
            for normalize in (True, False):
                self.confusion.plot(save_dir=folder, normalize=normalize)
        if self.meter is not None and len(metrics.ap_class_index):
            named = [
                f"{self.names[int(c)]} {ap:.3f}" for c, ap in zip(metrics.ap_class_index, metrics.box.ap50, strict=True)
            ]
            curves = dict(zip(named, metrics.box.prec_values, strict=True))
            numbers = {name: value for name, value in means.items() if name not in METRICS}
            plot_precision_recall(metrics.box.px, curves, folder / "BoxPR_curve.png", numbers)


def match(detected: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> np.ndarray:
    """(n, 10) bool: which of n detections (descending confidence) are right at each IoU level; greedy, one to one."""
    if not len(detected["cls"]) or not len(target["cls"]):
        return np.zeros((len(detected["cls"]), len(IOU_LEVELS)), dtype=bool)
    iou = box_iou(target["bboxes"], detected["bboxes"])  # (m, n)
    levels: Any = SimpleNamespace(iouv=IOU_LEVELS)
    return BaseValidator.match_predictions(levels, detected["cls"], target["cls"], iou).numpy()


def original_pixels(seen: Seen, stats: DetectionStats) -> ImageResult:
    """The same image in its own pixels, clipped to it."""
    found, truth = seen.original(seen.found[:, :4]), seen.original(seen.boxes)
    return ImageResult(stats.file, seen.shape, found, stats.conf, stats.pred_cls, truth, stats.target_cls)


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
    return [
        {
            "class": names[int(c)],
            "images": int(metrics.nt_per_image[c]),
            "instances": int(metrics.nt_per_class[c]),
            **dict(zip(METRICS, map(float, metrics.class_result(i)), strict=True)),
        }
        for i, c in enumerate(metrics.ap_class_index)
    ]
