"""Any set with YOLO labels (Label Studio, CVAT, Roboflow) to the layout of this project: to hold out a val, for instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from data.config import DataConfig, load_data
from data.convert.writer import SPLITS, Box, Item, Summary, Writing, write_yolo
from data.io.labels import Label, scan, unlabelled
from utils.files import list_images


def convert(source: Path, out: Path, **writing: Unpack[Writing]) -> Summary:
    """Copy `source`, a data YAML or a folder that `--data` takes, with its own classes; images without objects stay.

    writing: see writer.write_yolo. Raises UserError where nothing can be found or written.
    """
    summary = Summary()
    config = load_data(source, need=[])
    items = [item for split in SPLITS if split in config.splits for item in _items(config, split, summary)]
    writing.setdefault("backgrounds", True)
    return write_yolo(items, out, summary, list(config.names.values()), **writing)


def _items(config: DataConfig, split: str, summary: Summary) -> Iterator[Item]:
    """The readable images of a split."""
    images = [image for place in config.sources(split) for image in list_images(place, config.root)]
    found = scan(images, len(config.names), what=split)
    summary.skipped += found.skipped
    summary.notes += unlabelled(found.labels, split)
    for label in found.labels:
        yield Item(label.image, split, "yolo", tuple(_boxes(label, config.names)), label.shape)


def _boxes(label: Label, names: dict[int, str]) -> Iterator[Box]:
    height, width = label.shape
    for number, (x, y, w, h) in zip(label.classes[:, 0], label.boxes, strict=True):
        edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        yield Box(names[int(number)], *map(float, edges))
