"""Data sets of the comparisons that need more than a command of prepare.py; steps of `prepare:` in bench/comparisons/*.yaml.

Each function writes its YAML last, so that an interrupted copy is made again. Source sets are in YOLO's layout.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from data.io.images import read_image
from engine.preparation import prepare
from utils.errors import UserError
from utils.files import list_images, load_yaml, save_yaml

Image = NDArray[np.uint8]
HELD_OUT = 8  # every eighth training image selects the epoch
BLUR = (0.6, 2.0)  # px at a width of 320, standard deviation
NOISE = (5.0, 25.0)  # grey levels of 255, standard deviation


def changed_yaml(out: Path, file: str, **entries: Any) -> None:
    """A YAML file with some top-level entries replaced: a variant of a data set or of a model."""
    save_yaml(out, load_yaml(Path(file)) | entries)


def copy_set(
    out: Path, source: str, splits: dict[str, str], conditions: dict[str, str], half_size: bool = False
) -> None:
    """A copy of a set beside the data YAML `out`: folders train, choose (every eighth training image) and test (its val).

    splits: split of the data YAML -> folder of images/, which later steps may make.
    """
    train, test = _source_images(source)
    change = _halve if half_size else None
    kept = [path for number, path in enumerate(train) if number % HELD_OUT]
    for folder, images in {"train": kept, "choose": train[::HELD_OUT], "test": test}.items():
        _copy(images, Path(source), out.parent, folder, change)
    _write_yaml(out, source, splits, conditions=conditions)


def split_set(
    out: Path, source: str, folders: dict[str, str], splits: dict[str, str], conditions: dict[str, str]
) -> None:
    """A copy of a set that has its own splits, beside the data YAML `out`.

    folders: folder of images/ here -> the one of the source. splits: as for `copy_set`.
    """
    for folder, origin in folders.items():
        images = Path(source) / "images" / origin
        if not images.is_dir():
            raise UserError(f"{source}: expected a set with images/{origin}; put or link it there.")
        _copy(list_images(images), Path(source), out.parent, folder)
    _write_yaml(out, source, splits, conditions=conditions)


def easy_set(out: Path, file: str, weights: str, min_ap: float, imgsz: int) -> None:
    """A data set whose reference images are those of train on which a detector does well, in a folder beside the YAML."""
    folder = out.parent / f"{out.stem}-images"
    shutil.rmtree(folder, ignore_errors=True)
    prepare("select", weights=weights, data=file, out=folder, min_ap=min_ap, imgsz=imgsz)
    changed_yaml(out, file, reference=str(folder.resolve()))


def degraded_set(out: Path, source: str, clear: str) -> None:
    """A set for LCP: half of the training images as they are (reference), the other half, val and test blurred and noisy.

    clear: a second data YAML, of the clear training images and the clear val.
    """
    train, test = _source_images(source)
    kept, val = [path for number, path in enumerate(train) if number % HELD_OUT], train[::HELD_OUT]
    for folder, images in {"reference": kept[::2], "val_clear": val, "test_clear": test}.items():
        _copy(images, Path(source), out.parent, folder)
    for folder, images in {"train": kept[1::2], "val": val, "test": test}.items():
        _copy(images, Path(source), out.parent, folder, _blur_and_noise)
    splits = {"val2": "val_clear", "test2": "test_clear", **{key: key for key in ("train", "reference", "val", "test")}}
    conditions = {"val": "degraded", "val2": "clear", "test": "degraded", "test2": "clear"}
    _write_yaml(Path(clear), source, {"train": "reference", "val": "val_clear"})
    _write_yaml(out, source, splits, conditions=conditions)


def _source_images(source: str) -> tuple[list[Path], list[Path]]:
    """The images of train and val, sorted. Raises UserError where there are none."""
    folders = [Path(source) / "images" / split for split in ("train", "val")]
    if not all(folder.is_dir() for folder in folders):
        raise UserError(f"{source}: expected a set with images/train, images/val and labels; put or link it there.")
    return list_images(folders[0]), list_images(folders[1])


def _copy(
    images: Sequence[Path], source: Path, target: Path, folder: str, change: Callable[[Image, str], Image] | None = None
) -> None:
    """Images with their labels into images/FOLDER and labels/FOLDER; changed ones as PNG."""
    for image in images:
        copy = target / "images" / folder / image.name
        label = target / "labels" / folder / f"{image.stem}.txt"
        copy.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / "labels" / image.parent.name / label.name, label)
        if change is None:
            shutil.copyfile(image, copy)
        else:
            cv2.imwrite(str(copy.with_suffix(".png")), change(read_image(image), image.stem))


def _halve(image: Image, _: str) -> Image:
    """(H, W, 3) at half its size: an image evaluated at native size must be trained at that size too."""
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _blur_and_noise(image: Image, name: str) -> Image:
    """(H, W, 3) blurred, then noisy, by amounts drawn from the name."""
    generator = np.random.default_rng(crc32(name.encode()))
    spread, noise = generator.uniform(*BLUR) * max(image.shape) / 320, generator.uniform(*NOISE)
    blurred = cv2.GaussianBlur(image, (0, 0), spread).astype(np.float32)
    return (blurred + generator.normal(0, noise, image.shape)).round().clip(0, 255).astype(np.uint8)


def _write_yaml(out: Path, source: str, splits: dict[str, str], **entries: Any) -> None:
    names = load_yaml(Path(source) / "data.yaml")["names"]
    folders = {split: f"images/{folder}" for split, folder in splits.items()}
    save_yaml(out, {"path": str(out.parent.resolve()), **folders, **entries, "names": names})
