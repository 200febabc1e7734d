"""attributes.csv beside a data set: what is known of its images besides objects, such as weather or kind of light.

One row per image: a column `image`, its path below the data set's folder (or its name, where no other image has it), and
any other columns. Where there is none, the manifest.csv of a set that prepare.py made serves: what was drawn for each image.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.errors import UserError
from utils.tables import save_csv

FILE, KEY = "attributes.csv", "image"
MANIFEST, MANIFEST_KEY = "manifest.csv", "file"
FEW = 10  # different numbers up to which each is a value of its own
MOSTLY = 0.8  # fraction of a column's values that are numbers, from which on it is a column of numbers
SHOWN = 3  # names in a note
LONGEST = 60  # letters of a value


@dataclass(frozen=True)
class Attributes:
    """columns: name -> one text per image, empty where nothing is known; notes: what a user should know, a line each."""

    file: Path
    columns: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)

    def numbers(self, column: str) -> NDArray[np.float64] | None:
        """The values of a column of many different numbers, NaN where there is none; None for any other column."""
        texts = self.columns[column]
        values = np.array([_number(text) for text in texts], float)
        known, given = np.isfinite(values), sum(map(bool, texts))
        if len(np.unique(values[known])) <= FEW or known.sum() < MOSTLY * given:
            return None
        if known.sum() < given:
            odd = [text for text, value in zip(texts, known, strict=True) if text and not value]
            self.notes.append(
                f"note: {self.file}: {len(odd)} of {given} values of '{column}' are not numbers, such as {odd[0]!r}; these "
                "count as not known"
            )
        return values


def find_attributes(root: Path, data: Path) -> Path | None:
    """attributes.csv in a data set's folder, or beside its data YAML, else the folder's manifest; None where there is none."""
    places = (root / FILE, data.parent / FILE, root / MANIFEST)
    return next((place for place in places if place.is_file()), None)


def read_attributes(file: Path, root: Path, images: Sequence[Path]) -> Attributes:
    """The attributes of images, in their order. root: the folder that the names in the file are relative to.

    Images that the file does not name have empty values; rows of other images are left out where they are of this data
    set, and noted where they are not. Raises UserError where the file cannot be read as such a table.
    """
    rows, columns = _read(file)
    named: dict[str, dict[str, str]] = {}
    for row in rows:
        named.setdefault(_plain(row[KEY]), row)
    keys = [_key(image, root, named) for image in images]
    found = [named.get(key, {}) if key else {} for key in keys]
    values = {column: [row.get(column, "")[:LONGEST] for row in found] for column in columns}
    return Attributes(file, values, _notes(file, rows, named, root, keys))


def _read(file: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The rows, and the names of the columns besides `image`."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            header = [(name or "").strip() for name in table.fieldnames or ()]
            header = [KEY if file.name == MANIFEST and name == MANIFEST_KEY else name for name in header]
            table.fieldnames = header
            rows = [
                {name: (row.get(name) or "").strip() for name in header if name}
                for row in table
                if any(isinstance(value, str) and value.strip() for value in row.values())
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UserError(f"{file}: cannot be read as a table ({problem}). Expected CSV in UTF-8.") from None
    if KEY not in header:
        raise UserError(
            f"{file}: has no column '{KEY}'. Expected a first line such as '{KEY},weather', and a row per image with its path "
            "below the data set's folder."
        )
    twice = next((name for name, count in Counter(filter(None, header)).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{file}: the column '{twice}' stands twice. Rename one of the two.")
    return rows, [name for name in header if name and name != KEY]


def _plain(name: str) -> str:
    """A path as this module compares it."""
    return name.replace("\\", "/").removeprefix("./")


def _key(image: Path, root: Path, named: Mapping[str, object]) -> str | None:
    """What the file calls an image: its path below the folder, else its name; None where it has no row."""
    below = image.relative_to(root).as_posix() if image.is_relative_to(root) else image.as_posix()
    return next((name for name in (below, image.name, image.stem) if name in named), None)


def _notes(
    file: Path, rows: Sequence[Mapping[str, str]], named: Mapping[str, object], root: Path, keys: Sequence[str | None]
) -> list[str]:
    """Images without a row, rows that stand twice, rows of images that do not exist."""
    notes = []
    if missing := sum(key is None for key in keys):
        notes.append(f"note: {file} has no row for {missing} of {len(keys)} images; they count as not known")
    if twice := len(rows) - len(named):
        notes.append(f"note: {file}: {twice} rows name an image again; the first row of each counts")
    used = {key for key in keys if key}
    strangers = [name for name in named if name not in used and "/" in name and not (root / name).is_file()]
    if strangers:
        first = ", ".join(name[:LONGEST] for name in strangers[:SHOWN])
        notes.append(f"note: {file}: {len(strangers)} rows name no image of this data set, such as {first}")
    return notes


def _number(text: str) -> float:
    """A finite number, or NaN."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def write_attributes(root: Path, rows: Mapping[str, Mapping[str, str]]) -> None:
    """Write attributes.csv: image (path below `root`) -> values. Rows of a file that stands are kept; nothing for no rows."""
    if not any(rows.values()):
        return
    file = root / FILE
    standing = _read(file)[0] if file.is_file() else []
    kept = {row[KEY]: {name: value for name, value in row.items() if name != KEY} for row in standing}
    save_csv(file, [{KEY: image, **values} for image, values in sorted({**kept, **rows}.items())])
