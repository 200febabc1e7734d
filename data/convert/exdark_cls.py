"""ExDark and COCO as images to classify: day images of COCO to train on, ExDark's night images to test on, 12 classes.

A COCO image has many objects, so its class is a rule of ours, `image_class`. ExDark's own list names one class per image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.convert.class_lists import EXDARK, ClassTable
from data.convert.class_writer import ClassImage, write_class_folders
from data.convert.coco import crowd, read_items
from data.convert.exdark import LIST, find_listing, listed_images
from data.convert.items import Box
from data.convert.writer import Summary
from utils.errors import UserError

UNLABELED = "unlabeled"  # key and folder
NIGHT_SPLITS = {"1": UNLABELED, "2": "val", "3": "test"}  # ExDark's training part serves without its classes
DAY_SPLITS = {"train": "train", "val": "val_day"}
KEYS = {"train": "train", UNLABELED: UNLABELED, "val": "val", "val2": "val_day", "test": "test"}
CONDITIONS = {"val": "night", "val2": "day", "test": "night"}
LEAST = 0.05  # of the image: what the largest box of its class must take
OTHERS = 0.5  # of the area of its class: what no other class may exceed


def convert(source: Path, out: Path, *, link: str = "copy") -> Summary:
    """Convert an unpacked ExDark (images and imageclasslist.txt) or a COCO folder (annotations/instances_*.json).

    Run it for both, one after the other, with the same `out`. link: see class_writer. Raises UserError where `source` is neither.
    """
    summary = Summary(boxed=False)
    listing = find_listing(source)
    files = sorted(source.glob("annotations/instances_*.json"))
    if listing is not None:
        listed = listed_images(source, listing, summary, len(EXDARK))
        images = [
            ClassImage(image, NIGHT_SPLITS[split], "" if NIGHT_SPLITS[split] == UNLABELED else EXDARK[int(number) - 1])
            for image, _, number, split, _ in listed
        ]
    elif files:
        images = [image for file in files for image in _day_images(file, summary)]
    else:
        raise UserError(
            f"--source {source}: expected ExDark with {LIST}, or COCO with annotations/instances_*.json. See "
            "docs/tasks/classify.md."
        )
    return write_class_folders(images, out, summary, names=EXDARK, keys=KEYS, conditions=CONDITIONS, link=link)


def image_class(boxes: Iterable[Box], height: int, width: int) -> int | None:
    """The class of an image (height, width px) with these objects, or None where it has no clear one.

    It is the one of the 12 whose boxes take most area together. Its largest box takes at least 0.05 of the image, and no other
    of the 12 takes more than half of that area.
    """
    table = ClassTable("exdark", ())
    areas: dict[int, list[float]] = defaultdict(list)
    for box in boxes:
        number = table.number(box.name)
        if number is not None:
            areas[number].append(max(box.right - box.left, 0.0) * max(box.bottom - box.top, 0.0))
    ranked = sorted(areas, key=lambda number: -sum(areas[number]))
    if not ranked or max(areas[ranked[0]]) < LEAST * height * width:
        return None
    if len(ranked) > 1 and sum(areas[ranked[1]]) > OTHERS * sum(areas[ranked[0]]):
        return None
    return ranked[0]


def _day_images(file: Path, summary: Summary) -> Iterator[ClassImage]:
    """The images of a COCO annotation file that have a clear class."""
    subset = file.stem.removeprefix("instances_")  # train2017
    split = next((name for name in DAY_SPLITS if name in subset), None)
    if split is None:
        return
    home = file.parent.parent
    found = Summary()
    for item, _ in read_items(file, [home / "images" / subset, home / subset], split, subset, crowd, found):
        number = image_class(item.boxes, *item.size) if item.size else None
        if number is None:
            summary.dropped["COCO images without a clear class"] += 1
        else:
            yield ClassImage(item.image, DAY_SPLITS[split], EXDARK[number])
    summary.skipped += found.skipped
