"""How a detector is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.evaluation.class_frequency import LVISLabels
from utils.devices import on_gpu
from utils.metrics import PROTOCOLS

MIN_MAX_DET, MAX_DET_STEP = 300, 100  # the smallest default of max_det, and what it is rounded up to
Enhance = Callable[[Tensor, dict[str, Any]], Tensor]  # images (B, 3, H, W) in [0, 1] and their batch -> images


@dataclass(frozen=True)
class Slicing:
    """Tiles of `size` px per side that overlap by a fraction of it, and how their boxes are merged ("nmm" or "nms").

    imgsz, stride: each tile is letterboxed into imgsz px, padded to a multiple of the stride, as an image would be.
    """

    size: int
    overlap: float = 0.2
    merge: str = "nmm"
    imgsz: int = 640
    stride: int = 32


@dataclass(frozen=True)
class EvalSettings:
    """How images are loaded, how predictions become detections, and what is measured."""

    batch_size: int = 32  # a data set with rectangular batches must have been built with the same
    workers: int = 0
    conf: float = 0.001  # in [0, 1]
    iou: float = 0.6  # of NMS, in [0, 1]
    max_det: int | None = None  # detections per image; None: see `default_max_det`
    half: bool = False  # autocast, on CUDA only; the weights stay as they are
    half_type: torch.dtype = torch.float16
    augment: bool = False
    single_cls: bool = False
    end2end: bool = False  # the NMS-free head where the model has one; otherwise every model goes through NMS
    protocol: str | None = None  # "coco", "aitod" or "lvis": adds its numbers, over boxes in original pixels
    lvis: LVISLabels | None = None  # needed by protocol "lvis"
    slicing: Slicing | None = None  # images larger than a slice go through the network in tiles
    enhance: Enhance | None = None  # applied just before the network; not with slicing
    progress: bool = True
    timed: bool = True  # take times by stage, for which a device is waited for between stages

    def resolve(self, dataset: Any, device: torch.device) -> EvalSettings:
        """The same with `max_det` for a data set and `half` for a device."""
        objects = max((len(label.classes) for label in dataset.source), default=0)
        most = self.max_det if self.max_det is not None else default_max_det(objects, self.protocol)
        return replace(self, max_det=most, half=self.half and on_gpu(device))


def default_max_det(objects: int, protocol: str | None = None) -> int:
    """Detections to keep per image, where an image has up to `objects` objects: a multiple of 100, at least 300.

    AI-TOD's protocol needs at least 1500; LVIS's scores 300 per image, and no more.

    >>> [default_max_det(*args) for args in ((12,), (301,), (12, "aitod"), (2667, "aitod"), (301, "lvis"))]
    [300, 400, 1500, 2700, 300]
    """
    rules = PROTOCOLS[protocol] if protocol else None
    if rules is not None and rules.most_in_image is not None:
        return rules.most_in_image
    return max(MIN_MAX_DET, rules.most if rules else 0, -(-objects // MAX_DET_STEP) * MAX_DET_STEP)
