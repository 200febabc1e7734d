"""COCO annotation files for images that were resized: read with checks, scaled as floats, never floored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data.convert.coco import crowd, read_items
from data.convert.items import Box, Item
from data.convert.writer import Summary, size_mismatch
from utils.errors import UserError

Entry = dict[str, Any]
_EXPECTED = {
    "category_id": "the id of one of its categories",
    "area": "a number",
    "keypoints": "a list of numbers",
    "segmentation": "lists of numbers, or a mask",
}  # of an annotation
_MOST = 1e15  # px; also finite


class ResizedImage(NamedTuple):
    """An image that was made: its new name, and (height, width) px before and after."""

    file: str
    before: tuple[int, int]
    after: tuple[int, int]


class CocoSet:
    """An annotation file and the images it names, which lie in `folder`.

    images: file name as stated -> its path. Raises UserError where the file is not COCO's, an entry holds what could
    not be scaled or is of no category, or a name leads out of the folder.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        summary = Summary()
        found = list(read_items(file, [folder], "", "", partial(_skip_reason, file=file), summary))
        if summary.skipped:
            raise UserError(f"{file}: {summary.skipped[0][1]}. Correct the file; nothing was written.")
        self.content: dict[str, Any] = json.loads(file.read_bytes())
        categories = _by_id(file, self.content["categories"])
        _check(file, self.content["annotations"], {category["id"] for category in categories})
        self.names = [str(category["name"]) for category in categories]
        self._items: dict[str, Item] = {str(entry["file_name"]): item for item, entry in found}
        self.images = {name: item.image for name, item in self._items.items()}

    def reason_against(self, name: str, found: tuple[int, int]) -> str:
        """Why the entries do not fit an image of (height, width) px, such as one turned by an EXIF mark; "" if they do."""
        return size_mismatch(self._items[name].annotated(found), found)

    def label_text(self, name: str, shape: tuple[int, int]) -> str:
        """YOLO's rows of an image, classes numbered in the order of COCO's ids, crowds left out.

        shape: (height, width) px of the image, which counts where the file states none.
        """
        height, width = self._items[name].annotated(shape)
        rows = []
        for box in self._items[name].boxes:
            left, right = (min(max(x / width, 0.0), 1.0) for x in (box.left, box.right))
            top, bottom = (min(max(y / height, 0.0), 1.0) for y in (box.top, box.bottom))
            if right > left and bottom > top:
                values = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
                rows.append(f"{self.names.index(box.name)} {' '.join(f'{v:.6f}' for v in values)}\n")
        return "".join(rows)

    def scaled(self, made: Mapping[str, ResizedImage], scale_area: bool = False) -> tuple[dict[str, Any], int]:
        """The annotations of the images that were made, and how many masks (RLE, which cannot be scaled) are dropped.

        `made`: by file name as stated; those that `reason_against` objects to are skipped. Boxes, polygons and
        keypoints are scaled as floats by the sizes before and after; `area` only if asked for, as AERIS's own file seems
        to keep it.
        """
        images, factors = [], {}
        for image in self.content["images"]:
            name = str(image["file_name"])
            one = made.get(name)
            if one is not None and not self.reason_against(name, one.before):
                stated = self._items[name].annotated(one.before)
                factors[image["id"]] = (one.after[1] / stated[1], one.after[0] / stated[0])
                images.append({**image, "file_name": one.file, "height": one.after[0], "width": one.after[1]})
        kept = [entry for entry in self.content["annotations"] if entry["image_id"] in factors]
        scaled = [_scaled(entry, *factors[entry["image_id"]], scale_area) for entry in kept]
        masks = sum("segmentation" in old and "segmentation" not in new for old, new in zip(kept, scaled, strict=True))
        return {**self.content, "images": images, "annotations": scaled}, masks


def _skip_reason(entry: Entry, box: Box, file: Path) -> str | None:
    """Crowds are left out of label files; a box that is not four numbers is the user's to correct."""
    if not all(map(math.isfinite, (box.left, box.top, box.right, box.bottom))):
        raise UserError(
            f"{file}: the annotation {entry.get('id')} of image {entry['image_id']} has the bbox "
            f"{str(entry['bbox'])[:60]}; expected [left, top, width, height]. Correct it; nothing was written."
        )
    return crowd(entry, box)


def _by_id(file: Path, categories: Sequence[Entry]) -> list[Entry]:
    """The categories in the order of their ids. Raises UserError where numbers and texts are mixed: they have none."""
    texts = [one["id"] for one in categories if isinstance(one["id"], str)]
    if 0 < len(texts) < len(categories):
        raise UserError(
            f"{file}: the category id {texts[0]!r} is text, others are numbers; expected numbers. Correct the file; "
            "nothing was written."
        )
    return sorted(categories, key=lambda category: category["id"])


def _check(file: Path, annotations: Sequence[Entry], known: set[Any]) -> None:
    """Raises UserError for the first annotation that could not be numbered or scaled."""
    for entry in annotations:
        area, points, outline = (entry.get(key) for key in ("area", "keypoints", "segmentation"))
        wrong = {
            "category_id": entry["category_id"] not in known,
            "area": area is not None and not _numbers([area]),
            "keypoints": points is not None and not _numbers(points),
            "segmentation": isinstance(outline, list) and not all(map(_numbers, outline)),
        }
        key = next((key for key, is_wrong in wrong.items() if is_wrong), None)
        if key:
            raise UserError(
                f"{file}: the annotation {entry.get('id')} of image {entry['image_id']} has the {key} "
                f"{str(entry[key])[:60]!r}; expected {_EXPECTED[key]}. Correct it; nothing was written."
            )


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, (int, float)) and abs(one) < _MOST for one in values)


def _scaled(entry: Entry, x: float, y: float, scale_area: bool) -> Entry:
    """One annotation, its lengths times x and y."""
    left, top, width, height = map(float, entry["bbox"])
    new = {**entry, "bbox": [left * x, top * y, width * x, height * y]}
    if scale_area and entry.get("area") is not None:
        new["area"] = float(entry["area"]) * x * y
    if "segmentation" in entry:
        if isinstance(entry["segmentation"], list):
            new["segmentation"] = [[v * (y if i % 2 else x) for i, v in enumerate(p)] for p in entry["segmentation"]]
        else:
            del new["segmentation"]
    if entry.get("keypoints") is not None:
        new["keypoints"] = [v * (x, y, 1)[i % 3] for i, v in enumerate(entry["keypoints"])]
    return new
