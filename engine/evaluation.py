"""Run a detector over a labelled data set and measure it.

The loop is our own, the arithmetic is Ultralytics': boxes are matched by `BaseValidator.match_predictions` and averaged
by `DetMetrics`, so the numbers equal those of `DetectionValidator` on the same weights and pictures. Three things
differ on purpose: the model leaves exactly as it came (mode of each module, head settings), suppression has no time
limit (a slow machine would lose boxes), and the matches of each picture stay in the report, for resampling.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from utils.environment import contain_ultralytics
from utils.progress import progress as show_progress

contain_ultralytics()

from ultralytics.engine.validator import BaseValidator  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils import ops  # noqa: E402
from ultralytics.utils.metrics import ConfusionMatrix, DetMetrics, box_iou  # noqa: E402
from ultralytics.utils.nms import non_max_suppression  # noqa: E402

METRICS = ("precision", "recall", "mAP50", "mAP50-95")
STAGES = ("preprocess", "inference", "postprocess")
IOU_LEVELS = torch.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class PictureStats:
    """What one picture adds to the metrics: n detections in descending confidence, m objects.

    tp: (n, 10) bool, right at IoU 0.50, 0.55 ... 0.95; conf: (n,) in [0, 1]; pred_cls: (n,); target_cls: (m,).
    """

    file: str
    tp: np.ndarray
    conf: np.ndarray
    pred_cls: np.ndarray
    target_cls: np.ndarray


@dataclass(frozen=True)
class ImageResult:
    """What `on_image` receives: boxes (n, 4) and targets (m, 4) are xyxy in pixels of the original picture.

    scores: (n,) in [0, 1]; classes: (n,); target_classes: (m,); shape: (height, width) of the original picture.
    """

    file: str
    shape: tuple[int, int]
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    targets: np.ndarray
    target_classes: np.ndarray


@dataclass(frozen=True)
class Report:
    """The measurement of one split.

    condition: what the pictures are like ("night", "day"); split: the data YAML's key; metrics: precision, recall (both
    at the best F1), mAP50, mAP50-95, fractions of 1; per_class: one row a class with objects; speed: ms per picture by
    stage; pictures: the raw matches of each picture, in the data set's order.
    """

    condition: str
    split: str
    images: int
    instances: int
    metrics: dict[str, float]
    per_class: list[dict[str, Any]]
    speed: dict[str, float]
    pictures: tuple[PictureStats, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Settings:
    """How predictions become detections; `conf`, `iou` in [0, 1], `max_det` detections a picture."""

    conf: float = 0.001
    iou: float = 0.6
    max_det: int = 300
    half: bool = False
    augment: bool = False
    single_cls: bool = False
    end2end: bool = False


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
    max_det: int = 300,
    half: bool = False,
    workers: int = 0,
    save_dir: Path | None = None,
    plots: bool = False,
    progress: bool = True,
    on_image: Callable[[ImageResult], None] | None = None,
    augment: bool = False,
    single_cls: bool = False,
    end2end: bool = False,
) -> Report:
    """Measure `model`, which lies on `device`, over `dataset` (Ultralytics batch dicts), in the data set's order.

    A data set with rectangular batches must have been built with the same `batch_size`. `half` is autocast to float16
    and acts on CUDA only; the weights are not changed. `end2end` asks for the NMS-free head where the model has one;
    otherwise every model goes through suppression, as in Ultralytics. With `plots`, curves and confusion matrices go to
    `save_dir`.
    """
    device = torch.device(device)
    settings = Settings(conf, iou, max_det, half and device.type == "cuda", augment, single_cls, end2end)
    tally = Tally(model.names, settings, confusion=plots)
    watch = Stopwatch(device)
    loader = DataLoader(
        dataset, batch_size, num_workers=workers, collate_fn=dataset.collate_fn, pin_memory=device.type == "cuda"
    )
    with inference_state(model, settings):
        for batch in show_progress(loader, len(loader), f"{condition} batches") if progress else loader:
            batch, found = _detect(model, batch, device, settings, watch)
            for index, detections in enumerate(found):
                tally.add(detections, batch, index, on_image)
    return tally.report(condition, split, watch, save_dir if plots else None)


def _loader(dataset: Any, batch_size: int, workers: int, pin: bool) -> DataLoader[Any]:
    """Batches in the data set's order, each picture once."""
    return DataLoader(
        dataset, batch_size, shuffle=False, num_workers=workers, collate_fn=dataset.collate_fn, pin_memory=pin
    )


def _detect(
    model: DetectionModel, batch: dict[str, Any], device: torch.device, settings: Settings, watch: Stopwatch
) -> tuple[dict[str, Any], list[Tensor]]:
    """The batch on `device` and, for each picture, detections (n, 6): xyxy in network pixels, confidence, class."""
    with watch("preprocess"):
        batch = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
        batch["img"] = batch["img"].float() / 255  # (B, 3, H, W) in [0, 1]
    with watch("inference"), torch.autocast("cuda") if settings.half else nullcontext():
        predictions = model(batch["img"], augment=settings.augment)
    with watch("postprocess"):
        found = non_max_suppression(
            predictions,
            settings.conf,
            settings.iou,
            multi_label=True,
            agnostic=settings.single_cls,
            max_det=settings.max_det,
            end2end=bool(getattr(model, "end2end", False)),
            max_time_img=float("inf"),  # results must not depend on the machine's speed
        )
    return batch, found


@contextmanager
def inference_state(model: DetectionModel, settings: Settings) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each module's mode and the head's settings are as before.

    `no_grad`, not `inference_mode`: the head caches its anchors, and inference tensors would break a later backward
    pass.
    """
    modes = {module: module.training for module in model.modules()}
    head = model.model[-1]
    kept = {name: getattr(head, name) for name in ("max_det", "agnostic_nms", "_end2end") if hasattr(head, name)}
    model.eval()
    head.max_det, head.agnostic_nms = settings.max_det, settings.single_cls
    if getattr(head, "one2one_cv2", None) is not None and head.cv2 is not None:  # fusing removes one of the two
        model.end2end = settings.end2end
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        for name in ("max_det", "agnostic_nms", "_end2end"):
            if name in kept:
                setattr(head, name, kept[name])


class Stopwatch:
    """Seconds spent in each stage; waits for the accelerator before it reads the clock."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of the block to `stage`."""
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.seconds[stage] += time.perf_counter() - start

    def per_image(self, images: int) -> dict[str, float]:
        """Milliseconds per picture by stage."""
        return {stage: 1e3 * seconds / max(images, 1) for stage, seconds in self.seconds.items()}


class Tally:
    """Collects the matches of each picture and turns them into a report."""

    def __init__(self, names: Mapping[int, str], settings: Settings, confusion: bool = False) -> None:
        self.names = {0: "object"} if settings.single_cls else dict(names)
        self.settings = settings
        self.pictures: list[PictureStats] = []
        self.confusion = ConfusionMatrix(names=self.names) if confusion else None

    def add(
        self, found: Tensor, batch: dict[str, Any], index: int, on_image: Callable[[ImageResult], None] | None = None
    ) -> None:
        """Match detections (n, 6) of picture `index` with its labels, in network pixels (as letterboxed)."""
        mine = batch["batch_idx"] == index
        height, width = batch["img"].shape[2:]
        scale = torch.tensor((width, height, width, height), device=found.device)
        target = {
            "cls": batch["cls"][mine].squeeze(-1),
            "bboxes": ops.xywh2xyxy(batch["bboxes"][mine]) * scale,
        }  # (m,), (m, 4)
        detected = {"bboxes": found[:, :4], "conf": found[:, 4], "cls": found[:, 5]}  # (n, 4), (n,), (n,)
        if self.settings.single_cls:
            target["cls"], detected["cls"] = torch.zeros_like(target["cls"]), torch.zeros_like(detected["cls"])
        columns = (detected["conf"], detected["cls"], target["cls"])
        stats = PictureStats(batch["im_file"][index], match(detected, target), *(c.cpu().numpy() for c in columns))
        self.pictures.append(stats)
        if self.confusion is not None:
            self.confusion.process_batch(detected, target, conf=0.25)
        if on_image is not None:
            on_image(original_pixels(stats, detected["bboxes"], target["bboxes"], batch, index))

    def report(self, condition: str, split: str, watch: Stopwatch, plots_to: Path | None = None) -> Report:
        """Average everything that was added; with `plots_to`, draw the curves there."""
        metrics = average(self.pictures, self.names, plots_to)
        if plots_to is not None and self.confusion is not None:
            for normalize in (True, False):
                self.confusion.plot(save_dir=plots_to, normalize=normalize)
        means = dict(zip(METRICS, map(float, metrics.mean_results()), strict=True))
        rows = per_class(metrics, self.names)
        instances = sum(len(picture.target_cls) for picture in self.pictures)
        images = len(self.pictures)
        return Report(condition, split, images, instances, means, rows, watch.per_image(images), tuple(self.pictures))


def match(detected: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> np.ndarray:
    """(n, 10) bool: which of n detections (descending confidence) are right at each IoU level; greedy, one to one."""
    if not len(detected["cls"]) or not len(target["cls"]):
        return np.zeros((len(detected["cls"]), len(IOU_LEVELS)), dtype=bool)
    iou = box_iou(target["bboxes"], detected["bboxes"])  # (m, n)
    levels: Any = SimpleNamespace(iouv=IOU_LEVELS)
    return BaseValidator.match_predictions(levels, detected["cls"], target["cls"], iou).numpy()


def original_pixels(
    stats: PictureStats, boxes: Tensor, targets: Tensor, batch: dict[str, Any], index: int
) -> ImageResult:
    """Undo the letterbox of boxes (n, 4) and targets (m, 4), clipped to the picture."""
    shape = (int(batch["ori_shape"][index][0]), int(batch["ori_shape"][index][1]))
    network, ratio_pad = batch["img"].shape[2:], batch["ratio_pad"][index]
    found, truth = (ops.scale_boxes(network, x.clone(), shape, ratio_pad).cpu().numpy() for x in (boxes, targets))
    return ImageResult(stats.file, shape, found, stats.conf, stats.pred_cls, truth, stats.target_cls)


def average(pictures: list[PictureStats], names: Mapping[int, str], plots_to: Path | None = None) -> DetMetrics:
    """Ultralytics' precision, recall and average precision over pictures (at least one)."""
    metrics = DetMetrics(names=dict(names))
    for picture in pictures:
        columns = {key: getattr(picture, key) for key in ("tp", "conf", "pred_cls", "target_cls")}
        metrics.update_stats({**columns, "target_img": np.unique(picture.target_cls), "im_name": picture.file})
    metrics.process(save_dir=plots_to or Path(), plot=plots_to is not None)
    return metrics


def per_class(metrics: DetMetrics, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """One row a class with objects: class, images, instances and the four metrics."""
    return [
        {
            "class": names[int(c)],
            "images": int(metrics.nt_per_image[c]),
            "instances": int(metrics.nt_per_class[c]),
            **dict(zip(METRICS, map(float, metrics.class_result(i)), strict=True)),
        }
        for i, c in enumerate(metrics.ap_class_index)
    ]
