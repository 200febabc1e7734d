"""Training images per second and core next to Ultralytics' loader, on the same photographs: decoding, mosaic, affine, colour.

OMP_NUM_THREADS=1 python -m bench.speed.peers.loader --data raccoon/data.yaml nightcars/data.yaml --sizes 0 1280 1920 --busy

Both sides load in this process with the augmentation of `yolo train`, in one order, a different part of the set in each round.
`--sizes`: the photographs enlarged to this longer side first (0: as they are), as cameras give them. Cached: all images in memory
on both sides. Not cached: this project decodes the four images of a mosaic, Ultralytics takes three of them from the last few
that it has loaded; `sees` is how many different images go into a batch of 16.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import methods.registry  # noqa: F401 - declares the lines of data YAMLs that methods read
from bench.speed.timing import measure, options_of, publish, report, table
from data.config import load_data
from data.detection.dataset import build_dataset
from data.detection.views import View
from data.io.images import read_image
from utils.files import list_images, save_yaml
from utils.ultralytics_env import keep_freed_memory

IMAGES = 24  # loaded in a round
KEPT = 96  # of a set


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 1280, 1920])
    parser.add_argument("--cache", nargs="+", choices=("none", "ram"), default=["none", "ram"])
    options = parser.parse_args()
    keep_freed_memory()  # as train.py does, for both sides
    pages = []
    for data in options.data:
        for size in options.sizes:
            with tempfile.TemporaryDirectory() as folder:
                name = Path(data).parent.name
                copy = copied(data, Path(folder), size)
                pages += [page(options, copy, f"{name}, {size or 'own'} px", cache) for cache in options.cache]
    publish(options, *pages)


def copied(data: str, folder: Path, size: int) -> Path:
    """A copy of a training set with images whose longer side is `size`, labels beside them, and the same as its own pair."""
    config = load_data(data)
    files = [file for source in config.sources("train") for file in list_images(source, config.root)][:KEPT]
    for file in files:
        image = read_image(file)
        if size:
            scale = size / max(image.shape[:2])
            image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
        label = Path(str(file).replace("/images/", "/labels/")).with_suffix(".txt")
        for split in ("train", "night"):
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "images" / split / f"{file.stem}.jpg"), image)
            (folder / "labels" / split / f"{file.stem}.txt").write_text(label.read_text() if label.is_file() else "")
    target = folder / "data.yaml"
    splits = {"train": "images/train", "val": "images/train"}
    save_yaml(target, {"path": str(folder), **splits, "pair": "images/night", "names": dict(config.names)})
    return target


def page(options: Namespace, data: Path, title: str, cache: str) -> str:
    """The table of one set, with all images in memory or none."""
    loaders = {
        "Ultralytics": theirs(data, options.imgsz, cache),
        "single images": ours(data, options.imgsz, cache),
        "pairs": ours(data, options.imgsz, cache, (View("pair", "paired"),)),
    }
    rows = table(measure(options, loaders, warm_up=3 if cache == "ram" else 1), reference="Ultralytics")
    single = next(row["median ms"] for row in rows if row["candidate"] == "single images")
    for row in rows:
        row["images/s"] = 1e3 * IMAGES / row["median ms"]
        row["to single"] = row["median ms"] / single
    what = "all images cached" if cache == "ram" else "nothing cached"
    return report(f"{IMAGES} training images of {options.imgsz} px: {title}, {what}", rows, options.busy)


def rounds(load: Callable[[int, int], Any], images: int) -> Callable[[], None]:
    """A round: the next IMAGES of the set; load: (epoch, index)."""
    order: Iterator[tuple[int, int]] = (
        (epoch, int(i)) for epoch in count() for i in np.random.default_rng(epoch).permutation(images)
    )

    def run() -> None:
        for epoch, index in islice(order, IMAGES):
            load(epoch, index)

    return run


def ours(data: Path, imgsz: int, cache: str, views: tuple[View, ...] = ()) -> Callable[[], None]:
    """This project's loader."""
    dataset = build_dataset(load_data(data), "train", imgsz=imgsz, augment=True, views=views, cache=cache, epochs=100)
    for index in range(len(dataset) if cache == "ram" else 0):
        dataset.load_image(index)
    return rounds(lambda epoch, index: dataset[epoch, index], len(dataset))


def theirs(data: Path, imgsz: int, cache: str) -> Callable[[], None]:
    """Ultralytics' loader with the settings of `yolo train`."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.utils import DEFAULT_CFG

    settings = get_cfg(DEFAULT_CFG, {"imgsz": imgsz, "cache": "ram" if cache == "ram" else False, "mode": "train"})
    config = load_data(data)
    found = {"names": dict(config.names), "channels": 3, "nc": len(config.names)}
    dataset = build_yolo_dataset(settings, str(data.parent / "images/train"), 16, found, mode="train", rect=False)
    return rounds(lambda _, index: dataset[index], len(dataset))


if __name__ == "__main__":
    main()
