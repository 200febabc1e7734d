"""Average precision by the COCO, AI-TOD and LVIS protocols, an image at a time, without JSON.

`utils.metrics.evaluate` is the measure of files. It keeps two to three kilobytes for each detection: the 14,018 test
images of AI-TOD with five hundred each would take some twenty gigabytes. The meter here keeps thirty bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.metrics import ANY_SIZE, PROTOCOLS, summarise

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

IOU_LEVELS = np.linspace(0.5, 0.95, 10)
RECALL_STEPS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class _ImageMatches:
    """One image: n detections, by descending confidence, and m objects, over A size ranges (the first is all) and T IoU levels.

    right, counted: (n, A, T) packed to bits along the last two; objects: (m, A), whether the range has the object.
    """

    scores: Floats
    classes: NDArray[np.int64]
    right: NDArray[np.uint8]
    counted: NDArray[np.uint8]
    target_classes: NDArray[np.int64]
    objects: Bools


class ProtocolMeter:
    """What `evaluate(..., protocol)` says of the same boxes; the order of the images breaks ties.

    frequency: for "lvis", the letter of each class (r rare, c common, f frequent; any other: in none of the groups).
    """

    def __init__(self, protocol: str, frequency: Sequence[str] = ()) -> None:
        self.rules = PROTOCOLS[protocol]
        self.frequency = tuple(frequency)
        sizes = [limits for name, limits in self.rules.sizes.items() if name]
        self.ranges = np.array([(0, ANY_SIZE), *sizes], float)  # (A, 2) square pixels
        self.images: list[_ImageMatches] = []

    def add(
        self,
        boxes: Floats,
        scores: Floats,
        classes: NDArray,
        targets: Floats,
        areas: Floats,
        target_classes: NDArray,
        *,
        absent: Collection[int] | None = None,
        partial: Collection[int] = (),
    ) -> None:
        """Match one image: boxes (n, 4) and targets (m, 4) are xyxy in pixels of the original image.

        scores: (n,) in [0, 1]; classes: (n,); areas: (m,) square pixels, which decide the size range; target_classes:
        (m,). absent: classes that were looked for and are not there; detections of classes that are neither among these
        nor among the targets are dropped; None: every class was looked for. partial: classes of which not every object
        is labelled; a detection of one that finds no object is ignored.
        """
        order = np.argsort(-scores, kind="stable")[: self.rules.most_in_image]
        order = order[_rank_in_class(classes[order]) < self.rules.most]
        if absent is not None:
            order = order[np.isin(classes[order], [*absent, *target_classes])]
        boxes, scores, classes = boxes[order].astype(float), scores[order].astype(float), classes[order].astype(int)
        target_classes = target_classes.astype(int)
        iou = box_iou(boxes, targets.astype(float)) * (classes[:, None] == target_classes)  # (n, m)
        valid = self._in_range(areas)  # (m, A)
        right, outside = match(iou, valid.T)
        surplus = ~self._in_range((boxes[:, 2:] - boxes[:, :2]).prod(1))  # (n, A)
        surplus |= np.isin(classes, list(partial))[:, None]
        counted = right | ~(outside | surplus[:, :, None])
        self.images.append(_ImageMatches(scores, classes, _packed(right), _packed(counted), target_classes, valid))

    def _in_range(self, areas: Floats) -> Bools:
        """areas (n,) -> (n, A), both ends included."""
        return (areas[:, None] >= self.ranges[:, 0]) & (areas[:, None] <= self.ranges[:, 1])

    def result(self) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
        """AP, AP50, AP75 and AP by size or frequency, as `evaluate` has them; the same for each class with objects."""
        classes = sorted({int(number) for image in self.images for number in np.unique(image.target_classes)})
        precision = self._precision(classes)
        groups: dict[str, list[int]] = defaultdict(list)
        for column, number in enumerate(classes if self.frequency else ()):
            groups[self.frequency[number]].append(column)
        alone = {number: summarise(precision[:, :, [column]], {}, self.rules) for column, number in enumerate(classes)}
        return summarise(precision, groups, self.rules), alone

    def _precision(self, classes: Sequence[int]) -> Floats:
        """(T, 101, classes, A) of classes with objects, -1 where a range has none."""
        precision = np.empty((len(IOU_LEVELS), len(RECALL_STEPS), len(classes), len(self.ranges)))
        objects = np.zeros((len(classes), len(self.ranges)), np.int64)  # of each class in each size range
        for image in self.images:
            np.add.at(objects, np.searchsorted(classes, image.target_classes), image.objects)
        for column, (right, counted) in enumerate(self._detections(classes) if classes else ()):
            for place, (size, level) in enumerate(np.ndindex(len(self.ranges), len(IOU_LEVELS))):
                flags = _column(right, place)[_column(counted, place)]
                precision[level, :, column, size] = precision_at_recall(flags, int(objects[column, size]))
        return precision

    def _detections(self, classes: Sequence[int]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """For each class, `right` and `counted` of its detections in all images, by descending confidence."""
        names = ("scores", "classes", "right", "counted")
        scores, numbers, right, counted = (np.concatenate([getattr(p, name) for p in self.images]) for name in names)
        order = np.lexsort((-scores, numbers))  # stable
        numbers = numbers[order]
        for number in classes:
            rows = order[np.searchsorted(numbers, number) : np.searchsorted(numbers, number, "right")]
            yield right[rows], counted[rows]


def _packed(flags: Bools) -> NDArray[np.uint8]:
    """(n, A, T) -> (n, bytes)."""
    return np.packbits(flags.reshape(len(flags), flags.shape[1] * flags.shape[2]), axis=1)


def _column(packed: NDArray[np.uint8], place: int) -> Bools:
    """Bit `place` of each row."""
    return (packed[:, place // 8] >> (7 - place % 8) & 1).astype(bool)


def _rank_in_class(classes: NDArray) -> NDArray[np.int64]:
    """How many entries of the same class stand before each entry."""
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    rank = np.empty(len(classes), np.int64)
    rank[order] = np.arange(len(classes)) - np.searchsorted(ordered, ordered)
    return rank


def box_iou(boxes: Floats, targets: Floats) -> Floats:
    """(n, 4) and (m, 4) xyxy -> (n, m); empty boxes overlap with nothing."""
    low = np.maximum(boxes[:, None, :2], targets[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], targets[None, :, 2:])
    both = (high - low).clip(min=0).prod(2)
    sizes = [(rows[:, 2:] - rows[:, :2]).prod(1) for rows in (boxes, targets)]
    union = sizes[0][:, None] + sizes[1][None] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def match(iou: Floats, valid: Bools) -> tuple[Bools, Bools]:
    """Greedy matching of n detections, by descending confidence, with m objects, for A size ranges and T IoU levels at once.

    iou: (n, m), 0 between different classes; valid: (A, m), the objects of each range. Each detection takes the free
    object that it overlaps most, one of the range before any other; of equal ones the last. Returns two (n, A, T):
    took an object of the range, took one outside it.
    """
    shape = (len(valid), len(IOU_LEVELS))
    right, outside = (np.zeros((len(iou), *shape), bool) for _ in range(2))
    free = np.ones((*shape, iou.shape[1]), bool)
    for row in np.flatnonzero((iou >= IOU_LEVELS[0]).any(1)):
        near = np.flatnonzero(iou[row] >= IOU_LEVELS[0])
        near = near[np.argsort(iou[row, near], kind="stable")]  # k objects, the best last
        reach = free[:, :, near] & (iou[row, near] >= IOU_LEVELS[:, None])  # (A, T, k)
        appeal = reach * (np.arange(1, len(near) + 1) + len(near) * valid[:, None, near])
        size, level = np.nonzero(reach.any(2))
        taken = near[appeal.argmax(2)[size, level]]
        free[size, level, taken] = False
        right[row, size, level] = valid[size, taken]
        outside[row, size, level] = ~valid[size, taken]
    return right, outside


def precision_at_recall(right: Bools, objects: int) -> Floats:
    """(101,) highest precision at recall 0, 0.01 ... 1 or more, of detections (n,), most confident first; -1 without objects."""
    if not objects:
        return np.full(len(RECALL_STEPS), -1.0)
    hits = right.cumsum()
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    place = np.searchsorted(hits / objects, RECALL_STEPS)
    return np.append(precision, 0.0)[np.minimum(place, len(precision))]
