"""AI-TOD and AI-TOD-v2, tiny objects in aerial images, to the YOLO layout. The annotations are COCO files.

Source: Wang et al., Tiny Object Detection in Aerial Images (ICPR 2020), github.com/jwwangchn/AI-TOD; version 2.0: Xu et
al., Detecting Tiny Objects in Aerial Images (ISPRS 2022), chasel-tsui.github.io/AI-TOD-v2.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Unpack

from data.convert.coco import Entry, read_items
from data.convert.items import Box, Item
from data.convert.writer import Summary, Writing, write_yolo
from utils.errors import UserError
from utils.files import files_below

# Subset -> its other names. AI-TOD's images lie in one folder a subset, trainval holding those of train and val again.
SUBSETS = {"train": ("training",), "val": ("validation",), "trainval": (), "test": ()}
PIXEL = 1 - 1e-6  # an edge plus a width of 1, minus the edge, need not be 1
FILES = {  # version -> names of its annotation files; small_ are RFLA's own copies
    "1.0": r"(aitod|small)_({subset})(_v1_[\d.]+)?\.json",
    "2.0": r"aitod_?v2_({subset})\.json|(aitod|small)_({subset})_v2_[\d.]+\.json",
}


def convert(
    source: Path, out: Path, *, images: Path | None = None, trainval: bool = False, version: str = "1.0",
    **writing: Unpack[Writing],
) -> Summary:  # fmt: skip
    """Convert a folder with the annotation files and the folders of images, both anywhere usual below `source`.

    images: folder that holds the folders of images, or the images. trainval: train on `trainval` and validate on
    `test`, as published results do. version: of the annotations, 1.0 or 2.0. writing: see writer.write_yolo. Raises
    UserError where nothing can be found or written.
    """
    if version not in FILES:
        raise UserError(f"--version {version}: expected one of {', '.join(FILES)} for AI-TOD.")
    summary = Summary()
    lists = {"train": "trainval", "val": "test"} if trainval else {name: name for name in ("train", "val", "test")}
    items: list[Item] = []
    for split, file in _files(source, version, lists).items():
        folders, group = _folders(images or source, lists[split]), f"aitod-{lists[split]}"
        items += (item for item, _ in read_items(file, folders, split, group, _skip_reason, summary))
    return write_yolo(items, out, summary, "aitod", **writing)


def _files(source: Path, version: str, lists: dict[str, str]) -> dict[str, Path]:
    """The annotation file of each split. Only a test or a validation file may be missing."""
    found = {split: _file(source, version, subset) for split, subset in lists.items()}
    if found["train"] is None:
        example = f"{'aitodv2' if version == '2.0' else 'aitod'}_{lists['train']}.json"
        whole = _file(source, version, "trainval") is not None
        advice = "That of trainval is: add --trainval to train on it." if whole else "See docs/data/aitod.md."
        raise UserError(
            f"--source {source}: the annotation file of {lists['train']} for version {version}, such as {example}, is "
            f"not in it. {advice}"
        )
    return {split: file for split, file in found.items() if file is not None}


def _file(source: Path, version: str, subset: str) -> Path | None:
    """The annotation file of a subset. Raises UserError where there are several."""
    names = re.compile(FILES[version].format(subset="|".join((subset, *SUBSETS[subset]))))
    found = [path for path in files_below(source, "*.json") if names.fullmatch(path.name)]
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1]}: both are annotations of {subset}. Move one of them away.")
    return found[0] if found else None


def _folders(root: Path, subset: str) -> list[Path]:
    """Where the images of a subset may lie. Those of train and val are also in trainval, and the other way round."""
    others = () if subset == "test" else ("trainval", "train", "val")
    names = dict.fromkeys((subset, *others))
    return [root / place for name in names for place in (f"images/{name}", f"{name}/images", name)] + [root]


def _skip_reason(entry: Entry, box: Box) -> str | None:
    """Why the reference leaves an annotation out: smaller than a pixel, or without area."""
    area, side = entry.get("area", 1), min(box.right - box.left, box.bottom - box.top)
    if side < PIXEL or (isinstance(area, int | float) and area <= 0):
        return "under 1 px wide or high, or without area"
    return None
