"""What a scan found, kept in one file of plain arrays, so that the next start reads only what changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.io.images import Unreadable
from utils.disk.archives import stored_arrays
from utils.errors import UserError
from utils.files import atomic_write
from utils.log import LOGGER

VERSION = 1
Entry = tuple[tuple[int, int], np.ndarray]  # (height, width), rows (n, 5)
Stamp = tuple[int, int, int, int]  # size and time of change of image and label file; -1 where there is none


class LabelCache:
    """Scans by image. Without a file nothing is kept; an unreadable or foreign cache file counts as empty."""

    def __init__(self, file: Path | None, classes: int) -> None:
        self.file, self.classes = file, classes
        self.known: dict[str, tuple[Stamp, Entry]] = {}
        self.found: dict[str, tuple[Stamp, Entry]] = {}
        self.stamps: dict[str, Stamp] = {}
        if file is not None and file.is_file():
            self._load(file)

    def get(self, image: Path, label: Path) -> Entry | None:
        """The entry of an image, where neither it nor its label file has changed."""
        if self.file is None:
            return None
        try:
            stamp = self.stamps[str(image)] = (*_stamp(image), *_stamp(label))
        except Unreadable:
            return None
        known = self.known.get(str(image))
        return known[1] if known is not None and known[0] == stamp else None

    def add(self, image: Path, shape: tuple[int, int], rows: np.ndarray) -> None:
        """Note what was found."""
        if str(image) in self.stamps:
            self.found[str(image)] = (self.stamps[str(image)], (shape, rows))

    def save(self) -> None:
        """Write what was found, where it differs from what was known. A place that cannot be written to is no error."""
        unchanged = {key: value[0] for key, value in self.found.items()} == {k: v[0] for k, v in self.known.items()}
        if self.file is None or unchanged:
            return
        try:
            atomic_write(self.file, self._write)
        except (UserError, OSError) as problem:
            LOGGER.warning("labels are not cached: %s", problem)

    def _write(self, path: Path) -> None:
        entries = list(self.found.values())
        with path.open("wb") as file:
            np.savez(
                file,
                version=np.array([VERSION, self.classes]),
                images=np.array(list(self.found), dtype=str),
                stamps=np.array([stamp for stamp, _ in entries], np.int64),
                shapes=np.array([shape for _, (shape, _) in entries], np.int64),
                counts=np.array([len(rows) for _, (_, rows) in entries], np.int64),
                rows=np.concatenate([rows for _, (_, rows) in entries]),
            )

    def _load(self, file: Path) -> None:
        """Fill `known` from a file. Arrays of objects, which could run code, are never read."""
        try:
            with stored_arrays(file) as content:
                if content["version"].tolist() != [VERSION, self.classes]:
                    return
                rows = np.split(content["rows"].astype(np.float32), np.cumsum(content["counts"])[:-1])
                columns = (content["images"].tolist(), content["stamps"].tolist(), content["shapes"].tolist(), rows)
                for image, stamp, shape, boxes in zip(*columns, strict=True):
                    self.known[image] = (tuple(stamp), (tuple(shape), boxes))
        except (OSError, ValueError):
            LOGGER.warning("%s: not a cache of labels, or damaged; reading the labels again", file)
            self.known = {}


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change (ns); (-1, -1) for a file that is not there. Raises Unreadable for other trouble."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return -1, -1
    except OSError as problem:
        raise Unreadable(str(problem)) from None
    return facts.st_size, facts.st_mtime_ns
