"""Splits that folders of a data set name, such as Roboflow's valid."""

from __future__ import annotations

from pathlib import Path

from data.dialects import SPLIT_FOLDERS

_SPLITS = {word: split for split, words in SPLIT_FOLDERS.items() for word in words}


def folder_split(file: Path, source: Path) -> str | None:
    """The split of the nearest folder around a file that is called as one, in any case, and lies below `source`.

    None where there is none: what the folders above a data set are called says nothing about it.
    """
    below = file.parent.relative_to(source).parts if file.is_relative_to(source) else ()
    return next((_SPLITS[part.lower()] for part in reversed(below) if part.lower() in _SPLITS), None)
