"""What a measurement yields, as plain data: the report of a split, and what each of its images adds to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from utils.metrics import bootstrap


@dataclass(frozen=True)
class DetectionStats:
    """What one image adds to the metrics of a detector: n detections in descending confidence, m objects.

    tp: (n, 10) bool, true positives at IoU 0.50, 0.55 ... 0.95; conf: (n,) in [0, 1]; pred_cls: (n,); target_cls: (m,).
    """

    file: str
    tp: np.ndarray
    conf: np.ndarray
    pred_cls: np.ndarray
    target_cls: np.ndarray


@dataclass(frozen=True)
class ClassificationStats:
    """Whether the true class of one image or video is the classifier's first guess, and among its first five."""

    file: str
    top1: bool
    top5: bool


ImageStats: TypeAlias = DetectionStats | ClassificationStats


@dataclass(frozen=True)
class ImageResult:
    """What `on_image` receives: boxes (n, 4) and targets (m, 4) are xyxy in pixels of the original image.

    scores: (n,) in [0, 1]; classes: (n,); target_classes: (m,); shape: (height, width) of the original image.
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
    """The measurement of one split."""

    condition: str  # what the images are like ("night", "day")
    split: str  # the data YAML's key
    images: int
    instances: int
    metrics: dict[str, float]  # of all classes, fractions of 1; a size group without objects is NaN
    per_class: list[dict[str, Any]]  # one row per class with objects
    speed: dict[str, float]  # ms per image by stage
    per_image: tuple[ImageStats, ...] = field(default=(), repr=False, compare=False)  # in the data set's order
    resolution: str = "upsampled"  # longer side resized to --imgsz; "native": own size; "sliced": in tiles
    losses: dict[str, float] = field(default_factory=dict)  # of the epoch's validation while training: mean per batch
    enhanced: str = ""  # the enhancer's name
    part: str = ""  # of a split, where it is not all of it

    @property
    def detections(self) -> tuple[DetectionStats, ...]:
        """The images of a detector's report; none for a classifier."""
        return tuple(image for image in self.per_image if isinstance(image, DetectionStats))

    @property
    def head(self) -> dict[str, str]:
        """The first columns of a table's row: condition, split, resolution, and the enhancer if there was one."""
        head = {"condition": self.condition, "split": self.split, "resolution": self.resolution}
        return head | ({"enhanced": self.enhanced} if self.enhanced else {})


def matches_of(images: Sequence[DetectionStats], level: int, only: Collection[int] | None = None) -> bootstrap.Matches:
    """The matches of a report at one IoU level (0: 0.50 ... 9: 0.95), as resampling needs them; of `only` some classes."""
    classes = 1 + int(max((p.target_cls.max() for p in images if len(p.target_cls)), default=0))
    counted = np.ones(classes, bool) if only is None else np.isin(np.arange(classes), list(only))
    counts = [np.bincount(image.target_cls.astype(int), minlength=classes) * counted for image in images]
    sizes = [len(image.conf) for image in images]
    return bootstrap.Matches(
        true_positive=np.concatenate([image.tp[:, level] for image in images]),
        conf=np.concatenate([image.conf for image in images]),
        cls=np.concatenate([image.pred_cls for image in images]),
        image=np.repeat(np.arange(len(images)), sizes),
        objects=np.stack(counts),
    )
