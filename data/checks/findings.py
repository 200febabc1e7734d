"""A finding: what is wrong, how bad it is, where. KINDS is the table of all that the checks can find."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SEVERITIES = ("error", "warning", "advice")  # wrong or refused by training; likely to cost accuracy; what would help


class Kind(NamedTuple):
    """One kind of finding: its severity (one of SEVERITIES) and what it means."""

    severity: str
    about: str


KINDS: dict[str, Kind] = {
    "image-missing": Kind("error", "a list names an image that does not exist"),
    "image-unreadable": Kind("error", "a file that is no image, is damaged, or cannot be opened"),
    "image-truncated": Kind("error", "the end of the file is missing"),
    "image-format": Kind("warning", "the content is of another format than the suffix says"),
    "image-exif": Kind("warning", "an EXIF mark turns or mirrors the image: boxes drawn without it are displaced"),
    "image-blank": Kind("warning", "every pixel has the same value"),
    "image-changed": Kind("warning", "the file changed or vanished while it was checked"),
    "label-unreadable": Kind("error", "the label file is no UTF-8 text or cannot be opened"),
    "label-row": Kind("error", "a row is not 'class x y width height' or a polygon in finite numbers"),
    "label-class": Kind("error", "a class number that 'names' does not have"),
    "label-range": Kind("error", "coordinates outside 0 to 1, or a negative size"),
    "label-no-area": Kind("warning", "a box without width or height"),
    "label-over-edge": Kind("warning", "a box that extends beyond the image by more than 1 % of its side"),
    "label-doubled": Kind("warning", "an object is labelled twice: one class, IoU of 0.9 or more"),
    "label-two-classes": Kind("warning", "one box has two classes: IoU of 0.95 or more"),
    "label-orphan": Kind("warning", "a label file without an image"),
    "label-missing": Kind("advice", "an image without a label file, which counts as background"),
    "duplicate": Kind("advice", "one split holds the same bytes twice"),
    "duplicate-conflict": Kind("warning", "copies of one image have different labels"),
    "near-duplicate": Kind("advice", "one split holds an image twice: encoded anew, resized, or frames of one scene"),
    "leak": Kind("error", "an image is trained on and evaluated on, or chooses the epoch and tests it"),
    "near-leak": Kind("warning", "an image and an almost equal one are in splits that must be independent"),
    "pair-missing": Kind("error", "an image without a paired image, or with two"),
    "pair-size": Kind("error", "an image and its paired image differ in size"),
    "pair-content": Kind("warning", "an image and its paired image show different scenes"),
    "split-missing": Kind("warning", "there is no 'train' or no 'val' split"),
    "split-small": Kind("advice", "too few images to measure a difference"),
    "class-absent": Kind("warning", "a class of 'names' has no object in a split"),
    "class-rare": Kind("advice", "classes in fewer than 10 training images"),
    "tiny-objects": Kind("advice", "many objects are smaller than a cell of the finest level"),
    "shift-dark": Kind("advice", "a split is darker than train"),
    "shift-bright": Kind("advice", "a split is brighter than train"),
    "shift-haze": Kind("advice", "a split is hazier than train"),
    "shift-clear": Kind("advice", "a split is less hazy than train"),
    "shift-blur": Kind("advice", "a split is more blurred than train"),
    "shift-sharp": Kind("advice", "a split is sharper than train"),
    "shift-noise": Kind("advice", "a split is noisier than train"),
    "shift-clean": Kind("advice", "a split is less noisy than train"),
    "shift-cast": Kind("advice", "a split has a stronger colour cast than train"),
    "shift-low-resolution": Kind("advice", "the images of a split are smaller than those of train"),
    "shift-high-resolution": Kind("advice", "the images of a split are larger than those of train"),
    "shift-small-objects": Kind("advice", "the objects of a split are smaller than those of train"),
    "shift-large-objects": Kind("advice", "the objects of a split are larger than those of train"),
    "contradicted-missing": Kind("advice", "the detector of --weights is confident where no label is"),
    "contradicted-class": Kind("advice", "it detects another class than the label says"),
    "contradicted-empty": Kind("advice", "a label of 32 px or more where it detects nothing, even faintly"),
}


class Place(NamedTuple):
    """Where: a file, its line if it has lines, and what is there."""

    file: Path
    line: int | None = None
    note: str = ""

    def __str__(self) -> str:
        where = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.note}" if self.note else where


@dataclass(frozen=True)
class Finding:
    """One fault or one piece of advice.

    kind: a key of KINDS; split: the split that it is about; what: a sentence without a full stop; places: the files;
    numbers: what was measured, for programs; fields: texts that the answers of engine/diagnosis insert, by name.
    """

    kind: str
    split: str
    what: str
    places: Sequence[Place] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        """One of SEVERITIES."""
        return KINDS[self.kind].severity

    @property
    def gist(self) -> str:
        """What was found, without names and measured values.

        >>> Finding("class-rare", "train", "2 classes under 10 images in train: cat (1), dog (2)").gist
        '2 classes under 10 images in train'
        """
        return re.split(r" \(medians|: (?!.*: )", self.what, maxsplit=1)[0]


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun.

    >>> counted(1, "image"), counted(2, "box", "boxes")
    ('1 image', '2 boxes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
