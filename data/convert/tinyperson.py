"""TinyPerson, people at sea and on the shore from afar, to the YOLO layout. The annotations are COCO files with flags.

Source: Yu et al., Scale Match for Tiny Person Detection (WACV 2020), github.com/ucas-vg/TinyBenchmark, which describes
the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from data.convert.coco import Entry, read_items
from data.convert.items import Box, Item
from data.convert.writer import Summary, Writing, write_yolo
from utils.errors import UserError

ERASED = "erase_with_uncertain_dataset"  # the images again, what is not certainly a person painted over
FLAGS = ("ignore", "uncertain", "logo")
CORNER_FILES = ("corner/tiny_set_train_sw640_sh512.json", "corner/task/tiny_set_train_sw640_sh512_all.json")


def convert(source: Path, out: Path, *, corners: bool = False, **writing: Unpack[Writing]) -> Summary:
    """Convert the unpacked tiny_set: training images, erased ones where they are there, and test images.

    corners: cut the training images into the parts that the set's corner file names. writing: see writer.write_yolo;
    the classes are "tinyperson" (one class, person), or "sea_person,earth_person". Boxes with a flag of FLAGS are
    skipped and counted. Raises UserError where nothing can be found or written.
    """
    summary = Summary()
    erased = source / ERASED
    train = erased if (erased / "annotations").is_dir() else source
    files = [
        (_file(train, CORNER_FILES if corners else ("tiny_set_train.json",)), train / "train", "train"),
        (_file(source, ("tiny_set_test.json",)), source / "test", "test"),
    ]
    items = [item for file, images, split in files for item in _items(file, images, split, summary)]
    return write_yolo(items, out, summary, "tinyperson", **writing)


def _file(root: Path, names: tuple[str, ...]) -> Path:
    """The first of the annotation files that is there."""
    places = [root / "annotations" / name for name in names]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(
            f"{places[0]}: there is no such file. Give the unpacked tiny_set as --source, with annotations, train and "
            "test in it. See docs/data/tinyperson.md."
        )
    return found


def _items(file: Path, images: Path, split: str, summary: Summary) -> Iterator[Item]:
    """The items of an annotation file; of a corner file, one a part."""
    for item, entry in read_items(file, [images], split, f"tinyperson-{split}", _skip_reason, summary):
        if "corner" not in entry:
            yield item
            continue
        try:
            left, top, right, bottom = map(int, entry["corner"])
        except (TypeError, ValueError, OverflowError):
            summary.skipped.append((item.image, f"its corner {entry['corner']!r} is not left, top, right, bottom"))
            continue
        yield replace(item, crop=(left, top, right, bottom))


def _skip_reason(entry: Entry, _box: Box) -> str | None:
    """The first flag that an annotation bears."""
    return next((f"marked {flag}" for flag in FLAGS if entry.get(flag)), None)
