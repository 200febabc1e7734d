"""The images that matter: the worst of a split, its most confident mistakes, and objects that only one detector finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.io.images import encode
from engine.evaluation.subsets import SplitResults
from engine.evaluation.writers import draw_judged, hits_and_misses
from engine.results import ImageResult
from utils.files import atomic_write
from utils.metrics.calibration import LOWEST
from utils.metrics.tide import KINDS, Errors, classify, pooled

QUALITY = 85  # of JPEG files
NAME_LENGTH = 80  # letters of an image's name in that of a file


@dataclass(frozen=True)
class Judged:
    """An image with its confident detections judged: how many hit, objects missed, false alarms. place: in its split."""

    place: int
    file: str
    hits: int
    missed: int
    false_alarms: int

    @property
    def mistakes(self) -> int:
        """Missed objects and false alarms."""
        return self.missed + self.false_alarms

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 for an image without objects and detections."""
        return 2 * self.hits / (2 * self.hits + self.mistakes) if self.hits + self.mistakes else 1.0

    def row(self) -> dict[str, Any]:
        """A row of images.csv."""
        return {
            "image": self.file, "objects": self.hits + self.missed, "hits": self.hits, "missed": self.missed,
            "false alarms": self.false_alarms, "F1": self.f1,
        }  # fmt: skip


def judge(split: SplitResults) -> list[Judged]:
    """Every image of a split."""
    counts = (map(len, hits_and_misses(result)) for result in split.results)
    return [
        Judged(place, result.file, *found)
        for place, (result, found) in enumerate(zip(split.results, counts, strict=True))
    ]


def worst(judged: Sequence[Judged], most: int) -> list[Judged]:
    """The images with the most mistakes, of equal ones those with the lower F1; none without a mistake."""
    wrong = (image for image in judged if image.mistakes)
    return sorted(wrong, key=lambda image: (-image.mistakes, image.f1, image.file))[:most]


class Mistake(NamedTuple):
    """A confident detection that hits nothing: its image's place in the split, error type, class, confidence, box (4,)."""

    place: int
    error: str
    number: int
    confidence: float
    box: np.ndarray


def most_confident(split: SplitResults, most: int) -> list[Mistake]:
    """The false alarms with the highest confidence; duplicates are left out: their object is found."""
    found = [
        Mistake(place, KINDS[kind], int(number), float(score), box)
        for place, (image, result) in enumerate(zip(split.each, split.results, strict=True))
        for kind, number, score, box in zip(image.kind, image.classes, image.scores, result.boxes, strict=True)
        if kind >= 0 and KINDS[kind] != "duplicate" and score >= LOWEST
    ]
    return sorted(found, key=lambda mistake: -mistake.confidence)[:most]


def confident(split: SplitResults) -> Errors:
    """The errors that remain when only detections of usable confidence count."""
    images = []
    for result, stats in zip(split.results, split.stats, strict=True):
        used = stats.conf >= LOWEST
        hit = stats.tp[used, 0].astype(bool)
        truth = (result.targets, stats.target_cls)
        images.append(classify(result.boxes[used], stats.conf[used], stats.pred_cls[used], *truth, hit))
    return pooled(images)


class Gained(NamedTuple):
    """Objects of one image, numbered, that one detector finds and the other misses."""

    place: int
    ours: np.ndarray
    theirs: np.ndarray


def only_one_finds(ours: Sequence[ImageResult], theirs: Sequence[ImageResult]) -> list[Gained]:
    """Images in which just one of two detectors finds an object (class, IoU 0.5, confidence 0.25), most such objects first.

    Both have the same images in the same order. Raises ValueError otherwise.
    """
    if [image.file for image in ours] != [image.file for image in theirs]:
        raise ValueError("the two were not measured on the same images")
    gained = []
    for place, pair in enumerate(zip(ours, theirs, strict=True)):
        seen, other = (found_objects(image) for image in pair)
        if (seen != other).any():
            gained.append(Gained(place, np.flatnonzero(seen & ~other), np.flatnonzero(other & ~seen)))
    return sorted(gained, key=lambda image: -len(image.ours) - len(image.theirs))


def found_objects(result: ImageResult) -> np.ndarray:
    """(m,) bool: which objects a confident detection hits."""
    missed = {tuple(row) for row in hits_and_misses(result)[1][:, [0, 1, 2, 3, 5]].tolist()}
    rows = np.column_stack((result.targets, result.target_classes)).tolist()
    return np.array([tuple(row) not in missed for row in rows], bool)


def save_worst(folder: Path, split: SplitResults, images: Sequence[Judged], names: Mapping[int, str]) -> None:
    """Write images with hits green, misses red and false alarms blue, numbered from the worst."""
    for number, image in enumerate(images, 1):
        drawn, _ = draw_judged(split.results[image.place], names)
        coded = encode(drawn, ".jpg", QUALITY)
        if coded is not None:
            atomic_write(folder / f"{number:03d}_{Path(image.file).stem[:NAME_LENGTH]}.jpg", coded)
