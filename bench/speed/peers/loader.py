"""Training images per second and core next to Ultralytics' loader, on the same photographs: decoding, mosaic, affine, colour.

OMP_NUM_THREADS=1 python -m bench.speed.peers.loader --data raccoon/data.yaml nightcars/data.yaml --sizes 0 1280 1920 --busy

Both sides load in this process with the augmentation of `yolo train`, in one order, a different part of the set in each round.
`--sizes`: the photographs enlarged to this longer side first (0: as they are), as cameras give them. Cached: all images in memory
on both sides. Not cached: a set of 66 batches of 16, each photograph under eleven names, and no image is loaded a second time.
Both sides then mix an image with some that they loaded lately, and are measured warm: after nine batches, when Ultralytics'
buffer of eight batches is full, and this project's epoch is past its first eight, which mix images of the whole set.
"""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import count, islice, product
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
from data.sampling import EpochSampler
from utils.files import list_images, save_yaml
from utils.ultralytics_env import keep_freed_memory

BATCH = 16
IMAGES = 24  # loaded in a round
WARM_UP = 6  # rounds: nine batches
KEPT = 96  # photographs of a set
NAMES = 11  # of each photograph where nothing is cached: 66 batches


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
            for cache in options.cache:
                with tempfile.TemporaryDirectory() as folder:
                    copy = copied(data, Path(folder), size, names=NAMES if cache == "none" else 1)
                    pages.append(page(options, copy, f"{Path(data).parent.name}, {size or 'own'} px", cache))
    publish(options, *pages)


def copied(data: str, folder: Path, size: int, names: int) -> Path:
    """A copy of a training set with images whose longer side is `size`, labels beside them, and the same as its own pair.

    names: under how many names each image is there.
    """
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
            cv2.imwrite(str(folder / "images" / split / f"{file.stem}-0.jpg"), image)
            (folder / "labels" / split / f"{file.stem}-0.txt").write_text(label.read_text() if label.is_file() else "")
            for number, (kind, suffix) in product(range(1, names), (("images", "jpg"), ("labels", "txt"))):
                there = folder / kind / split
                os.link(there / f"{file.stem}-0.{suffix}", there / f"{file.stem}-{number}.{suffix}")
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
    rows = table(measure(options, loaders, warm_up=WARM_UP), reference="Ultralytics")
    single = next(row["median ms"] for row in rows if row["candidate"] == "single images")
    for row in rows:
        row["images/s"] = 1e3 * IMAGES / row["median ms"]
        row["to single"] = row["median ms"] / single
    what = "all images cached" if cache == "ram" else "nothing cached"
    return report(f"{IMAGES} training images of {options.imgsz} px: {title}, {what}", rows, options.busy)


def rounds(load: Callable[[tuple[int, ...]], Any], sampler: EpochSampler) -> Callable[[], None]:
    """A round: the next IMAGES of the set; load: a key of the sampler."""
    order = (key for epoch in count() for key in keys(sampler, epoch))

    def run() -> None:
        for key in islice(order, IMAGES):
            load(key)

    return run


def keys(sampler: EpochSampler, epoch: int) -> Iterator[tuple[int, ...]]:
    """The keys of an epoch, one after another."""
    sampler.set_epoch(epoch)
    for batch in sampler:
        yield from batch


def ours(data: Path, imgsz: int, cache: str, views: tuple[View, ...] = ()) -> Callable[[], None]:
    """This project's loader."""
    dataset = build_dataset(load_data(data), "train", imgsz=imgsz, augment=True, views=views, cache=cache, epochs=100)
    sampler = EpochSampler(len(dataset), BATCH, seed=0)
    dataset.mix_in_order(sampler)
    for index in range(len(dataset) if cache == "ram" else 0):
        dataset.load_image(index)
    return rounds(dataset.__getitem__, sampler)


def theirs(data: Path, imgsz: int, cache: str) -> Callable[[], None]:
    """Ultralytics' loader with the settings of `yolo train`."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.utils import DEFAULT_CFG

    settings = get_cfg(DEFAULT_CFG, {"imgsz": imgsz, "cache": "ram" if cache == "ram" else False, "mode": "train"})
    config = load_data(data)
    found = {"names": dict(config.names), "channels": 3, "nc": len(config.names)}
    dataset = build_yolo_dataset(settings, str(data.parent / "images/train"), BATCH, found, mode="train", rect=False)
    return rounds(lambda key: dataset[key[1]], EpochSampler(len(dataset), BATCH, seed=0))


if __name__ == "__main__":
    main()
