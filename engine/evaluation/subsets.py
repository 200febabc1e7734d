"""`--by`: a split in parts, by what its images are like, by its objects, and by any column of attributes.csv.

Every object and every detection belongs to exactly one part, so that the parts add up to the split. A detection belongs to
the part of the object that it hits or duplicates (IoU 0.5, its class), else to that of its own box.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.config import DataConfig
from data.io.attributes import Attributes, find_attributes, read_attributes
from data.io.image_measures import MEASURES, Floats, measure_images
from engine.evaluation.class_frequency import lvis_labels
from engine.evaluation.session import EvalSession
from engine.results import DetectionStats, ImageResult
from utils.errors import UserError, suggestion
from utils.log import LOGGER
from utils.metrics import FREQUENCIES
from utils.metrics.subsets import UNKNOWN, Groups, by_value, equal_parts, ranges
from utils.metrics.tide import KINDS, Errors, classify, pooled

WHOLE = "all"  # in place of names: no parts, the split alone
CACHE = Path(".cache/image-measures.npz")  # below --project
SIZES = (
    "very tiny, under 8 px",
    "tiny, 8 to 16 px",
    "small, 16 to 32 px",
    "medium, 32 to 96 px",
    "large, 96 px and more",
)
SIZE_EDGES = (8, 16, 32, 96)  # px, square root of the area in the original image: AI-TOD's limits and COCO's
CROWDS = ("no object", "1 object", "2 to 5", "6 to 10", "11 to 20", "over 20")
CROWD_EDGES = (1, 2, 6, 11, 21)
POSITIONS = ("centre", "between", "at the edge")
MARGIN = 0.01  # fraction of a side: a box nearer to it touches the edge
BRIGHTNESS = "brightness"  # another name of `light`, also where attributes.csv has a column of that name
CROSS = re.compile(r"\s+x\s+|\s*[×*]\s*")


@dataclass(frozen=True)
class Partition:
    """The parts of a split: of each detection (N,) and object (M,), and of each image (I,) where images are what is parted."""

    by: str
    found: Groups
    objects: Groups
    images: Groups | None = None

    def crossed(self, other: Partition) -> Partition:
        """Every pair of parts."""
        both = self.images.crossed(other.images) if self.images and other.images else None
        pairs = (self.found.crossed(other.found), self.objects.crossed(other.objects))
        return Partition(f"{self.by} x {other.by}", *pairs, both)


class SplitResults:
    """The images of a split, in the data set's order, with what was detected; it is called with each (`listeners`)."""

    def __init__(self) -> None:
        self.results: list[ImageResult] = []
        self.stats: tuple[DetectionStats, ...] = ()

    def __call__(self, result: ImageResult) -> None:
        """Add one image."""
        self.results.append(result)

    @cached_property
    def each(self) -> list[Errors]:
        """The errors of each image."""
        pairs = zip(self.results, self.stats, strict=True)
        return [
            classify(r.boxes, s.conf, s.pred_cls, r.targets, s.target_cls, s.tp[:, 0].astype(bool)) for r, s in pairs
        ]

    @cached_property
    def errors(self) -> Errors:
        """The errors of all images: N detections and M objects."""
        return pooled(self.each)

    @cached_property
    def image_of_found(self) -> NDArray[np.int64]:
        """(N,) the image of each detection."""
        return np.repeat(np.arange(len(self.stats)), [len(image.conf) for image in self.stats])

    @cached_property
    def image_of_objects(self) -> NDArray[np.int64]:
        """(M,) the image of each object."""
        return np.repeat(np.arange(len(self.stats)), [len(image.target_cls) for image in self.stats])

    @property
    def files(self) -> list[Path]:
        """The image files."""
        return [Path(result.file) for result in self.results]

    def by_image(self, by: str, images: Groups) -> Partition:
        """Parts of images."""
        return Partition(by, images.take(self.image_of_found), images.take(self.image_of_objects), images)

    def by_object(self, by: str, group: Callable[[NDArray, NDArray, NDArray], Groups]) -> Partition:
        """Parts of objects. group: boxes (k, 4) px, classes (k,), shapes (k, 2) of their images -> groups."""
        shapes = np.array([result.shape for result in self.results]).reshape(-1, 2)
        targets = np.concatenate([np.zeros((0, 4)), *(result.targets for result in self.results)])
        objects = group(targets, self.errors.target_classes, shapes[self.image_of_objects])
        boxes = np.concatenate([np.zeros((0, 4)), *(result.boxes for result in self.results)])
        own = group(boxes, self.errors.classes, shapes[self.image_of_found]).of
        tied = np.isin(self.errors.kind, (-1, KINDS.index("duplicate"))) & (self.errors.label >= 0)
        own = np.where(tied, objects.of[np.where(tied, self.errors.label, 0)] if len(objects.of) else own, own)
        return Partition(by, Groups(objects.names, own), objects)


def by_size(boxes: NDArray, classes: NDArray, shapes: NDArray) -> Groups:
    """Groups of boxes (k, 4) by the square root of their area in px of the original image."""
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).astype(float).round(2).prod(1))
    return ranges(sides, SIZE_EDGES, SIZES)


def by_position(boxes: NDArray, classes: NDArray, shapes: NDArray) -> Groups:
    """Groups of boxes (k, 4): centred in the middle third of both sides, touching an edge of the image, or between."""
    sides = shapes[:, ::-1].astype(float)  # (k, 2) width, height
    low, high = boxes[:, :2] / sides, boxes[:, 2:] / sides
    edge = (low.min(1) < MARGIN) | (high.max(1) > 1 - MARGIN)
    centre = (np.abs((low + high) / 2 - 0.5) <= 1 / 6).all(1)
    return Groups(POSITIONS, np.where(edge, 2, np.where(centre, 0, 1)))


def by_crowding(split: SplitResults) -> Groups:
    """Images by their number of objects."""
    return ranges(np.array([len(image.target_cls) for image in split.stats]), CROWD_EDGES, CROWDS)


def asked_for(text: str) -> list[list[str]]:
    """`light x size, blur` -> [["light", "size"], ["blur"]], none twice; nothing for `all`. Raises UserError for no name."""
    terms = [CROSS.split(term.strip()) for term in text.split(",") if term.strip()]
    if not terms:
        raise UserError(f"--by: no name given; expected {', '.join(NAMES)}, a column of attributes.csv, or {WHOLE}.")
    kept = {tuple(names): names for names in terms if names != [WHOLE]}
    return list(kept.values())


NAMES = (*MEASURES, "size", "crowding", "frequency", "position")


def attributes_of(config: DataConfig, images: Sequence[Path]) -> Attributes:
    """The attributes of images; no columns where there is no file."""
    file = find_attributes(config.root, config.file)
    return read_attributes(file, config.root, images) if file else Attributes(config.root / "attributes.csv", {})


def check_names(asked: Sequence[Sequence[str]], config: DataConfig) -> None:
    """Raise UserError for a name that is neither known nor a column of attributes.csv."""
    attributes = attributes_of(config, [])
    columns = [*attributes.columns]
    wrong = next((name for names in asked for name in names if name not in (*columns, *NAMES, BRIGHTNESS)), None)
    if wrong is not None:
        also = f"{attributes.file} has: {', '.join(columns)}" if columns else f"there is no {attributes.file}"
        raise UserError(
            f"--by {wrong}: there is no such measure or column.{suggestion(wrong, [*NAMES, *columns])} Expected "
            f"{', '.join(NAMES)}, or a column of attributes.csv ({also})."
        )


@dataclass
class Partitioner:
    """Makes the parts that `--by` asks for, of each split of a session."""

    session: EvalSession
    asked: Sequence[Sequence[str]]
    _letters: tuple[str, ...] = ()
    _told: set[str] | None = None

    def check(self) -> None:
        """Raise UserError, before hours are spent, as `check_names` does."""
        check_names(self.asked, self.session.config)

    def of(self, split: SplitResults) -> list[Partition]:
        """The parts of a split, in the order asked for."""
        attributes = attributes_of(self.session.config, split.files)
        single = {name: self._one(name, split, attributes) for names in self.asked for name in dict.fromkeys(names)}
        self._tell(attributes.notes)
        return [crossed([single[name] for name in names]) for names in self.asked]

    def _tell(self, notes: Sequence[str]) -> None:
        """Notes, each once."""
        self._told = self._told or set()
        for note in dict.fromkeys(note for note in notes if note not in self._told):
            LOGGER.info(note)
            self._told.add(note)

    def _one(self, name: str, split: SplitResults, attributes: Attributes) -> Partition:
        """The parts by one name; a column of attributes.csv before anything else of that name."""
        if name in attributes.columns:
            return split.by_image(name, of_column(attributes, name))
        if name == "crowding":
            return split.by_image(name, by_crowding(split))
        if name in OF_OBJECTS:
            return split.by_object(name, OF_OBJECTS[name])
        if name == "frequency":
            return split.by_object(name, self._by_frequency)
        kind = "light" if name == BRIGHTNESS else name
        values = self.measures(split)[:, list(MEASURES).index(kind)]
        return split.by_image(name, equal_parts(values, MEASURES[kind].low, MEASURES[kind].high))

    @property
    def measured(self) -> list[str]:
        """The image measures that are asked for."""
        names = ["light" if name == BRIGHTNESS else name for names in self.asked for name in names]
        return [name for name in dict.fromkeys(names) if name in MEASURES]

    def measures(self, split: SplitResults) -> Floats:
        """The measures of a split's images: (images, measures)."""
        return measure_images(split.files, self.session.options.project / CACHE)

    def _by_frequency(self, boxes: NDArray, classes: NDArray, shapes: NDArray) -> Groups:
        """Groups of classes (k,) by the number of training images that have them."""
        if not self._letters:
            lvis = self.session.lvis or lvis_labels(self.session.config, asked="--by frequency")
            self._letters = lvis.frequency
        names = (*FREQUENCIES.values(), UNKNOWN)
        numbers = np.array([[*FREQUENCIES, ""].index(letter) for letter in self._letters], np.int64)
        return without_empty(Groups(names, numbers[classes]), numbers)


OF_OBJECTS: Mapping[str, Callable[[NDArray, NDArray, NDArray], Groups]] = {"size": by_size, "position": by_position}


def without_empty(groups: Groups, known: NDArray[np.int64]) -> Groups:
    """The groups without a last one for what is unknown where nothing is."""
    return groups if len(groups.names) - 1 in known else replace(groups, names=groups.names[:-1])


def of_column(attributes: Attributes, column: str) -> Groups:
    """The parts by a column: fifths of numbers, or one part per text."""
    values = attributes.numbers(column)
    return by_value(attributes.columns[column]) if values is None else equal_parts(values, "low", "high")


def crossed(partitions: Sequence[Partition]) -> Partition:
    """One partition of several, at least one."""
    first, *rest = partitions
    for other in rest:
        first = first.crossed(other)
    return first
