"""Why average precision is lost: error types of detections, and what each of them costs.

Source: Bolya, Foley, Hays and Hoffman, TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020),
section 2. Where a detection meets several definitions, the first of `KINDS` that applies is taken, as in the paper's tool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from utils.metrics.bootstrap import average_precision
from utils.metrics.streaming_ap import box_iou

FOREGROUND, BACKGROUND = (
    0.5,
    0.1,
)  # IoU: from where on a detection hits, and up to where it has nothing to do with an object
MISSED = "missed"
KINDS = ("localisation", "classification", "duplicate", "background", "both")  # of detections that hit nothing
TYPES = (*KINDS, MISSED)
MOVED = ("localisation", "classification")  # mended by making them hits; the others by removing them

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Errors:
    """n detections and m objects of one image, or of many after `pooled`.

    kind: (n,) place in KINDS, -1 for a hit; label: (n,) the object that is hit, duplicated, or would be hit if the error
    were mended; -1 for none; scores: (n,) in [0, 1]; classes: (n,); target_classes: (m,); missed: (m,) no detection hits the
    object, nor would one if its localisation or class were right.
    """

    kind: Ints
    label: Ints
    scores: Floats
    classes: Ints
    target_classes: Ints
    missed: Bools

    def counts(self, found: Bools | None = None, objects: Bools | None = None) -> dict[str, int]:
        """How many of each of TYPES, among some of the detections and objects."""
        kinds = self.kind if found is None else self.kind[found]
        missed = self.missed if objects is None else self.missed[objects]
        return {name: int((kinds == place).sum()) for place, name in enumerate(KINDS)} | {MISSED: int(missed.sum())}


def classify(
    boxes: NDArray, scores: NDArray, classes: NDArray, targets: NDArray, target_classes: NDArray, hit: Bools
) -> Errors:
    """The errors of one image. boxes (n, 4), targets (m, 4): xyxy in the same pixels; hit: (n,) true positives at IoU 0.5."""
    classes, target_classes = classes.astype(np.int64), target_classes.astype(np.int64)
    kind, label = np.full(len(classes), KINDS.index("background")), np.full(len(classes), -1)
    if len(targets) and len(boxes):
        iou = box_iou(boxes.astype(float), targets.astype(float))  # (n, m)
        alike = classes[:, None] == target_classes  # (n, m)
        same, other = np.where(alike, iou, -1.0), np.where(alike, -1.0, iou)
        own, near = same.max(1), other.max(1)  # (n,)
        choices = {
            "localisation": (own >= BACKGROUND) & (own < FOREGROUND),
            "classification": near >= FOREGROUND,
            "duplicate": own >= FOREGROUND,
            "background": iou.max(1) < BACKGROUND,
            "both": np.ones(len(iou), bool),
        }
        kind = np.select(list(choices.values()), range(len(choices)))
        which = np.where(kind == KINDS.index("classification"), other.argmax(1), same.argmax(1))
        tied = np.isin(kind, [KINDS.index(name) for name in (*MOVED, "duplicate")]) | hit
        label = np.where(tied, np.where(hit, same.argmax(1), which), -1)
    kind = np.where(hit, -1, kind)
    moved = np.isin(kind, [-1, *(KINDS.index(name) for name in MOVED)])
    missed = ~np.isin(np.arange(len(target_classes)), label[moved])
    return Errors(kind, label, scores.astype(float), classes, target_classes, missed)


def pooled(images: Sequence[Errors]) -> Errors:
    """The errors of many images as one."""
    starts = np.cumsum([0, *(len(image.target_classes) for image in images)])[:-1]
    labels = [np.where(image.label >= 0, image.label + start, -1) for image, start in zip(images, starts, strict=True)]
    columns = {
        name: np.concatenate([np.empty(0, kind), *(getattr(image, name) for image in images)])
        for name, kind in (("kind", np.int64), ("scores", float), ("classes", np.int64))
    }
    columns |= {
        name: np.concatenate([np.empty(0, kind), *(getattr(image, name) for image in images)])
        for name, kind in (("target_classes", np.int64), ("missed", bool))
    }
    return Errors(label=np.concatenate([np.empty(0, np.int64), *labels]), **columns)


def costs(errors: Errors, found: Bools | None = None, objects: Bools | None = None) -> dict[str, float]:
    """By how much the mean AP at IoU 0.5 would rise if all errors of a type were mended, each type by itself.

    found (n,), objects (m,): the detections and objects of a subset; a mended detection belongs to the subset of the
    object that it then hits. Localisation and classification errors become hits, of several of one object the most
    confident, and the others disappear; duplicates, background errors and errors of both kinds disappear; missed
    objects need not be found. A class of which every object is missed then counts as 1. Zeros without objects. The AP is
    that of `bootstrap.average_precision`, so costs and mAP50 can be compared; it is 0.995 at most.
    """
    found = np.ones(len(errors.kind), bool) if found is None else found
    objects = np.ones(len(errors.target_classes), bool) if objects is None else objects
    classes = np.unique(errors.target_classes[objects])
    before = _mean_ap(errors, found, objects, classes)
    gains = {name: _mean_ap(*_mended(errors, name, found, objects), classes) - before for name in KINDS}
    return gains | {MISSED: _mean_ap(errors, found, objects & ~errors.missed, classes) - before}


def _mended(errors: Errors, name: str, found: Bools, objects: Bools) -> tuple[Errors, Bools, Bools]:
    """The same without the errors of one kind."""
    wrong = errors.kind == KINDS.index(name)
    if name not in MOVED:
        return errors, found & ~wrong, objects
    rivals = np.flatnonzero(wrong | (errors.kind == -1))  # of each object the most confident stays
    order = rivals[np.lexsort((-errors.scores[rivals], errors.label[rivals]))]
    first = np.append(True, errors.label[order][1:] != errors.label[order][:-1])[: len(order)]
    kept, lost = order[first], order[~first]
    kind, classes, found = errors.kind.copy(), errors.classes.copy(), found.copy()
    kind[kept], classes[kept] = -1, errors.target_classes[errors.label[kept]]
    changed = kept[wrong[kept]]
    found[changed] = objects[errors.label[changed]]
    found[lost] = False
    return replace(errors, kind=kind, classes=classes), found, objects


def _mean_ap(errors: Errors, found: Bools, objects: Bools, classes: Ints) -> float:
    """Mean AP at IoU 0.5 over `classes`; 1 for a class without an object left."""
    there = np.bincount(errors.target_classes[objects], minlength=int(classes.max(initial=0)) + 1)
    rows = np.flatnonzero(found)
    rows = rows[np.lexsort((-errors.scores[rows], errors.classes[rows]))]  # stable
    numbers, hit = errors.classes[rows], errors.kind[rows] == -1
    values = []
    for number in classes:
        mine = hit[np.searchsorted(numbers, number) : np.searchsorted(numbers, number, "right")]
        count = np.array([there[number]])
        values.append(float(average_precision(mine, np.ones((1, len(mine))), count)[0]) if count[0] else 1.0)
    return float(np.mean(values)) if values else 0.0
