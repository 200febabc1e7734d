"""VisDrone-DET, streets seen from drones, to the YOLO layout: one text file per image.

Source: Zhu et al., Vision Meets Drones: A Challenge (2018), github.com/VisDrone/VisDrone-Dataset, Task 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from data.convert.class_lists import VISDRONE
from data.convert.items import Box, Item
from data.convert.text_annotations import paired_items
from data.convert.writer import Summary, Writing, write_yolo
from utils.errors import UserError

FOLDERS = {"train": "DET-train", "val": "DET-val", "test": "DET-test-dev"}  # split -> end of the folder's name
CATEGORIES = ("ignored region", *VISDRONE, "others")  # by number
FORM = "left,top,width,height,score,category,truncation,occlusion"
LEFT_OUT = {"ignored region": "an ignored region", "others": "of the category others"}


def convert(source: Path, out: Path, **writing: Unpack[Writing]) -> Summary:
    """Convert the unpacked VisDrone2019-DET-train, -val and -test-dev, those that lie in `source`, or one of them.

    writing: see writer.write_yolo. Ignored regions, the category others and boxes of score 0 are skipped and counted.
    Raises UserError where nothing can be found or written.
    """
    summary = Summary()
    folders = _folders(source)
    if not folders:
        raise UserError(
            f"--source {source}: expected VisDrone2019-DET-train, -val or -test-dev in it, each with images and "
            "annotations. See docs/data/visdrone.md."
        )
    items: list[Item] = []
    for split, folder in folders.items():
        files = (folder / "annotations").glob("*.txt")
        items += paired_items(folder / "images", files, split, f"visdrone-{split}", _read, FORM, summary)
    return write_yolo(items, out, summary, "visdrone", **writing)


def _folders(source: Path) -> dict[str, Path]:
    """Split -> its folder: `source` itself, or inside it, as archives unpack with and without a folder around them."""
    places = [source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))] if source.is_dir() else []
    found = [place for place in places if (place / "images").is_dir() and (place / "annotations").is_dir()]
    of = {split: [place for place in found if place.resolve().name.endswith(end)] for split, end in FOLDERS.items()}
    return {split: folders[0] for split, folders in of.items() if folders}


def _read(row: str) -> Box | str:
    """The object of a row in px, or why it is none of the ten classes. Some rows end in a comma too many."""
    left, top, width, height, score, category = map(float, row.split(",")[:6])
    name = dict(enumerate(CATEGORIES)).get(int(category)) if category.is_integer() else None
    if name is None:
        raise ValueError
    if score == 0 and name not in LEFT_OUT:
        return "of score 0, not to be considered"
    return LEFT_OUT.get(name) or Box(name, left, top, left + width, top + height)
