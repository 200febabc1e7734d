"""URPC2020, DUO and RUOD, animals on the sea floor, to the YOLO layout.

Sources: Underwater Robot Professional Contest 2020; Liu et al., A Dataset and Benchmark of Underwater Object Detection
for Robot Picking (ICMEW 2021), github.com/chongweiliu/DUO; Fu et al., Rethinking General Underwater Object Detection
(Neurocomputing 2023), github.com/dlut-dimt/RUOD.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Unpack

from data.convert.coco import crowd, keep_all, read_items
from data.convert.items import Item
from data.convert.unlabelled import HELD_OUT, reference_items
from data.convert.voc import folder_items
from data.convert.writer import SPLITS, Summary, Writing, write_yolo
from utils.errors import UserError

HELD_OUT_SHARE = 5  # one image in five


class Layout(NamedTuple):
    """Where a set keeps its COCO files, and where the images of a split may lie."""

    annotations: str
    images: tuple[str, ...]


SETS = {
    "urpc2020": Layout("annotations", ("images/{0}", "images", "{0}/image", "{0}", "{0}2017")),
    "duo": Layout("annotations", ("images/{0}", "images")),
    "ruod": Layout("RUOD_ANN", ("RUOD_pic/{0}", "RUOD_pic")),
}


def convert(
    source: Path, out: Path, *, name: str = "urpc2020", reference: Path | None = None, difficult: bool = False,
    **writing: Unpack[Writing],
) -> Summary:  # fmt: skip
    """Convert the set `name` of SETS from its COCO files, or URPC2020 from the contest's folders of XML files.

    reference: folder of unlabelled images on which detectors do well, such as DFUI, for images/reference. difficult:
    keep what is marked so, or as a crowd. writing: see writer.write_yolo. Where no part but train has labels, the last
    fifth of it by name becomes the test part. Raises UserError where nothing can be found or written.
    """
    if name not in SETS:
        raise UserError(f"--name {name}: expected one of {', '.join(SETS)}.")
    summary = Summary()
    items = list(_coco_items(source, name, difficult, summary))
    if not items and name == "urpc2020":
        items = list(_contest_items(source, difficult, summary))
    if not items:
        also = ", or train/image and train/box with XML files" if name == "urpc2020" else ""
        raise UserError(
            f"--source {source}: expected {SETS[name].annotations}/instances_train.json and its images in it{also}. "
            "See docs/data/underwater.md."
        )
    items = _with_test(items, name, summary)
    if reference is not None:
        items += reference_items(reference, items, name, summary)
    return write_yolo(items, out, summary, name, **writing)


def _roots(source: Path) -> list[Path]:
    """The folder itself, then those in it, as archives unpack with and without a folder around them."""
    return [source, *(path for path in sorted(source.glob("*")) if path.is_dir())] if source.is_dir() else []


def _coco_items(source: Path, name: str, difficult: bool, summary: Summary) -> Iterator[Item]:
    """The items of the COCO files instances_SPLIT.json, or instances_SPLIT2017.json."""
    layout = SETS[name]
    root = next((path for path in _roots(source) if (path / layout.annotations).is_dir()), source)
    for split in SPLITS:
        places = [root / layout.annotations / f"instances_{split}{year}.json" for year in ("", "2017")]
        file = next((place for place in places if place.is_file()), None)
        if file is not None:
            folders = [root / place.format(split) for place in layout.images]
            skip_reason = keep_all if difficult else crowd
            yield from (item for item, _ in read_items(file, folders, split, f"{name}-{split}", skip_reason, summary))


def _contest_items(source: Path, difficult: bool, summary: Summary) -> Iterator[Item]:
    """The items of train/image with train/box, and of test-A-image with test-A-box and their like."""
    for root in _roots(source):
        for boxes in sorted([*root.glob("*/box"), *root.glob("*-box")]):
            images = boxes.with_name(f"{boxes.name.removesuffix('box')}image")
            part = boxes.parent.name if boxes.name == "box" else boxes.name.removesuffix("-box")
            split = next((split for split in SPLITS if part.lower().startswith(split)), None)
            if split and boxes.is_dir() and images.is_dir():
                yield from folder_items(boxes, images, f"urpc2020-{part}", split, difficult, summary)


def _with_test(items: list[Item], name: str, summary: Summary) -> list[Item]:
    """The items, the last fifth by name held out for the test where no other part has labels.

    Neighbours in the order of names can be neighbours in a film: a random choice would put almost the same image on
    both sides.
    """
    count = len(items) // HELD_OUT_SHARE
    if count == 0 or any(item.split in HELD_OUT for item in items):
        return items
    summary.notes.append(f"no other labelled part: the last {count} training images by name are held out as test")
    ordered = sorted(items, key=lambda item: item.image.name)
    return ordered[:-count] + [replace(item, split="test", group=f"{name}-held-out") for item in ordered[-count:]]
