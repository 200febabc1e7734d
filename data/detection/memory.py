"""What decoded images need of memory or disk, and what is free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.io.image_cache import ImageCache
from data.io.labels import Label
from data.io.recent_images import RecentImages
from data.sampling import REACH, EpochSampler

SHARE = 8  # images take at most an eighth of the free memory, unless asked


def keeps(cache: str, labels: Sequence[Label], imgsz: int | None, members: int) -> bool:
    """Whether all decoded images stay in memory: `auto` looks what is free. imgsz None: at their own size."""
    return images_that_fit(labels, imgsz, members) > len(labels) if cache == "auto" else cache == "ram"


def images_that_fit(labels: Sequence[Label], imgsz: int | None, members: int) -> float:
    """How many images of this kind, each with its other members, an eighth of the free memory has room for."""
    import psutil

    room = psutil.virtual_memory().available / SHARE
    return room * len(labels) / max(1, decoded_bytes(labels, imgsz, members))


def recent_images(sampler: EpochSampler, labels: Sequence[Label], imgsz: int, members: int) -> RecentImages:
    """Room for the images of a rank that `EarlierBatches` asks for, or for as many of them as fit."""
    size = sampler.batch_size // sampler.ranks
    return RecentImages(min(REACH * size, int(images_that_fit(labels, imgsz, members))), size)


def disk_cache(folder: Path, labels: Sequence[Label], imgsz: int, members: int) -> ImageCache:
    """The cache of these images in the folder. Raises UserError where the disk has no room for them."""
    cache = ImageCache(folder, imgsz)
    cache.check_room(decoded_bytes(labels, imgsz, members))
    return cache


def decoded_bytes(labels: Sequence[Label], imgsz: int | None, members: int) -> float:
    """Size of all images once decoded, each with its other members. imgsz None: at their own size."""
    sides = [(imgsz or max(label.shape), min(label.shape) / max(label.shape)) for label in labels]
    return sum(side**2 * ratio for side, ratio in sides) * 3 * members
