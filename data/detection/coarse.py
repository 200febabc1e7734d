"""A training set with extra images beside it, of which only the class of the main thing is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import Dataset

from data.detection.dataset import Key, ViewDataset
from data.detection.options import AugmentOptions
from utils.errors import UserError

COARSE = "coarse"
LEAST_SIDE = 0.99  # of the image: less is a real box


class MixedImages(Dataset[dict[str, Any]]):
    """Items of two sets under one index: first those of `main`, then those of `extra`.

    Batches tell them apart by `coarse`, (B,) bool: every object of such an image is a whole image of the extra set.
    """

    def __init__(self, main: ViewDataset, extra: ViewDataset) -> None:
        self.main, self.extra = main, extra

    def __len__(self) -> int:
        """Images of both."""
        return len(self.main) + len(self.extra)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The item of (epoch, index) or (epoch, index, copy)."""
        epoch, index, *copy = key if isinstance(key, tuple) else (0, key)
        coarse = index >= len(self.main)
        source, place = (self.extra, index - len(self.main)) if coarse else (self.main, index)
        return {**source[(epoch, place, *copy)], COARSE: coarse}

    @staticmethod
    def collate_fn(batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Items to a batch, as `ViewDataset` makes it, with `coarse`."""
        coarse = torch.tensor([item.pop(COARSE) for item in batch])  # (B,)
        return {**ViewDataset.collate_fn(batch), COARSE: coarse}


def coarse_augmentation(options: AugmentOptions) -> AugmentOptions:
    """Extra images are always seen four at a time, in every epoch, and never blended."""
    return replace(options, mosaic=1.0, mixup=0.0, close_mosaic=0)


def check_coarse(dataset: ViewDataset, what: str) -> None:
    """Raise UserError where an image has anything but one object that covers it whole."""
    for label in dataset.source:
        if len(label.boxes) != 1 or label.boxes[0, 2:].min() < LEAST_SIDE:
            raise UserError(
                f"{what}: {label.image.name} has {len(label.boxes)} objects, or one that does not cover it. Extra images "
                "have one label each, a row 'class 0.5 0.5 1 1'; put images with real boxes into 'train'."
            )
