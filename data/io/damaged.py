"""Images that a scan takes for whole, and that turn out damaged when they are decoded: left out, and listed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from data.io.images import DamagedImage
from utils.errors import UserError

Item = TypeVar("Item")
REASON = "cannot be decoded: it is damaged"


class Damaged:
    """Which of a data set's images are damaged, known to all processes of its loader."""

    def __init__(self, images: int) -> None:
        self.marks = multiprocessing.RawArray("b", max(1, images))
        self.images = images

    def or_next(self, index: int, load: Callable[[int], Item]) -> Item:
        """`load(index)`, or of the next image that is whole, so that a batch keeps its size and repeats.

        Raises UserError where there is none.
        """
        for step in range(self.images):
            place = (index + step) % self.images
            if not self.marks[place]:
                found = self.or_none(place, load)
                if found is not None:
                    return found
        raise UserError(f"none of the {self.images} images can be decoded. Replace them.")

    def or_none(self, index: int, load: Callable[[int], Item]) -> Item | None:
        """`load(index)`, or None where the image is damaged."""
        try:
            return load(index)
        except DamagedImage:
            self.marks[index] = 1
            return None

    def among(self, files: Sequence[str | Path]) -> list[tuple[Path, str]]:
        """(file, reason) of those that were found damaged so far. files: of the images, in the data set's order."""
        return [(Path(files[place]), REASON) for place in range(self.images) if self.marks[place]]
