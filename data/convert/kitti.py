"""KITTI's object detection benchmark (left colour images, label_2) to the YOLO layout.

Source: Geiger et al., Are We Ready for Autonomous Driving? The KITTI Vision Benchmark Suite (CVPR 2012); the format of
its label files: the benchmark's development kit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from data.convert.items import Box, Item
from data.convert.writer import Summary, Writing, write_yolo
from utils.errors import UserError
from utils.files import list_images, read_lines

HELD_OUT_SHARE = 5  # one image in five, where no lists say which


def convert(source: Path, out: Path, **writing: Unpack[Writing]) -> Summary:
    """Convert the labelled part, training/image_2 with training/label_2; the test part has no public labels.

    Splits come from ImageSets/train.txt and val.txt (numbers of images, the lists that papers pass on) where they
    are, else the last fifth by name is for validation. writing: see writer.write_yolo. Raises UserError where nothing
    can be found or written.
    """
    summary = Summary()
    home = next((place for place in (source / "training", source) if (place / "label_2").is_dir()), None)
    if home is None or not (home / "image_2").is_dir():
        raise UserError(f"--source {source}: expected training/image_2 and training/label_2. See docs/data/coco-d.md.")
    images = list_images(home / "image_2")
    splits = _splits(source, [image.stem for image in images], summary)
    items = []
    for image in images:
        try:
            boxes = tuple(_boxes(home / "label_2" / f"{image.stem}.txt", summary))
        except (OSError, ValueError) as problem:
            summary.skipped.append((image, f"its label file cannot be used ({problem})"))
            continue
        if image.stem in splits:
            items.append(Item(image, splits[image.stem], "kitti", boxes))
    return write_yolo(items, out, summary, "kitti", **writing)


def _splits(source: Path, stems: list[str], summary: Summary) -> dict[str, str]:
    """Name of an image -> train or val. Images that lists leave out are in neither."""
    lists = {split: source / "ImageSets" / f"{split}.txt" for split in ("train", "val")}
    if all(file.is_file() for file in lists.values()):
        return {stem: split for split, file in lists.items() for stem in " ".join(read_lines(file)).split()}
    count = len(stems) // HELD_OUT_SHARE
    summary.notes.append(f"no ImageSets/train.txt and val.txt: the last {count} images by name are for validation")
    return {stem: "train" if i < len(stems) - count else "val" for i, stem in enumerate(sorted(stems))}


def _boxes(file: Path, summary: Summary) -> Iterator[Box]:
    """Rows `type truncated occluded alpha left top right bottom ...`, px from 0. Areas marked DontCare are counted."""
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) < 8:
            raise ValueError(f"{line[:40]!r}: expected at least 8 values")
        if words[0] == "DontCare":
            summary.dropped["marked as DontCare"] += 1
        else:
            left, top, right, bottom = map(float, words[4:8])
            yield Box(words[0], left, top, right, bottom)
