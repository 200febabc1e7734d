"""Sets with one text file of rows per image: pairing the two by stem, and reading the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from data.convert.items import Box, Item
from data.convert.writer import Summary
from data.io.images import in_threads
from utils.files import list_images

Read = Callable[[str], Box | str | None]  # a row -> its object, the reason why it is skipped, or None for a heading


def paired_items(
    images: Path, annotations: Iterable[Path], split: str, group: str, read: Read, form: str, summary: Summary
) -> Iterator[Item]:
    """One item an annotation file whose image is anywhere in the folder `images`; unmatched files are listed.

    read: see `read_rows`, as `form` is. A file with a row that cannot be read is listed with the line, and passed over.
    """
    waiting = {path.stem: path for path in list_images(images)}
    files = sorted(annotations)
    results = in_threads(partial(read_rows, read=read, form=form), files, f"reading {group}")
    for file, result in zip(files, results, strict=True):
        image = waiting.pop(file.stem, None)
        if image is None:
            summary.skipped.append((file, "its image is missing"))
        elif isinstance(result, str):
            summary.skipped.append((file, result))
        else:
            boxes, dropped = result
            summary.dropped.update(dropped)
            yield Item(image, split, group, tuple(boxes))
    summary.skipped += [(image, "its annotation file is missing") for image in waiting.values()]


def read_rows(file: Path, read: Read, form: str) -> tuple[list[Box], Counter[str]] | str:
    """The objects of a file and how many rows were skipped for which reason, or why the file cannot be used.

    read: raises ValueError or IndexError for a row that is not of the form `form`, which the reason then quotes.
    """
    boxes: list[Box] = []
    dropped: Counter[str] = Counter()
    for number, row in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        try:
            found = read(row) if row.strip() else None
        except (ValueError, IndexError):
            return f"line {number} is not '{form}'"
        if isinstance(found, Box):
            boxes.append(found)
        elif found is not None:
            dropped[found] += 1
    return boxes, dropped
