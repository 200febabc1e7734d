"""Labels that a detector contradicts: objects without a label, labels of another class, labels where it sees nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.checks.findings import Finding, Place, counted
from data.checks.image_facts import ImageFacts
from data.checks.label_facts import LabelFacts
from data.checks.survey import Survey
from data.io.images import read_image
from engine.inference.factory import open_predictor
from engine.options.check import CheckOptions
from engine.options.detect import DetectOptions
from utils.errors import UserError
from utils.metrics.streaming_ap import box_iou
from utils.progress import progress

MOST = 50  # places of a finding, the most confident first
FAINT = 0.05  # confidence from which a detection still speaks for a label
SAME, APART = 0.7, 0.1  # IoU: one object; nothing in common
LARGE = 32.0  # px at imgsz: smaller objects are missed without being labelled wrongly
WEAK = 0.5  # fraction of the labelled objects: a detector that finds fewer says little
WORDS = {
    "contradicted-missing": ("object is detected where no label is", "objects are detected where no label is"),
    "contradicted-class": (
        "label is of another class than is detected",
        "labels are of another class than is detected",
    ),
    "contradicted-empty": ("label lies where nothing is detected", "labels lie where nothing is detected"),
}
_BATCH = 16
Boxes = NDArray[np.float64]  # (n, 6) x1 y1 x2 y2 in pixels, confidence, class


Detect = Callable[[Sequence[NDArray[np.uint8]]], Sequence[Any]]


class Claim(NamedTuple):
    """One contradiction: the kind of finding, how strong it is, and where."""

    kind: str
    strength: float
    place: Place


def contradictions(found: Survey, options: CheckOptions, imgsz: int) -> list[Finding]:
    """The contradicted labels of each split. Raises UserError for weights that cannot be used or know none of the classes."""
    predictor = open_detector(options, imgsz)
    known = common_classes(predictor.names, found.config.names)
    if not known:
        raise UserError(
            f"--weights {options.weights}: detects none of the classes of {found.config.file}. Give a detector of these classes."
        )
    findings: list[Finding] = []
    for split in found.labelled.values():
        images = [pair for pair in split.labelled if split.name != "extra"]
        claims: list[Claim] = []
        seen = objects = 0
        shown = progress(_detections(predictor, images), len(images), f"detecting in '{split.name}'")
        for (image, label), boxes in zip(images, shown, strict=True):
            kept = boxes[np.isin(boxes[:, 5], [*known])]
            kept[:, 5] = [known[int(number)] for number in kept[:, 5]]
            claims += claims_on(image, label, kept, {*known.values()}, options.conf_thres, imgsz, found.config.names)
            overlap = box_iou(kept[:, :4], corners(label, image))
            seen += int((overlap >= 0.5).any(0).sum()) if len(kept) else 0
            objects += int(np.isin(label.rows[:, 0], [*known.values()]).sum())
        findings += _findings(split.name, claims, seen / objects if objects else 1.0)
    return findings


def open_detector(options: CheckOptions, imgsz: int = 640) -> Any:
    """The detector of --weights. Raises UserError for a file that is missing or is no detector."""
    return open_predictor(
        DetectOptions(
            weights=options.weights,
            imgsz=(imgsz,),
            conf_thres=FAINT,
            trust=options.trust,
            device=options.device,
            max_det=300,
        )
    )


def common_classes(own: Mapping[int, str], names: Mapping[int, str]) -> dict[int, int]:
    """Class of the detector -> class of the data, by name; by number where no name agrees but there are equally many.

    >>> common_classes({0: "person", 2: "Car"}, {0: "car", 1: "van"})
    {2: 0}
    """
    numbers = {name.strip().lower(): number for number, name in names.items()}
    by_name = {number: numbers[name.strip().lower()] for number, name in own.items() if name.strip().lower() in numbers}
    return by_name or (dict(zip(own, names, strict=True)) if len(own) == len(names) else {})


def _detections(predictor: Detect, images: Sequence[tuple[ImageFacts, LabelFacts]]) -> Iterator[Boxes]:
    """What is detected in each image; nothing in one that cannot be read any more."""
    for start in range(0, len(images), _BATCH):
        pixels = [_pixels(image.path) for image, _ in images[start : start + _BATCH]]
        there = [image for image in pixels if image is not None]
        boxes = iter(predictor(there) if there else [])
        yield from (np.zeros((0, 6)) if image is None else next(boxes).double().numpy() for image in pixels)


def _pixels(path: Path) -> NDArray[np.uint8] | None:
    try:
        return read_image(path)
    except UserError:
        return None


def corners(label: LabelFacts, image: ImageFacts) -> Boxes:
    """The labelled boxes, (m, 4) x1 y1 x2 y2 in pixels."""
    height, width = image.shape
    centre, half = label.rows[:, 1:3], label.rows[:, 3:] / 2
    return np.concatenate([centre - half, centre + half], 1) * [width, height, width, height]


def claims_on(
    image: ImageFacts,
    label: LabelFacts,
    boxes: Boxes,
    known: set[int],
    confidence: float,
    imgsz: int,
    names: Mapping[int, str],
) -> Iterator[Claim]:
    """What the detections of one image hold against its labels.

    known: the classes that the detector knows; confidence: from which a detection speaks against a label.
    """
    truth, classes = corners(label, image), label.rows[:, 0].astype(int)
    overlap = box_iou(boxes[:, :4], truth)  # (n, m)
    for row, box in zip(overlap, boxes, strict=True):
        word, percent = f"{names[int(box[5])]}", f"confidence {box[4]:.2f}"
        if box[4] < confidence:
            continue
        if not len(row) or row.max() < APART:
            where = ", ".join(f"{value:.0f}" for value in box[:4])
            yield Claim(
                "contradicted-missing", float(box[4]), Place(image.path, None, f"{word} at {where} px, {percent}")
            )
            continue
        best = int(row.argmax())
        rival = overlap[:, best][boxes[:, 5] == classes[best]] >= 0.5
        defended = boxes[boxes[:, 5] == classes[best], 4][rival].max(initial=0.0)
        if row[best] >= SAME and classes[best] != box[5] and classes[best] in known and defended < box[4] / 2:
            note = f"{names[classes[best]]}, detected as {word}, {percent}"
            line = label.lines[best]
            yield Claim("contradicted-class", float(box[4] - defended), Place(label.file, line, note))
    sides = np.sqrt((truth[:, 2:] - truth[:, :2]).prod(1)) * imgsz / max(image.shape)
    empty = (overlap.max(0, initial=0.0) < APART) & (sides >= LARGE) & np.isin(classes, [*known])
    for place in np.flatnonzero(empty).tolist():
        note = f"{names[classes[place]]} of {sides[place]:.0f} px"
        yield Claim("contradicted-empty", float(sides[place]), Place(label.file, label.lines[place], note))


def _findings(split: str, claims: Sequence[Claim], recall: float) -> Iterator[Finding]:
    """One finding per kind, the strongest contradictions first."""
    doubt = f" (this detector finds {recall:.0%} of the labelled objects: its word counts for little)"
    for kind, words in WORDS.items():
        mine = sorted((claim for claim in claims if claim.kind == kind), key=lambda claim: -claim.strength)
        if mine:
            what = f"{split}: {counted(len(mine), *words)}{doubt if recall < WEAK else ''}"
            yield Finding(
                kind, split, what, [claim.place for claim in mine[:MOST]], {"labels": len(mine), "recall": recall}
            )
