"""CODaN's own folders, checked and brought into one place: SPLIT/CLASS/IMAGE.

Source: Lengyel et al., Zero-Shot Day-Night Domain Adaptation with a Physics Prior (ICCV 2021), and the set's page
github.com/Attila94/CODaN.
"""

from __future__ import annotations

import os
from pathlib import Path

from data.convert.class_writer import ClassImage, write_class_folders
from data.convert.writer import Summary
from utils.errors import UserError
from utils.files import list_images, refuse_disk

NAMES = ("Bicycle", "Car", "Motorbike", "Bus", "Boat", "Cat", "Dog", "Bottle", "Cup", "Chair")
SPLITS = ("train", "val", "test_day", "test_night")
KEYS = {"train": "train", "val": "val", "test": "test_night", "test2": "test_day"}
CONDITIONS = {"val": "day", "test": "night", "test2": "day"}
PAIRED, ENHANCED = "train_day2night", "test_night_zdce"  # WiiD's: darkened by CUT, and brightened by Zero-DCE
PAIRS = "train_night"  # where this project has darkened images


def convert(source: Path, out: Path, *, link: str = "copy") -> Summary:
    """Convert the unpacked archives train, val, test_day and test_night, each with a folder per class, anywhere below `source`.

    Of the copy that WiiD prepared, train_day2night becomes the paired images and test_night_zdce a test part of its own, the
    first where the plain one is missing. link: see class_writer.
    Raises UserError where the folders are missing or hold other classes.
    """
    home = _home(source)
    summary = Summary(boxed=False)
    names = {split: split for split in SPLITS} | {PAIRED: PAIRS, ENHANCED: ENHANCED}
    images = [image for folder, split in names.items() for image in _split(home / folder, split)]
    missing = [split for split in SPLITS if not (home / split).is_dir()]
    if missing:
        summary.notes.append(f"missing, and skipped: {', '.join(missing)}")
    enhanced = "test3" if (home / "test_night").is_dir() or (out / "test_night").is_dir() else "test"
    keys = {**KEYS, "pair": PAIRS, enhanced: ENHANCED}
    conditions = {**CONDITIONS, enhanced: "night-zdce"}
    return write_class_folders(images, out, summary, names=NAMES, keys=keys, conditions=conditions, link=link)


def _home(source: Path) -> Path:
    """The folder of the splits. Raises UserError where there is none."""
    refuse_disk(source)
    places = sorted(Path(here) for here, _, _ in os.walk(source))
    for place in places:
        if any((place / split / name).is_dir() for split in SPLITS for name in NAMES):
            return place
    raise UserError(
        f"--source {source}: expected CODaN's folders {', '.join(SPLITS)} in it, each with {NAMES[0]}/, {NAMES[1]}/, ... Unpack "
        "the archives of github.com/Attila94/CODaN there."
    )


def _split(folder: Path, split: str) -> list[ClassImage]:
    """The images of a split. Raises UserError for a folder that is no class of CODaN."""
    if not folder.is_dir():
        return []
    groups = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    wrong = [path.name for path in groups if path.name not in NAMES]
    if wrong:
        raise UserError(
            f"{folder}: {', '.join(wrong)} is not a class of CODaN, which has {', '.join(NAMES)}. Take it out."
        )
    return [ClassImage(image, split, group.name) for group in groups for image in list_images(group)]
