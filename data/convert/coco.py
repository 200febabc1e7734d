"""COCO annotation files (instances_*.json) to the YOLO layout. Format: cocodataset.org, "Data format"."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Unpack

from data.convert.duplicates import joined
from data.convert.items import Box, Item
from data.convert.split_folders import folder_split
from data.convert.unlabelled import reference_items
from data.convert.writer import LARGEST_SIDE, SPLITS, Summary, Writing, inside, write_yolo
from utils.errors import UserError

Entry = dict[str, Any]
ROBOFLOW = "_annotations.coco.json"  # one in the folder of each split
NEEDED = {
    "images": {"id", "file_name"},
    "annotations": {"image_id", "category_id", "bbox"},
    "categories": {"id", "name"},
}
SkipReason = Callable[[Entry, Box], str | None]  # why an annotation is skipped; None keeps it


def convert(
    source: Path, out: Path, *, images: Path | None = None, reference: Path | None = None, difficult: bool = False,
    **writing: Unpack[Writing],
) -> Summary:  # fmt: skip
    """Convert a COCO folder (annotations/instances_*.json and its images), a JSON file, or an export of Roboflow or CVAT.

    images: folder of the images where they are not in the usual place beside the annotations. reference: folder of
    unlabelled images for images/reference. difficult: keep objects marked `iscrowd`. writing: see writer.write_yolo; all
    classes by default. Raises UserError where nothing can be found or written.
    """
    summary = Summary()
    files = [source] if source.is_file() else annotation_files(source)
    if not files:
        raise UserError(
            f"--source {source}: expected COCO annotations in it, such as annotations/instances_val.json or "
            "train/_annotations.coco.json, or one such file."
        )
    skip_reason = keep_all if difficult else crowd
    rows: list[Item] = []
    classes: dict[Path, set[str]] = {}
    for file in files:
        content = load(file)
        classes[file] = {str(entry["name"]) for entry in content["categories"]}
        rows += _items(file, source, content, images, skip_reason, summary)
    if rows and not any(os.path.isfile(item.image) for item in rows):
        raise UserError(
            f"{files[0]}: none of the {len(rows)} images is there; the first is looked for at {rows[0].image}. "
            f"{'Check' if images else 'Name their folder:'} --images {images or 'DIR'}."
        )
    _note_classes(classes, summary)
    items = joined(rows, summary)
    if reference is not None:
        items += reference_items(reference, items, "coco", summary)
    return write_yolo(items, out, summary, listed=set().union(*classes.values()), **writing)


def annotation_files(source: Path) -> list[Path]:
    """COCO's own files of a folder; where it has none, those that are COCO by their content, up to two folders below."""
    usual = sorted(source.glob("annotations/instances_*.json"))
    others = sorted(path for depth in ("", "*/", "*/*/") for path in source.glob(f"{depth}*.json"))
    return usual or [path for path in others if _is_coco(path)]


def _is_coco(file: Path) -> bool:
    try:
        load(file)
    except UserError:
        return False
    return True


def read_items(
    file: Path,
    folders: Sequence[Path],
    split: str,
    group: str,
    skip_reason: SkipReason,
    summary: Summary,
    content: dict[str, list[Entry]] | None = None,
    names_of: Callable[[Entry], list[str]] | None = None,
) -> Iterator[tuple[Item, Entry]]:
    """Each image of a COCO file as an item, with its own entry of the file, which may hold more than COCO's keys.

    folders: where the images may lie; the first that has one counts. content: of the file, where it is loaded already.
    names_of: how an image may be called, the likeliest first. Annotations that `skip_reason` gives a reason against are
    counted in the summary, images whose name leads out of the folder, or whose size is none, are listed there. Raises
    UserError where the file is not in COCO's format.
    """
    content = load(file) if content is None else content
    names_of = names_of or _file_name
    boxes = _boxes_of(content, skip_reason, summary)
    for entry in content["images"]:
        try:
            image, size = _find(folders, names_of(entry)), _size_of(entry)
        except ValueError as problem:
            summary.skipped.append((file, str(problem)))
            continue
        yield Item(image, split, group, tuple(boxes.get(entry["id"], ())), size), entry


def _boxes_of(content: dict[str, list[Entry]], skip_reason: SkipReason, summary: Summary) -> dict[Any, list[Box]]:
    """The boxes of each image id; skipped annotations are counted, also those of unknown images and categories."""
    names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
    images = {entry["id"] for entry in content["images"]}
    boxes: dict[Any, list[Box]] = {}
    for entry in content["annotations"]:
        box = _box(names.get(entry["category_id"], ""), entry["bbox"])
        if entry["image_id"] not in images:
            reason: str | None = "of an image that is not in the file"
        else:
            reason = skip_reason(entry, box) or (None if box.name else "of an unknown category")
        if reason:
            summary.dropped[reason] += 1
        else:
            boxes.setdefault(entry["image_id"], []).append(box)
    return boxes


def _items(
    file: Path,
    source: Path,
    content: dict[str, list[Entry]],
    images: Path | None,
    skip_reason: SkipReason,
    summary: Summary,
) -> Iterator[Item]:
    """The items of one annotation file of `source`, or of the file that it is."""
    subset = file.stem.removeprefix("instances_").removesuffix(".coco")  # train2017, default, _annotations
    split = _split(file, source, subset)
    bases = [file.parent.parent, file.parent]  # beside the folder of the annotations, or beside the file
    usual = [base / name for base in bases for name in (f"images/{subset}", subset, "images")] + [file.parent]
    folders, names = ([images], _names_in(content)) if images else (usual, _file_name)
    pairs = read_items(file, folders, split, f"coco-{subset}", skip_reason, summary, content, names)
    return (item for item, _ in pairs)


def _split(file: Path, source: Path, subset: str) -> str:
    """The split that the file's name says, else a folder around it below `source`; train where none does.

    Where the file was named itself, or is Roboflow's, its own folder counts if it is called exactly as a split.
    """
    below = file.parent.relative_to(source).parts if source.is_dir() else ()
    said = (split for text in (subset, *reversed(below)) for split in SPLITS if split in text.lower())
    alone = source.is_file() or file.name == ROBOFLOW
    own = folder_split(file, file.parent.parent) if alone else None
    return next(said, own or "train")


def _file_name(entry: Entry) -> list[str]:
    return [str(entry["file_name"])]


def _names_in(content: dict[str, list[Entry]]) -> Callable[[Entry], list[str]]:
    """How an image may be called in a folder that the user names: as the file says, or without folders if that is unique."""
    last = Counter(_last(entry) for entry in content["images"])
    return lambda entry: [*_file_name(entry), *([_last(entry)] if last[_last(entry)] == 1 and _last(entry) else [])]


def _last(entry: Entry) -> str:
    return PurePosixPath(str(entry["file_name"]).replace("\\", "/")).name


def _note_classes(lists: Mapping[Path, set[str]], summary: Summary) -> None:
    """Say where the files of a set list different classes: numbers follow names, but one side may lack objects."""
    first, *others = lists
    for file in others:
        only = [", ".join(sorted(lists[a] - lists[b])) or "none" for a, b in ((first, file), (file, first))]
        if only != ["none", "none"]:
            summary.notes.append(
                f"{first} and {file} list different classes (only the first: {only[0]}; only the second: {only[1]}); classes are "
                "matched by name"
            )


def keep_all(_entry: Entry, _box: Box) -> None:
    """Leave nothing out."""


def crowd(entry: Entry, _box: Box) -> str | None:
    """Why a crowd is skipped."""
    return "marked as crowd (--difficult keeps them)" if entry.get("iscrowd") else None


def load(file: Path, needed: Mapping[str, set[str]] = NEEDED) -> dict[str, list[Entry]]:
    """The content of an annotation file without outlines. `needed`: its lists, and the keys that each entry must have.

    Raises UserError where it is not JSON, or a list or a key is missing.
    """
    try:
        content = json.loads(file.read_bytes(), object_hook=_without_outline)  # polygons are most of a file
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{file}: cannot be read as JSON ({problem}).") from None
    for name, keys in needed.items():
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(_has(row, keys) for row in rows):
            raise UserError(f"{file}: expected COCO's {name!r}, a list with {', '.join(sorted(keys))} in each entry.")
    return dict(content)


def _without_outline(entry: Entry) -> Entry:
    entry.pop("segmentation", None)
    return entry


def _has(row: Any, keys: set[str]) -> bool:
    """Whether an entry has the keys, and numbers or texts where they refer to another entry."""
    if not isinstance(row, dict) or not keys <= row.keys():
        return False
    return all(isinstance(row[key], (int, str)) for key in keys if key.endswith("id"))


def _size_of(entry: Entry) -> tuple[int, int] | None:
    """(height, width) as stated; None where it is not. Raises ValueError for more than any image has."""
    try:
        size = int(entry["height"]), int(entry["width"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if max(size) > LARGEST_SIDE:
        raise ValueError(f"the stated size of the image {entry['id']!r} is over {LARGEST_SIDE} px")
    return size


def _find(folders: Sequence[Path], names: Sequence[str]) -> Path:
    """The image, under its first name in the first folder that has it, else the first place (and found missing later).

    Raises ValueError for a name that leads out of the folder.
    """
    places = [inside(folder, name) for name in names for folder in folders]
    return next((place for place in places if os.path.isfile(place)), places[0])  # False for an impossible name


def _box(name: str, values: Any) -> Box:
    """A box from [left, top, width, height]; not-a-number, which is counted later, where it is no such list."""
    try:
        left, top, width, height = map(float, values)
    except (TypeError, ValueError, OverflowError):
        left = top = width = height = float("nan")
    return Box(name, left, top, left + width, top + height)
