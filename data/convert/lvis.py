"""LVIS v0.5 and v1, a thousand classes in COCO's images, to the YOLO layout, with what was looked for and not found.

Source: Gupta et al., LVIS: A Dataset for Large Vocabulary Instance Segmentation (CVPR 2019), lvisdataset.org.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from data.convert.coco import Entry, keep_all, load, read_items
from data.convert.items import Item, distinct
from data.convert.writer import Summary, write_yolo
from utils.disk.reading import read_json
from utils.errors import UserError
from utils.files import atomic_write
from utils.metrics import FREQUENCIES

FEDERATED = "federated.json"  # beside data.yaml; its form: data.detection.federated
LISTS = {"absent": "neg_category_ids", "partial": "not_exhaustive_category_ids"}
NAME = re.compile(r"lvis_(?:v([\d.]+)_)?(train|val)(?:_\w+)?\.json")
CATEGORIES = {"id", "name", "frequency", "synset"}
NEEDED = {
    "images": {"id", *LISTS.values()},
    "annotations": {"image_id", "category_id", "bbox"},
    "categories": CATEGORIES,
}


@dataclass(frozen=True)
class Classes:
    """The classes of an LVIS file in the order of their ids: name, frequency (r, c or f) and WordNet synset of each."""

    names: tuple[str, ...]
    frequency: tuple[str, ...]
    synsets: tuple[str, ...]
    numbers: Mapping[Any, int]  # id of the file, from 1 -> class number, from 0

    @property
    def about(self) -> dict[str, object]:
        """What a data.yaml says of them besides their names."""
        return {"frequency": list(self.frequency)}


def convert(
    source: Path, out: Path, *, images: Path | None = None, link: str = "copy", version: str | None = None
) -> Summary:
    """Convert a folder with LVIS's json files, there or in `annotations`, and COCO's images; or one such file.

    images: the folder that holds COCO's train2017 and val2017, where it is not `source`. link: see writer.write_yolo.
    version: of the files, 1 or 0.5, where both are there. Every class and every image is kept: one without objects
    says which classes it does not show. Raises UserError where nothing can be found or written, or files differ in
    their classes.
    """
    summary, classes, earlier = Summary(), None, _earlier(out / FEDERATED)
    items: list[Item] = []
    known: list[dict[str, list[int]]] = []  # of each item
    for split, file in _files(source, version).items():
        content = load(file, NEEDED)
        own = read_classes(file, content)
        if classes is not None and own != classes:
            raise UserError(f"{file}: has other classes than the other file of {source}. Convert files of one version.")
        classes = own
        folders = [images] if images else _folders(source)
        for item, entry in read_items(file, folders, split, "", keep_all, summary, content, image_names):
            items.append(replace(item, group=PurePosixPath(image_names(entry)[0]).parent.name or "lvis"))
            known.append(_class_lists(file, entry, own))
    assert classes is not None
    items = distinct(items)
    about = {**classes.about, "federated": FEDERATED}
    write_yolo(items, out, summary, classes.names, link=link, backgrounds=True, about=about)
    own_lists = {item.place: lists for item, lists in zip(items, known, strict=True) if lists}
    federated = {**earlier, **own_lists}  # earlier splits stay
    atomic_write(out / FEDERATED, json.dumps(federated).encode())
    counts = ", ".join(f"{classes.frequency.count(letter)} {word}" for letter, word in FREQUENCIES.items())
    summary.notes.append(f"{len(classes.names)} classes: {counts}")
    return summary


def _earlier(file: Path) -> dict[str, Any]:
    """What is known of the images of splits that were converted before. Raises UserError for a damaged file."""
    try:
        known = read_json(file) if file.is_file() else {}
    except (OSError, ValueError) as problem:
        known = problem
    if not isinstance(known, dict):
        raise UserError(f"{file}: is damaged. Remove it, and convert the earlier splits again.")
    return known


def read_classes(file: Path, content: Mapping[str, Sequence[Entry]]) -> Classes:
    """The classes of an LVIS file. Raises UserError for equal names, or an id or a frequency that is none."""
    try:
        rows = sorted(content["categories"], key=lambda row: int(row["id"]))
    except ValueError as problem:
        raise UserError(f"{file}: the ids of its categories are not all whole numbers ({problem}).") from None
    names = [str(row["name"]) for row in rows]
    if len({name.lower() for name in names}) < len(names):
        raise UserError(f"{file}: two categories have the same name. Is it LVIS's own file?")
    wrong = next((row for row in rows if row["frequency"] not in list(FREQUENCIES)), None)
    if wrong is not None:
        raise UserError(f"{file}: 'frequency' of {wrong['name']!r} is {wrong['frequency']!r}; expected r, c or f.")
    letters, synsets = ([str(row[key]) for row in rows] for key in ("frequency", "synset"))
    return Classes(tuple(names), tuple(letters), tuple(synsets), {row["id"]: place for place, row in enumerate(rows)})


def _files(source: Path, version: str | None) -> dict[str, Path]:
    """The annotation file of each split."""
    if source.is_file():
        named = NAME.fullmatch(source.name)
        return {named[2] if named else "train": source}
    found: dict[str, Path] = {}
    for path in sorted([*source.glob("*.json"), *source.glob("annotations/*.json")]):
        named = NAME.fullmatch(path.name)
        if named is None or (version is not None and named[1] != version):
            continue
        if named[2] in found:
            raise UserError(
                f"{found[named[2]]} and {path}: both are annotations of {named[2]}. Choose with --version 1 or 0.5, or "
                "name one file as --source, and COCO's folder as --images."
            )
        found[named[2]] = path
    if not found:
        raise UserError(
            f"--source {source}: expected lvis_v1_train.json and lvis_v1_val.json in it or in its folder annotations, or "
            "one such file. See docs/data/lvis.md."
        )
    return dict(sorted(found.items()))


def _folders(source: Path) -> list[Path]:
    """Where the folders of the images may lie."""
    bases = [source.parent, source.parent.parent] if source.is_file() else [source]
    return [place for base in bases for place in (base, base / "images")]


def image_names(entry: Entry) -> list[str]:
    """How an image may be called, the likeliest first: COCO's folder and name, the bare name, the file's own word.

    Raises ValueError where the entry does not name it.

    >>> image_names({"coco_url": "http://images.cocodataset.org/val2017/000000266409.jpg"})
    ['val2017/000000266409.jpg', '000000266409.jpg']
    """
    texts = [entry[key] for key in ("coco_url", "file_name") if isinstance(entry.get(key), str)]
    if not texts:
        raise ValueError(f"the image {entry['id']!r} has neither coco_url nor file_name")
    last_two = "/".join(texts[0].split("/")[-2:]) if "coco_url" in entry else texts[0]
    return list(dict.fromkeys([last_two, last_two.split("/")[-1], *texts[1:]]))


def _class_lists(file: Path, entry: Entry, classes: Classes) -> dict[str, list[int]]:
    """The lists of an image in class numbers; empty ones are left out."""
    lists = {}
    for name, key in LISTS.items():
        try:
            lists[name] = sorted({classes.numbers[number] for number in entry[key]})
        except (KeyError, TypeError):
            raise UserError(f"{file}: '{key}' of image {entry['id']!r} is not a list of category ids.") from None
    return {name: numbers for name, numbers in lists.items() if numbers}
