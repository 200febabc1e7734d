"""DOTA 1.0, 1.5 and 2.0, oriented objects in large aerial images, to the YOLO layout, as upright boxes.

Source: Ding et al., Object Detection in Aerial Images: A Large-Scale Benchmark and Challenges (TPAMI 2021),
captain-whu.github.io/DOTA, "Annotation format".
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Unpack

from data.convert.items import Box, Item
from data.convert.text_annotations import paired_items
from data.convert.writer import Summary, Writing, write_yolo
from utils.errors import UserError

VERSIONS = ("1.0", "1.5", "2.0")
SPLITS = ("train", "val")  # the labels of the test parts are not published
HEADINGS = ("imagesource:", "gsd:")
FORM = "x1 y1 x2 y2 x3 y3 x4 y4 category difficult"


def convert(
    source: Path, out: Path, *, difficult: bool = False, version: str | None = None, **writing: Unpack[Writing]
) -> Summary:
    """Convert the unpacked parts train and val: `source`/SPLIT/images and `source`/SPLIT/labelTxt-vVERSION.

    difficult: keep objects marked so. version: left out, the one whose labels are there. writing: see
    writer.write_yolo; by default the 15, 16 or 18 classes of the version. Raises UserError where nothing can be found
    or written, or the version is open.
    """
    if version not in (None, *VERSIONS):
        raise UserError(f"--version {version}: expected one of {', '.join(VERSIONS)} for DOTA.")
    summary = Summary()
    version = version or _version(source)
    folders = {split: folder for split in SPLITS if (folder := _labels(source / split, version)) is not None}
    if not folders:
        raise UserError(
            f"--source {source}: expected train/labelTxt-v{version} in it, with a text file per image, and train/images. "
            "See docs/data/dota.md."
        )
    read = partial(_read, difficult=difficult)
    items: list[Item] = []
    for split, labels in folders.items():
        images, files = source / split / "images", labels.glob("*.txt")
        items += paired_items(images, files, split, f"dota-{split}", read, FORM, summary)
    return write_yolo(items, out, summary, f"dota-{version}", **writing)


def _version(source: Path) -> str:
    """The version whose labels are there; 1.0 where the folder's name does not say, as that version's does not."""
    found = [one for one in VERSIONS if any((source / split / f"labelTxt-v{one}").is_dir() for split in SPLITS)]
    if len(found) > 1:
        raise UserError(f"--source {source}: holds labels of the versions {', '.join(found)}. Choose with --version.")
    return found[0] if found else "1.0"


def _labels(folder: Path, version: str) -> Path | None:
    """The folder of a split's oriented labels: in a folder of its own (beside the upright ones), or bare."""
    outer = folder / f"labelTxt-v{version}"
    places = [outer / f"DOTA-v{version}_{folder.name}", outer / "labelTxt", outer, folder / "labelTxt"]
    return next((place for place in places if next(place.glob("*.txt"), None) is not None), None)


def _read(row: str, difficult: bool) -> Box | str | None:
    """The upright box around the object of a row, or why it is skipped; None for a heading."""
    if row.startswith(HEADINGS):
        return None
    words = row.split()
    corners, name = list(map(float, words[:8])), words[8]
    if len(words) > 9 and int(words[9]) and not difficult:
        return "marked difficult (--difficult keeps them)"
    if not all(map(math.isfinite, corners)):
        corners = 8 * [math.nan]  # counted later; the smallest of a list with one such number is any of them
    return Box(name, min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2]))
