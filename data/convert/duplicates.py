"""Images that a data set lists twice: joined within a split, noted across splits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace
from pathlib import Path

from data.convert.items import Item
from data.convert.writer import Summary


def joined(items: Iterable[Item], summary: Summary) -> list[Item]:
    """The items, those of one file in one split as a single one with the boxes of all, each box once.

    One file may have several names (links). Rows that state different sizes stay apart. Notes how many were joined, and how
    many files are in two splits.
    """
    first: dict[Hashable, int] = {}
    splits: dict[Hashable, set[str]] = defaultdict(set)
    result: list[Item] = []
    count = 0
    for item in items:
        file = _identity(item.image)
        splits[file].add(item.split)
        place = first.setdefault((file, item.split, item.crop, item.size), len(result))
        if place == len(result):
            result.append(item)
            continue
        result[place] = replace(result[place], boxes=tuple(dict.fromkeys(result[place].boxes + item.boxes)))
        count += 1
    if count:
        summary.notes.append(f"{count} rows name an image that another row names already; their boxes were joined")
    both = [" and ".join(sorted(each)) for each in splits.values() if len(each) > 1]
    for pair in sorted(set(both)):
        summary.notes.append(
            f"{both.count(pair)} images are in {pair}: results on images that were trained on say little. Take them out of one"
        )
    return result


def _identity(image: Path) -> Hashable:
    """What a file is, whatever it is called; the name where there is none."""
    try:
        found = os.stat(image)
    except (OSError, ValueError):
        return str(image)
    return found.st_dev, found.st_ino
