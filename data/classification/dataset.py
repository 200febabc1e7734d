"""Images sorted into a folder per class, with dark paired images and unlabelled night images beside them.

A split is a folder (or several) that holds `Bicycle/`, `Car/`, ...; these are the names of the data YAML. Paired images
match by class and file stem. What is drawn for an image depends on (seed, epoch, index) alone, on any number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from data.classification.transforms import Crop, centre, draw_crop, draw_hole
from data.config import TESTS, DataConfig
from data.detection.dataset import unpaired_images
from data.detection.unpaired import UnpairedImages, refuse_leaks
from data.io.damaged import Damaged
from data.io.images import read_image
from data.io.labels import unreadable
from data.io.letterbox import to_tensor
from data.io.pairs import check_pair_sizes, match_pairs
from utils.errors import UserError
from utils.files import list_images

Key = int | tuple[int, ...]  # index, or (epoch, index)
PAIR, UNLABELED = "pair", "unlabeled"
_PAIRED, _UNLABELED, _ERASED = 1, 2, 3  # what a draw is for, after (seed, epoch, index)


@dataclass(frozen=True)
class Sample:
    """One image and the number of its class."""

    file: Path
    number: int


@dataclass(frozen=True)
class Augmentation:
    """How training images are cut: at least a `least` fraction of the image, both of a pair alike or not.

    erasing: probability that a rectangle is blackened, the same one in both images of a pair.
    """

    least: float = 0.5
    independent: bool = False
    erasing: float = 0.0


class ImageFolderDataset(Dataset):
    """A split as a dataset: items with `img` (3, S, S) uint8 RGB, `cls`, `im_file`, `seed`, and the views if any.

    Without an augmentation images show their centre, and nothing comes along.
    """

    def __init__(
        self, images: Sequence[Sample], imgsz: int, *, augmentation: Augmentation | None = None,
        paired: Mapping[Path, Path] | None = None, unlabeled_images: UnpairedImages | None = None,
        unlabeled: float = 1.0, seed: int = 0, skipped: Sequence[tuple[Path, str]] = (),
    ) -> None:  # fmt: skip
        self.images, self.imgsz, self.seed, self.skipped = list(images), imgsz, seed, list(skipped)
        self.augmentation, self.paired = augmentation, paired or {}
        self.pool, self.unlabeled = unlabeled_images, unlabeled
        self.damaged = Damaged(len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> dict[str, Any] | None:
        """The item of an index, as drawn in an epoch (0 when only an index is given).

        For a damaged image that of the next one, or without an augmentation None.
        """
        epoch, index = key[:2] if isinstance(key, tuple) else (0, key)
        load = partial(self._item, epoch)
        return self.damaged.or_none(index, load) if self.augmentation is None else self.damaged.or_next(index, load)

    def left_out(self) -> list[tuple[Path, str]]:
        """Images that are not used, and why: those that were skipped, and those found damaged so far."""
        return [*self.skipped, *self.damaged.among([image.file for image in self.images])]

    def _item(self, epoch: int, index: int) -> dict[str, Any]:
        img = self.images[index]
        image = read_image(img.file)
        item: dict[str, Any] = {"cls": img.number, "im_file": str(img.file)}
        if self.augmentation is None:
            return {**item, "img": to_tensor(centre(image, self.imgsz)), "seed": index}
        crop = self._crop(image.shape, epoch, index)
        seed = int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1)[0])  # 32 bits
        item |= {"img": to_tensor(crop(image, self.imgsz)), "seed": seed}
        if self.paired:
            other = read_image(self.paired[img.file])
            if self.augmentation.independent:
                crop = self._crop(other.shape, epoch, index, _PAIRED)
            item[PAIR] = to_tensor(crop(other, self.imgsz))
        if self.augmentation.erasing:
            hole = draw_hole((self.seed, epoch, index, _ERASED), self.imgsz, self.augmentation.erasing)
            for view in (view for view in ("img", PAIR) if view in item):
                item[view][..., hole[0], hole[1]] = 0
        if self.pool is not None:
            night = read_image(self.pool.chosen(epoch, index))
            item[UNLABELED] = to_tensor(self._crop(night.shape, epoch, index, _UNLABELED)(night, self.imgsz))
        return item

    def _crop(self, shape: Sequence[int], epoch: int, index: int, purpose: int = 0) -> Crop:
        least = self.augmentation.least if self.augmentation else 1.0
        return draw_crop((self.seed, epoch, index, purpose), shape[0], shape[1], least)

    def collate_fn(self, batch: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
        """Items to a batch: images (B, 3, S, S), `cls` (B,) int64, `im_file` and `seed` lists. It is empty without items.

        Unlabelled images are a fraction of the labelled ones, and two at least: a spread needs two.
        """
        items = [item for item in batch if item is not None]
        if not items:
            return {}
        whole: dict[str, Any] = {key: [item[key] for item in items] for key in items[0]}
        if UNLABELED in whole:
            whole[UNLABELED] = whole[UNLABELED][: max(2, round(self.unlabeled * len(items)))]
        views = {key: torch.stack(whole[key]) for key in ("img", PAIR, UNLABELED) if key in whole}
        return {**whole, **views, "cls": torch.tensor(whole["cls"])}


def build_image_folders(
    config: DataConfig, split: str, imgsz: int, *, augmentation: Augmentation | None = None, views: Iterable[str] = (),
    unlabeled: float = 1.0, seed: int = 0,
) -> ImageFolderDataset:  # fmt: skip
    """A split of a data YAML. views: what comes along with each image, PAIR and UNLABELED; unlabeled: how many of the latter
    per labelled image.

    Images that cannot be read are skipped, with their paired images, and listed in `skipped`. Raises UserError for a split,
    a class folder or a paired image that is missing, for folders that are no class, and where training would see test images.
    """
    images = labelled(config, split)
    missing = config.names.keys() - {image.number for image in images}
    if missing and split == "train":
        raise UserError(
            f"{config.file}: '{split}' has no images of {_words(config, missing)}. Add the folders, or take the classes out "
            "of 'names'."
        )
    paired = _paired_images(config, images, augmentation) if PAIR in views else {}
    skipped = unreadable([image.file for image in images]) + unreadable(list(paired.values()))
    lost = {path for path, _ in skipped}
    kept = [p for p in images if p.file not in lost and paired.get(p.file) not in lost]
    if not kept:
        raise UserError(f"{config.file}: none of the images of '{split}' can be read; the first: {skipped[0][1]}.")
    pool = unpaired_images(config, UNLABELED, seed) if UNLABELED in views else None
    return ImageFolderDataset(
        kept, imgsz, augmentation=augmentation, paired=paired, unlabeled_images=pool, unlabeled=unlabeled, seed=seed,
        skipped=skipped,
    )  # fmt: skip


def labelled(config: DataConfig, split: str) -> list[Sample]:
    """The images of a split with their classes, by class and path. Raises UserError for folders that are no class."""
    found = [
        Sample(file, number)
        for source in config.sources(split)
        for number, folder in sorted(_class_folders(config, source).items())
        for file in list_images(folder)
    ]
    return sorted(found, key=lambda image: (image.number, image.file))


def _class_folders(config: DataConfig, source: Path) -> dict[int, Path]:
    """Class number -> its folder in `source`; case does not count."""
    if not source.is_dir():
        raise UserError(
            f"{config.file}: {source} is not a folder. Task {config.task} reads a folder per class: {_example(config)}."
        )
    numbers = {name.casefold(): number for number, name in config.names.items()}
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    unknown = [path.name for path in folders if path.name.casefold() not in numbers]
    if unknown or not folders:
        what = f"the folders {', '.join(unknown[:5])}, which are no class" if unknown else "no folders"
        raise UserError(
            f"{source}: holds {what} of {config.file}. Expected one per class: {_example(config)}. Rename the folders or "
            "correct 'names'."
        )
    return {numbers[path.name.casefold()]: path for path in folders}


def _example(config: DataConfig) -> str:
    names = list(config.names.values())
    return ", ".join(f"{name}/" for name in names[:3]) + (", ..." if len(names) > 3 else "")


def _words(config: DataConfig, numbers: Iterable[int]) -> str:
    return ", ".join(config.names[number] for number in sorted(numbers))


def _paired_images(config: DataConfig, images: Sequence[Sample], augmentation: Augmentation | None) -> dict[Path, Path]:
    """Image -> the dark image of the same class and stem."""
    if PAIR not in config.splits:
        raise UserError(
            f"{config.file}: this method trains with pairs, but the file has no 'pair' line. Name the folder of the dark "
            "images ('pair: images/train_night'), made for instance by 'python prepare.py darken', or use --method none."
        )
    others = labelled(config, PAIR)
    day, night = ({image.number for image in group} for group in (images, others))
    if day != night:
        only = {"train": day - night, PAIR: night - day}
        words = "; ".join(f"only '{split}' has {_words(config, extra)}" for split, extra in only.items() if extra)
        raise UserError(
            f"{config.file}: the class folders of 'train' and '{PAIR}' differ: {words}. Make the paired images again from the "
            "folder of 'train'."
        )
    tests = [file for split in TESTS for source in config.splits.get(split, ()) for file in list_images(source)]
    refuse_leaks([other.file for other in others], tests, f"{config.file}: '{PAIR}'")
    matched: dict[Path, Path] = {}
    for number in config.names:
        ours, theirs = ([p.file for p in group if p.number == number] for group in (images, others))
        matched |= dict(zip(ours, match_pairs(ours, theirs), strict=True))
    if augmentation is None or not augmentation.independent:
        check_pair_sizes(list(matched), list(matched.values()))
    return matched
