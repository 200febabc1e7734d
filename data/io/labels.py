"""Labels in the YOLO layout: which images are usable, which boxes belong to each. Nothing is written beside them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from data.io.images import MOST_PIXELS, in_threads, try_probe
from data.io.label_cache import LabelCache
from utils.disk.reading import read_text
from utils.errors import UserError
from utils.log import LOGGER

MANY_MISSING = 0.25  # fraction of a split's images without a label file from which on it is noted
MOST_BYTES = 1 << 25  # of a label file: about a million boxes
TOLERANCE = 0.01  # rounding of other tools: a coordinate of 1.003 is meant as 1


@dataclass
class Label:
    """The objects of one image. shape: (height, width) px as decoded; classes float32 (n, 1); boxes float32 (n, 4),

    xywh as fractions of the image, xy the centre.
    """

    image: Path
    shape: tuple[int, int]
    classes: np.ndarray
    boxes: np.ndarray


@dataclass
class Scan:
    """What a split holds: labels of the usable images, in order, and (image, reason) of the others."""

    labels: list[Label] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def fraction_below(labels: Sequence[Label], side: float, imgsz: int) -> float:
    """Fraction of the objects whose sqrt(area) is under `side` px once the longer side of each image is imgsz px."""
    sides = [
        np.sqrt(label.boxes[:, 2:].prod(1) * label.shape[0] * label.shape[1]) * imgsz / max(label.shape)
        for label in labels
    ]
    every = np.concatenate(sides) if sides else np.zeros(0)
    return float((every < side).mean()) if len(every) else 0.0


def scan(
    images: Sequence[Path],
    classes: int,
    *,
    cache: Path | None = None,
    what: str = "train",
    most_pixels: int = MOST_PIXELS,
) -> Scan:
    """Read the headers and labels of a split's images.

    `classes`: how many there are. `cache`: a file that spares the next scan unchanged images (never put there by
    itself). An unreadable or truncated image, or one of more than `most_pixels`, is listed in `skipped`; an image without a
    label file is background.
    Raises UserError for an empty split, no usable image, or a label that makes no sense, naming file and line.
    """
    if not images:
        raise UserError(f"the '{what}' split is empty. Put images in its folder or correct the data YAML.")
    known = LabelCache(cache, classes)
    work = partial(_read, classes=classes, known=known, most_pixels=most_pixels)
    result = Scan()
    for image, found in zip(images, in_threads(work, images, f"reading labels of '{what}'"), strict=True):
        if isinstance(found, str):
            result.skipped.append((image, found))
        else:
            shape, rows = found
            result.labels.append(Label(image, shape, rows[:, :1].copy(), rows[:, 1:].copy()))
            known.add(image, shape, rows)
    if not result.labels:
        image, reason = result.skipped[0]
        raise UserError(f"the '{what}' split has no usable image of {len(images)}; the first, {image}: {reason}.")
    known.save()
    return result


def unreadable(images: Sequence[Path], most_pixels: int = MOST_PIXELS) -> list[tuple[Path, str]]:
    """The images that cannot be used, each with the reason; for paired images, which have no labels of their own."""
    found = in_threads(partial(try_probe, most=most_pixels), images, "checking images")
    return [(image, result) for image, result in zip(images, found, strict=True) if isinstance(result, str)]


def _read(image: Path, classes: int, known: LabelCache, most_pixels: int) -> tuple[tuple[int, int], np.ndarray] | str:
    """(shape, rows of class and box) of one image, or the reason why it is unusable."""
    label = label_path(image)
    cached = known.get(image, label)
    if cached is not None:
        return cached
    shape = try_probe(image, most_pixels)
    return shape if isinstance(shape, str) else (shape, read_label(label, classes))


def unlabelled(labels: Sequence[Label], split: str) -> list[str]:
    """A line where no image of a split has a box, or many have no label file: those may be looked for in the wrong place.

    An empty label file says that an image shows nothing; a missing one may have been forgotten.
    """
    without = [label for label in labels if not len(label.boxes)]
    if not without:
        return []
    if len(without) == len(labels):
        file = label_path(labels[0].image)
        return [
            f"note: none of the {len(labels)} images of '{split}' has a label; the first one's is looked for at {file}"
        ]
    missing = [file for label in without if not os.path.isfile(file := label_path(label.image))]
    if len(missing) < MANY_MISSING * len(labels):
        return []
    return [
        f"note: {len(missing)} of the {len(labels)} images of '{split}' have no label file and count as background; the first "
        f"one's is looked for at {missing[0]}"
    ]


def label_path(image: Path) -> Path:
    """The label file of an image: the last folder named `images` becomes `labels`; else it lies beside the image.

    >>> label_path(Path("set/images/train/1.jpg")).as_posix()
    'set/labels/train/1.txt'
    """
    parts = list(image.with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts)


def read_label(path: Path, classes: int) -> np.ndarray:
    """Rows (class, x, y, w, h) of a label file as float32 (n, 5): no rows where the file is missing or empty.

    A row of more numbers is a polygon, read as its box. Repeated rows count once, boxes without area not at all.
    Raises UserError with file and line where a value is not a number or out of range.
    """
    try:
        lines = read_text(path, MOST_BYTES).splitlines()
    except FileNotFoundError:
        return np.zeros((0, 5), np.float32)
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: cannot be read as a label file ({problem}).") from None
    rows: dict[tuple[float, ...], None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows[parse_row(line.split(), classes)] = None
        except ValueError as problem:
            raise UserError(f"{path}:{number}: {problem}. Correct the line, or 'names' in the data YAML.") from None
    found = np.array(list(rows), np.float32).reshape(-1, 5)
    kept = found[found[:, 3] * found[:, 4] > 0]  # in float32, as what follows counts
    if len(kept) < len(rows):
        LOGGER.warning("%s: %d boxes without area are skipped", path, len(rows) - len(kept))
    return kept


def parse_row(words: Sequence[str], classes: int) -> tuple[float, float, float, float, float]:
    """(class, x, y, w, h) of one label row, a box or a polygon. Raises ValueError with the reason."""
    try:
        if "_" in (text := "".join(words)) or not text.isascii():  # Python reads 0_1 and the digits of every script
            raise ValueError
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{' '.join(words)[:60]!r} holds something that is not a number") from None
    if not all(map(math.isfinite, values)):
        raise ValueError("a value is not a finite number")
    if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
        raise ValueError(
            f"{len(values)} values; expected 'class x y width height', or a class and 3 or more x y points"
        )
    if values[0] != int(values[0]) or not 0 <= values[0] < classes:
        raise ValueError(f"class {values[0]:g} is out of range; there are {classes} classes, 0 to {classes - 1}")
    if min(values[1:]) < -TOLERANCE or max(values[1:]) > 1 + TOLERANCE:
        raise ValueError("a coordinate is outside 0 to 1; boxes are fractions of the image")
    number, *box = values
    if len(box) > 4:  # a polygon
        left, right, top, bottom = min(box[::2]), max(box[::2]), min(box[1::2]), max(box[1::2])
        box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    if min(box[2:]) < 0:
        raise ValueError("a width or height is negative")
    return number, box[0], box[1], box[2], box[3]
