"""COCO annotation files (instances_*.json) to the YOLO layout. Format: cocodataset.org, "Data format"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.convert.layout import Box, Item, Summary, inside, write_yolo
from utils.files import UserError


def convert(
    source: Path,
    out: Path,
    *,
    images: Path | None = None,
    classes: str = "exdark",
    link: str = "copy",
    difficult: bool = False,
    backgrounds: bool = False,
) -> Summary:
    """Convert a COCO folder (annotations/instances_*.json and the picture folders), or one JSON file.

    images: folder of the pictures where they are not in the usual place beside the annotations. difficult: keep
    objects marked `iscrowd`. The rest: see layout.write_yolo. Raises UserError where nothing can be found or written.
    """
    summary = Summary()
    files = [source] if source.is_file() else sorted(source.glob("annotations/instances_*.json"))
    if not files:
        raise UserError(f"--source {source}: expected annotations/instances_*.json in it, or one such file.")
    items = [item for file in files for item in _items(file, images, difficult, summary)]
    return write_yolo(items, out, summary, classes=classes, link=link, backgrounds=backgrounds)


def _items(file: Path, images: Path | None, difficult: bool, summary: Summary) -> Iterator[Item]:
    """The items of one annotation file."""
    content = _load(file)
    subset = file.stem.removeprefix("instances_")  # train2017
    split = next((name for name in ("train", "val", "test") if name in subset), "train")
    folders = (
        [images]
        if images
        else [base / name for base in _bases(file) for name in (f"images/{subset}", subset, "images")]
    )
    names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
    boxes: dict[Any, list[Box]] = {}
    for entry in content["annotations"]:
        if entry.get("iscrowd") and not difficult:
            summary.dropped["marked as crowd (--difficult keeps them)"] += 1
            continue
        boxes.setdefault(entry["image_id"], []).append(_box(names.get(entry["category_id"], ""), entry["bbox"]))
    for entry in content["images"]:
        try:
            picture = _find(folders, str(entry["file_name"]))
        except ValueError as problem:
            summary.skipped.append((file, str(problem)))
            continue
        size = (int(entry["height"]), int(entry["width"])) if {"height", "width"} <= entry.keys() else None
        yield Item(picture, split, f"coco-{subset}", tuple(boxes.get(entry["id"], ())), size)


def _load(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The content of an annotation file, its lists checked for the keys that are used."""
    needed = {
        "images": {"id", "file_name"},
        "annotations": {"image_id", "category_id", "bbox"},
        "categories": {"id", "name"},
    }
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{file}: cannot be read as JSON ({problem}).") from None
    for name, keys in needed.items():
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) and keys <= row.keys() for row in rows):
            raise UserError(f"{file}: expected COCO's {name!r}, a list with {', '.join(sorted(keys))} in each entry.")
    return dict(content)


def _bases(file: Path) -> list[Path]:
    """Where picture folders may lie: beside the folder of the annotations, or beside the file."""
    return [file.parent.parent, file.parent]


def _find(folders: list[Path], name: str) -> Path:
    """The picture in the first folder that has it, else in the first folder (and found missing later)."""
    places = [inside(folder, name) for folder in folders]
    return next((place for place in places if place.is_file()), places[0])


def _box(name: str, values: Any) -> Box:
    """A box from [left, top, width, height]; not-a-number, which is counted later, where it is no such list."""
    try:
        left, top, width, height = map(float, values)
    except (TypeError, ValueError):
        left = top = width = height = float("nan")
    return Box(name, left, top, left + width, top + height)
