"""Findings about single files: images that cannot be used or look wrong, label rows, label files that belong to no image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.checks.findings import Finding, Place, counted
from data.checks.image_facts import FORMATS, ImageFacts
from data.checks.survey import Split, Survey
from data.io.labels import label_path
from utils.files import IMAGE_SUFFIXES

UNIFORM = 1e-3  # contrast, a fraction of white: a quarter of a level
ROWS = {  # finding -> what is counted, in the singular and the plural
    "label-unreadable": ("label file cannot be read", "label files cannot be read"),
    "label-row": ("label row makes no sense", "label rows make no sense"),
    "label-class": ("label row has a class that 'names' lacks", "label rows have a class that 'names' lacks"),
    "label-range": ("label row is out of range", "label rows are out of range"),
    "label-no-area": ("box has no area and is skipped", "boxes have no area and are skipped"),
    "label-over-edge": ("box extends beyond its image", "boxes extend beyond their image"),
    "label-doubled": ("object is labelled twice", "objects are labelled twice"),
    "label-two-classes": ("box has two classes", "boxes have two classes"),
}
IMAGES = {
    "image-missing": ("listed image does not exist", "listed images do not exist"),
    "image-unreadable": ("image cannot be read", "images cannot be read"),
    "image-truncated": ("image is truncated", "images are truncated"),
    "image-format": ("image is of another format than its suffix", "images are of another format than their suffix"),
    "image-exif": ("image is turned by an EXIF mark", "images are turned by an EXIF mark"),
    "image-blank": ("image is uniform", "images are uniform"),
}
TURNS = {
    2: "mirrored", 3: "turned by 180 degrees", 4: "mirrored vertically", 5: "mirrored and turned", 6: "turned by 90 degrees",
    7: "mirrored and turned", 8: "turned by 270 degrees",
}  # fmt: skip


def file_findings(survey: Survey) -> Iterator[Finding]:
    """Everything that is wrong with single files, by split."""
    for split in survey.splits.values():
        yield from _gathered(split.name, IMAGES, map(_image_problems, split.images))
        yield from _gathered(split.name, ROWS, (label.wrong for label in split.labels))
        if split.labels:
            yield from _without_labels(split)
    yield from _orphans(survey)


def _gathered(
    split: str, kinds: dict[str, tuple[str, str]], problems: Iterable[dict[str, list[Place]]]
) -> Iterator[Finding]:
    """One finding per kind, with the places of all files."""
    found: dict[str, list[Place]] = {kind: [] for kind in kinds}
    for each in problems:
        for kind, places in each.items():
            found[kind] += places
    for kind, places in found.items():
        if places:
            yield Finding(kind, split, f"{split}: {counted(len(places), *kinds[kind])}", places)


def _image_problems(image: ImageFacts) -> dict[str, list[Place]]:
    """Kind of finding -> the place, of one image."""
    if not image.usable:
        return {image.kind: [Place(image.path, None, image.reason)]}
    found = {}
    if image.format not in FORMATS.get(image.path.suffix.lower(), (image.format,)):
        found["image-format"] = [Place(image.path, None, f"a {image.format} file")]
    if image.orientation in TURNS:
        found["image-exif"] = [Place(image.path, None, TURNS[image.orientation])]
    if image.measures.get("contrast", 1.0) < UNIFORM:
        found["image-blank"] = [Place(image.path)]
    return found


def _without_labels(split: Split) -> Iterator[Finding]:
    """Images without a label file; a split without any label is noted as such."""
    missing = [label.file for _, label in split.labelled if not label.found]
    if missing:
        count, of = len(missing), len(split.usable)
        what = f"{split.name}: {count} of {counted(of, 'image')} {'has' if count == 1 else 'have'} no label file"
        note = " and counts as background" if count == 1 else " and count as background"
        yield Finding("label-missing", split.name, what + note, [Place(file) for file in missing], {"missing": count})


def _orphans(survey: Survey) -> Iterator[Finding]:
    """Label files beside those that are used, whose image is nowhere: an image was lost or renamed."""
    known = {label.file for split in survey.splits.values() for label in split.labels}
    known |= {label_path(image.path) for split in survey.splits.values() for image in split.images}
    for split in survey.labelled.values():
        folders = {label.file.parent for label in split.labels if label.found}
        lost = sorted(file for folder in folders for file in _texts(folder) if file not in known)
        known.update(lost)
        stems = {folder: _stems(_image_folder(folder)) for folder in {file.parent for file in lost}}
        lost = [file for file in lost if file.stem not in stems[file.parent]]
        if lost:
            what = f"{split.name}: {counted(len(lost), 'label file')} without an image"
            yield Finding("label-orphan", split.name, what, [Place(file) for file in lost])


def _texts(folder: Path) -> list[Path]:
    """The files of a folder that look like labels: their first line begins with a number."""
    try:
        files = [Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".txt") and entry.is_file()]
    except OSError:
        return []
    return [file for file in files if not file.name.startswith(".") and _looks_like_labels(file)]


def _looks_like_labels(file: Path) -> bool:
    """Whether a text could be a label file, and not a list of images or class names."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            words = stream.readline(400).split()
    except (OSError, UnicodeDecodeError):
        return False
    return len(words) >= 5 and words[0].replace(".", "", 1).isdigit()


def _image_folder(labels: Path) -> Path:
    """The folder of the images that label files of this folder belong to, listed in a split or not."""
    parts = list(labels.parts)
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "labels":
            parts[place] = "images"
            break
    return Path(*parts)


def _stems(folder: Path) -> set[str]:
    """Names of the images of a folder, without their suffixes."""
    try:
        return {path.stem for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    except OSError:
        return set()
