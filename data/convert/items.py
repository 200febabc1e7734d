"""What converters read and the writer writes: images with their boxes, each with a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.convert.names import distinct_stems


@dataclass(frozen=True)
class Box:
    """One object: the original's class name, and its edges in px of the image as it was annotated."""

    name: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Item:
    """One image, or the part `crop` (left, top, right, bottom px) of it, which the boxes are then relative to.

    size: (height, width) px as annotated, None where the original does not say; of a part it is the part's own.
    attributes: what the original says of the image besides, (name, value) each, such as its weather; see attributes.csv.
    name: the stem of the written image, where it is not the original's; see `distinct`.
    """

    image: Path
    split: str
    group: str
    boxes: tuple[Box, ...]
    size: tuple[int, int] | None = None
    crop: tuple[int, int, int, int] | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    name: str = ""

    @property
    def file(self) -> str:
        """The name of the written image: of a part with the place of its corner, so that each has its own."""
        where = f"_{self.crop[0]}_{self.crop[1]}" if self.crop else ""
        return f"{self.name or self.image.stem + where}{self.image.suffix}"

    @property
    def place(self) -> str:
        """The path of the written image in the data set's folder."""
        return f"images/{self.split}/{self.group}/{self.file}"

    def annotated(self, found: tuple[int, int]) -> tuple[int, int]:
        """(height, width) px that the boxes are measured in: as stated, else as the image was found to have."""
        return self.size if self.size and min(self.size) > 0 else found


def distinct(items: Sequence[Item]) -> list[Item]:
    """The items, each with a name of its own in its group: see `distinct_stems`."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault((item.split, item.group), []).append(index)
    result = list(items)
    for indices in groups.values():
        stems = [Path(items[index].file).stem for index in indices]
        named = distinct_stems([items[index].image for index in indices], stems)
        for index, stem, name in zip(indices, stems, named, strict=True):
            if name != stem:
                result[index] = replace(items[index], name=name)
    return result
