"""Any set with YOLO labels (Label Studio, CVAT, Roboflow) to the layout of this project: to hold out a val, for instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from data.config import DECLARED, SPLITS, DataConfig, load_data
from data.convert.items import Box, Item, distinct
from data.convert.writer import Summary, Writing, held_out, write_yolo
from data.io.attributes import FILE as ATTRIBUTES
from data.io.labels import Label, scan, unlabelled
from data.io.pairs import match_pairs
from utils.errors import UserError
from utils.files import list_images

GROUP = "yolo"


def convert(source: Path, out: Path, **writing: Unpack[Writing]) -> Summary:
    """Copy `source`, a data YAML or a folder that `--data` takes, with its own classes; images without objects stay.

    All its splits come along with their conditions, and so do the method, the frequency of classes and the images that methods
    read, paired ones under the names of the training images that they belong to. Notes name what does not. writing: see
    writer.write_yolo. Raises UserError where nothing can be found or written, and for a set of another task.
    """
    summary = Summary()
    config = load_data(source, need=[])
    if config.task != "detect":
        raise UserError(f"{config.file}: its task is '{config.task}'; only sets with boxes can be converted.")
    items = [item for split in SPLITS if split in config.splits for item in _items(config, split, summary)]
    items = distinct(held_out(items, writing.pop("val_share", 0.0), out))
    items += _unlabelled_items(config, items, summary)
    about = _about(config, own_classes=writing.get("classes") is None)
    summary.notes += _left_out(config, about)
    writing.setdefault("backgrounds", True)
    return write_yolo(items, out, summary, list(config.names.values()), about=about, **writing)


def _images(config: DataConfig, split: str) -> list[Path]:
    return [image for place in config.sources(split) for image in list_images(place, config.root)]


def _items(config: DataConfig, split: str, summary: Summary) -> Iterator[Item]:
    """The readable images of a split."""
    found = scan(_images(config, split), len(config.names), what=split)
    summary.skipped += found.skipped
    summary.notes += unlabelled(found.labels, split)
    for label in found.labels:
        yield Item(label.image, split, GROUP, tuple(_boxes(label, config.names)), label.shape)


def _boxes(label: Label, names: dict[int, str]) -> Iterator[Box]:
    height, width = label.shape
    for number, (x, y, w, h) in zip(label.classes[:, 0], label.boxes, strict=True):
        edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        yield Box(names[int(number)], *map(float, edges))


def _unlabelled_items(config: DataConfig, labelled: Sequence[Item], summary: Summary) -> list[Item]:
    """The images of keys that methods read, such as `pair` and `reference`; one that cannot be used is noted."""
    train = [item for item in labelled if item.split == "train"]
    items: list[Item] = []
    for key in (split for split in config.splits if split not in SPLITS):
        try:
            images = _images(config, key)
            items += _paired_items(images, key, train, summary) if DECLARED[key].paired else _plain_items(images, key)
        except UserError as problem:
            summary.notes.append(f"'{key}' is not converted: {problem}")
    return items


def _plain_items(images: Sequence[Path], key: str) -> list[Item]:
    return [Item(image, key, GROUP, ()) for image in images]


def _paired_items(images: Sequence[Path], key: str, train: Sequence[Item], summary: Summary) -> list[Item]:
    """Each training image's own, called as it is."""
    matched = match_pairs([item.image for item in train], images)
    if others := len(set(images) - set(matched)):
        summary.notes.append(f"{others} images of '{key}' belong to no training image and were left out")
    return [Item(other, key, GROUP, (), name=Path(item.file).stem) for other, item in zip(matched, train, strict=True)]


def _about(config: DataConfig, own_classes: bool) -> dict[str, object]:
    """What the data.yaml says besides splits and names. own_classes: whether their numbers stay."""
    words = {split: word for split, word in config.conditions.items() if word != split}
    known = {
        "conditions": words,
        "method": config.method if config.method != "none" else None,
        "frequency": list(config.frequency) if config.frequency and own_classes else None,
    }
    return {key: value for key, value in known.items() if value}


def _left_out(config: DataConfig, about: Mapping[str, object]) -> list[str]:
    """A line for what a user may miss."""
    there = {
        **config.options,
        "federated": config.federated,
        "frequency": config.frequency and "frequency" not in about,
        ATTRIBUTES: (config.root / ATTRIBUTES).is_file(),
    }
    names = [name for name, value in there.items() if value]
    return [f"not converted: {', '.join(names)}. Add what still fits to the new data set yourself"] if names else []
