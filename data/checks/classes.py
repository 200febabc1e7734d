"""Findings about classes and objects: absent and rare classes, tiny objects, splits that are missing or too small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.checks.findings import Finding, counted
from data.checks.survey import Split, Survey

RARE_IMAGES = 10  # training images of a class, as LVIS calls rare
REPEATED_IMAGES = 36  # images of a class from which on it need not be repeated; see `repeat_threshold`
SMALL_SPLIT = 20  # images of val or test
TINY_SIDE, MANY_TINY = 12.0, 0.2  # px: hardly a cell of stride 8 lies inside; fraction of the objects
SMALL_SIDE, MANY_SMALL = 16.0, 0.5
_SHOWN = 12  # class names in a sentence


def class_findings(survey: Survey) -> Iterator[Finding]:
    """Splits first, then classes."""
    for needed in ("train", "val"):
        if needed not in survey.splits:
            yield Finding("split-missing", needed, f"there is no '{needed}' split")
    for split in survey.labelled.values():
        if split.role != "train" and len(split.usable) < SMALL_SPLIT:
            what = f"{split.name}: {counted(len(split.usable), 'image')}; differences will hardly show"
            yield Finding("split-small", split.name, what, (), {"images": len(split.usable)})
    yield from _absent(survey)
    yield from _rare(survey)


def objects_per_class(split: Split, classes: int) -> NDArray[np.int64]:
    """How many objects of each class a split has: (classes,)."""
    rows = [label.rows[:, 0] for _, label in split.labelled]
    return np.bincount(np.concatenate([np.zeros(0), *rows]).astype(int), minlength=classes)


def images_per_class(split: Split, classes: int) -> NDArray[np.int64]:
    """In how many images of a split each class occurs: (classes,)."""
    rows = [np.unique(label.rows[:, 0]) for _, label in split.labelled]
    return np.bincount(np.concatenate([np.zeros(0), *rows]).astype(int), minlength=classes)


def _absent(survey: Survey) -> Iterator[Finding]:
    """Classes without an object; of a split that is no training one only those that training has."""
    names = survey.config.names
    train = [objects_per_class(split, len(names)) for split in survey.labelled.values() if split.role == "train"]
    trained = np.sum(train, 0) > 0 if train else np.ones(len(names), bool)
    for split in survey.labelled.values():
        if split.name == "extra":
            continue
        here = objects_per_class(split, len(names)) > 0
        absent = np.flatnonzero(~trained if split.role == "train" else trained & ~here).tolist()
        if absent:
            listed = _listed([names[number] for number in absent])
            what = f"{split.name}: {counted(len(absent), 'class has', 'classes have')} no object: {listed}"
            yield Finding("class-absent", split.name, what, (), {"classes": len(absent)})


def _rare(survey: Survey) -> Iterator[Finding]:
    """Classes in a few training images."""
    train, names = survey.labelled.get("train"), survey.config.names
    if train is None:
        return
    images = images_per_class(train, len(names))
    rare = np.flatnonzero((images > 0) & (images < RARE_IMAGES)).tolist()
    if not rare:
        return
    threshold = repeat_threshold(len(train.usable))
    listed = _listed([f"{names[number]} ({images[number]})" for number in rare])
    what = f"{counted(len(rare), 'class', 'classes')} under {RARE_IMAGES} images in train: {listed}"
    yield Finding("class-rare", "train", what, (), {"classes": len(rare)}, {"threshold": f"{threshold:g}"})


def repeat_threshold(images: int) -> float:
    """A threshold of repeat factor sampling: classes in fewer than about 36 images are repeated; LVIS's 0.001 at the least.

    >>> repeat_threshold(360), repeat_threshold(100_000)
    (0.1, 0.001)
    """
    return float(f"{min(0.1, max(0.001, REPEATED_IMAGES / max(images, 1))):.1g}")


def _listed(words: list[str]) -> str:
    """The first words of a list, and how many there are besides."""
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(" ".join(word.split()) for word in words[:_SHOWN]) + more


def object_sides(split: Split, imgsz: int) -> list[NDArray[np.float64]]:
    """sqrt(area) of the objects of each image, px, once its longer side is imgsz."""
    return [
        np.sqrt(label.rows[:, 3:].prod(1) * image.shape[0] * image.shape[1]) * imgsz / max(image.shape)
        for image, label in split.labelled
    ]


def usual_imgsz(survey: Survey) -> int:
    """640 px, or the usual longer side of the training images where they are smaller: enlarging adds no detail."""
    split = survey.labelled.get("train") or next(iter(survey.labelled.values()))
    longer = float(np.median([max(image.shape) for image in split.usable]))
    return int(min(640, -(-longer // 32) * 32))


def size_findings(survey: Survey, imgsz: int) -> Iterator[Finding]:
    """Tiny objects, in the first labelled split that has many."""
    sides = {
        split.name: np.concatenate([np.zeros(0), *object_sides(split, imgsz)])
        for split in survey.labelled.values()
        if split.name != "extra"
    }
    for limit, many in ((TINY_SIDE, MANY_TINY), (SMALL_SIDE, MANY_SMALL)):
        for name, each in sides.items():
            below = float((each < limit).mean()) if len(each) else 0.0
            if below >= many:
                what = f"{below:.0%} of the objects of {name} are under {limit:g} px at {imgsz}"
                numbers = {"fraction": below, "side": limit, "imgsz": imgsz}
                yield Finding("tiny-objects", name, what, (), numbers)
                return
