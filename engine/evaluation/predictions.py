"""Detections of an evaluation: each image of a data set through the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from engine.evaluation.settings import EvalSettings
from engine.inference.stopwatch import Stopwatch
from models.graph import evaluating
from utils.dataloader import workers_that_fit
from utils.devices import on_gpu
from utils.progress import progress as show_progress
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

import torchvision  # noqa: E402, F401 - only where it is imported does Ultralytics' NMS use its compiled loop
from ultralytics.nn.tasks import DetectionModel  # noqa: E402
from ultralytics.utils import ops  # noqa: E402
from ultralytics.utils.nms import non_max_suppression  # noqa: E402


@dataclass(frozen=True)
class ImagePrediction:
    """The detections and labels of one image, in the pixels in which the two are compared.

    detections: (n, 6) xyxy, confidence in [0, 1], class, by descending confidence; boxes: (m, 4) xyxy; classes: (m,);
    shape: (height, width) of the original image; ratio_pad: ((gain y, gain x), (pad x, pad y)) from its pixels to these.
    """

    file: str
    shape: tuple[int, int]
    detections: Tensor
    boxes: Tensor
    classes: Tensor
    ratio_pad: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 1.0), (0.0, 0.0))

    def original(self, boxes: Tensor) -> np.ndarray:
        """boxes (n, 4) in pixels of the original image, clipped to it."""
        return ops.scale_boxes(self.shape, boxes.clone(), self.shape, self.ratio_pad).cpu().numpy()


Criterion = Callable[[Any, dict[str, Any]], tuple[Tensor, dict[str, Tensor]]]
"""(predictions, batch) -> (loss, its detached parts), as in Ultralytics."""


class LossMeter:
    """Means of the loss items over the images of an evaluation."""

    def __init__(self, criterion: Criterion) -> None:
        self.criterion, self.sums, self.images = criterion, dict[str, Tensor](), 0

    def add(self, predictions: Any, batch: dict[str, Any], device: torch.device) -> None:
        """predictions: what a detector in evaluation mode returns for the images of the batch, whose labels are anywhere."""
        ready = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
        images = len(batch["img"])
        for name, value in self.criterion(predictions, ready)[1].items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().float() * images
        self.images += images

    def means(self) -> dict[str, float]:
        """Item -> mean over images."""
        return {name: float(value) / self.images for name, value in self.sums.items()}


@dataclass(frozen=True)
class TimedDetector:
    """A model that lies on `device`, as a function from images to detections; `watch` takes its times."""

    model: DetectionModel
    device: torch.device
    settings: EvalSettings
    watch: Stopwatch
    losses: LossMeter | None = None

    def __call__(self, images: Tensor, batch: dict[str, Any] | None = None) -> list[Tensor]:
        """images: (B, 3, H, W) uint8. Returns (n, 6) for each: xyxy in these pixels, confidence, class.

        batch: that they belong to; without it nothing is enhanced.
        """
        settings = self.settings
        with self.watch("preprocess"):
            images = images.to(self.device, non_blocking=True).float().div_(255)  # (B, 3, H, W) in [0, 1]
            if settings.enhance is not None and batch is not None:
                images = settings.enhance(images, batch)
        with (
            self.watch("inference"),
            torch.autocast(self.device.type, settings.half_type) if settings.half else nullcontext(),
        ):
            predictions = self.model(images, augment=settings.augment)
        if self.losses is not None and batch is not None:
            self.losses.add(predictions, batch, self.device)
        with self.watch("postprocess"):
            return non_max_suppression(
                predictions,
                settings.conf,
                settings.iou,
                multi_label=True,
                agnostic=settings.single_cls,
                max_det=settings.max_det,
                end2end=bool(getattr(self.model, "end2end", False)),
                max_time_img=float("inf"),  # results must not depend on the machine's speed
            )


@contextmanager
def inference_state(model: DetectionModel, settings: EvalSettings) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each module's mode and the head's settings are as before.

    `no_grad`, not `inference_mode`: the head caches its anchors, and inference tensors would break a later backward
    pass.
    """
    head = model.model[-1]
    kept = {name: getattr(head, name) for name in ("max_det", "agnostic_nms", "_end2end") if hasattr(head, name)}
    head.max_det, head.agnostic_nms = settings.max_det, settings.single_cls
    if hasattr(head, "candidates"):
        head.candidates.conf = settings.conf
    if getattr(head, "one2one_cv2", None) is not None and head.cv2 is not None:  # fusing removes one of the two
        model.end2end = settings.end2end
    try:
        with evaluating(model):
            yield
    finally:
        for name, value in kept.items():
            setattr(head, name, value)


def whole_images(detector: TimedDetector, dataset: Any, progress: str = "") -> Iterator[ImagePrediction]:
    """Each image as the data set letterboxes it, in its order, compared in network pixels.

    progress: what a progress line calls the batches; empty for none.
    """
    loader = load(dataset, detector.settings, detector.device)
    for batch in show_progress(loader, len(loader), progress) if progress else loader:
        if batch:  # else all of its images are damaged
            yield from images_of(detector, batch)


def load(dataset: Any, settings: EvalSettings, device: torch.device) -> DataLoader[Any]:
    """Batches in the data set's order: its own (`batches`) if it has any, else of `batch_size`."""
    planned = getattr(dataset, "batches", None)
    size: dict[str, Any] = {"batch_sampler": planned} if planned else {"batch_size": settings.batch_size}
    pinned = on_gpu(device)
    workers = workers_that_fit(settings.workers, dataset, settings.batch_size)
    return DataLoader(dataset, **size, num_workers=workers, collate_fn=dataset.collate_fn, pin_memory=pinned)


def images_of(detector: TimedDetector, batch: dict[str, Any]) -> Iterator[ImagePrediction]:
    """The images of one batch with their detections."""
    found = detector(batch["img"], batch)
    with detector.watch("postprocess"):
        together = torch.cat(found).cpu()  # once per batch: matching takes many small steps, each a wait on a GPU
    height, width = batch["img"].shape[2:]
    scale = torch.tensor((width, height, width, height))
    for index, detections in enumerate(together.split([len(boxes) for boxes in found])):
        mine = batch["batch_idx"] == index
        shape = (int(batch["ori_shape"][index][0]), int(batch["ori_shape"][index][1]))
        boxes = ops.xywh2xyxy(batch["bboxes"][mine]) * scale  # (m, 4)
        classes = batch["cls"][mine].squeeze(-1)
        yield ImagePrediction(batch["im_file"][index], shape, detections, boxes, classes, batch["ratio_pad"][index])
