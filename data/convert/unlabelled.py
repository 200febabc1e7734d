"""Reference images of a converted set: clear ones without labels, which LCP shows beside the degraded ones."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from data.convert.items import Item
from data.convert.writer import REFERENCE, Summary
from utils.files import file_digest, list_images

HELD_OUT = {"val", "test"}


def reference_items(folder: Path, items: Iterable[Item], group: str, summary: Summary) -> list[Item]:
    """The images of a folder of any depth as reference images, without those that show a held-out scene.

    items: the labelled images of the set. An image with the name of one of validation or test (clear and foggy
    versions often share it), or with its bytes, is listed in the summary and skipped. Raises UserError where the folder
    is missing or empty.
    """
    images = list_images(folder)
    leaks = leaking(images, [item.image for item in items if item.split in HELD_OUT])
    summary.skipped += [(image, "a reference image that is also one of validation or test") for image in leaks]
    return [Item(image, REFERENCE, group, ()) for image in images if image not in leaks]


def leaking(images: Iterable[Path], held_out: Iterable[Path]) -> dict[Path, None]:
    """Which of the images have the name or the bytes of a held-out one, in their order."""
    present = [path for path in held_out if os.path.isfile(path)]  # False, not an error, for an impossible name
    names = {path.stem.lower() for path in present}
    sizes = {path.stat().st_size for path in present}
    pool = list(images)
    candidates = {path.stat().st_size for path in pool if path.is_file()} & sizes  # equal bytes have equal sizes
    digests = {file_digest(path) for path in present if path.stat().st_size in candidates}
    return dict.fromkeys(
        path
        for path in pool
        if path.stem.lower() in names
        or (path.is_file() and path.stat().st_size in candidates and file_digest(path) in digests)
    )
