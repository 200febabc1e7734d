"""The record of an image set that is being made: which recipe, which images are done. It makes a run resumable."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.disk.locks import LOCK
from utils.disk.reading import read_whole
from utils.errors import UserError
from utils.files import atomic_write, load_yaml, save_yaml

MANIFEST = "manifest.csv"
RECORDS = frozenset({"darken.yaml", "degrade.yaml", "enhance.yaml"})  # notes of commands that make a set
STAMP = "source_stamp"  # the column that tells whether a source image is still the same file
SOURCE = "source"  # of the recipe; folders of older versions lack it, as their manifests lack the column


class Manifest:
    """manifest.csv in `out`, a row per image; and the file `note` beside it, which keeps the recipe.

    sources: file below `out` -> the image that it is made from. `rows`: file -> its row, as text, of all images that
    are surely done: listed, there, and of a source that did not change since. Raises UserError where `out` was begun
    with another recipe, or holds anything without having one.
    """

    def __init__(
        self, out: Path, note: str, recipe: Mapping[str, Any], sources: Mapping[str, Path] | None = None
    ) -> None:
        self.file = out / MANIFEST
        self._stamps = {name: _stamp(path) for name, path in (sources or {}).items()}
        self._begin(out, note, recipe)
        self.rows: dict[str, dict[str, str]] = self._read(out)

    def _begin(self, out: Path, note: str, recipe: Mapping[str, Any]) -> None:
        """Keep the recipe, or compare it with that of the run being resumed."""
        if not (out / note).is_file():
            if out.is_dir() and any(path.name != LOCK for path in out.iterdir()):
                raise UserError(f"--out {out}: already holds something else. Choose another folder.")
            save_yaml(out / note, recipe)
            return
        stands = load_yaml(out / note)
        for key in (*recipe, *stands):
            if key == SOURCE and key not in stands:
                continue
            if stands.get(key) != recipe.get(key):
                raise UserError(
                    f"--out {out}: began with {key} {stands.get(key)}, now it is {recipe.get(key)}. Use the "
                    "first, or choose another folder."
                )

    def _read(self, out: Path) -> dict[str, dict[str, str]]:
        """The rows. Lines without an image, of another source image, cut short or damaged, are removed from the file."""
        if not self.file.is_file():
            return {}
        text = read_whole(self.file).decode("utf-8-sig", errors="surrogateescape")
        header, *lines = io.StringIO(text, newline="").readlines() or [""]
        columns = _values(header) if header.rstrip().isprintable() else []
        if columns and STAMP not in columns and header.endswith("\n"):
            self._stamps = {}  # of an older version: its rows count as done, and the new ones have its columns
        kept: dict[str, dict[str, str]] = {}
        texts: dict[str, str] = {}
        for line in lines:
            values = _values(line)
            if line.endswith("\n") and len(values) == len(columns) and _is_there(out, values[0]):
                row = dict(zip(columns, values, strict=True))
                now = self._stamps.get(values[0])
                if not now or row.get(STAMP) == now:  # a source that is gone, or not asked for now, cannot be redone
                    kept[values[0]], texts[values[0]] = row, line
        if not columns or not header.endswith("\n"):
            self.file.unlink()  # cut short in its first line, or damaged there
        elif len(kept) < len(lines):
            atomic_write(self.file, "".join([header, *texts.values()]).encode(errors="surrogateescape"))
        return kept

    def add(self, row: Mapping[str, Any]) -> None:
        """Append an image that is written; its first value is the file below `out`. Raises OSError on a full disk."""
        written = {key: _text(value) for key, value in row.items()}
        if self._stamps:
            written[STAMP] = self._stamps.get(next(iter(written.values())), "")
        line = io.StringIO()
        writer = csv.DictWriter(line, list(written), lineterminator="\n")
        if not self.file.is_file():
            writer.writeheader()
        writer.writerow(written)
        with self.file.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
            file.write(line.getvalue())
        self.rows[next(iter(written.values()))] = written


def _values(line: str) -> list[str]:
    """The values of a line; none where it is damaged."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def _is_there(out: Path, name: str) -> bool:
    """Whether an image that is listed is there; no file system has a name that is too long."""
    try:
        return (out / name).is_file()
    except OSError:
        return False


def _stamp(path: Path) -> str:
    """A file's bytes and its time of change in ns; nothing where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _text(value: Any) -> str:
    """On one line; floats in as many digits as bring them back."""
    return repr(value) if isinstance(value, float) else " ".join(str(value).splitlines())
