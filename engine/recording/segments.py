"""Recorded files on disk: their names, the index of them, and how much room they may take."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from utils.files import atomic_write
from utils.log import LOGGER

INDEX = "index.csv"
PARTIAL = ".part.mp4"


@dataclass(frozen=True)
class Segment:
    """One row of the index. file: relative to the index; start, end: UTC, ISO 8601; events: separated by semicolons."""

    file: str
    source: str
    start: str
    end: str
    frames: int
    bytes: int
    codec: str
    events: str = ""


COLUMNS = tuple(column.name for column in fields(Segment))


class SegmentStore:
    """A folder of segments, `SOURCE/TIME.mp4`, with an index.csv that goes on where it is already there.

    limit: bytes that all segments may take together; the oldest are deleted first, those of earlier runs in this folder too.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.segments = deque(read_index(folder / INDEX))
        self.bytes = sum(segment.bytes for segment in self.segments)
        for left in folder.glob(f"*/*{PARTIAL}"):  # of a run that was killed: fragments are playable, but in no index
            left.unlink(missing_ok=True)

    def begin(self, stem: str, start: float) -> Path:
        """The path of a new segment of the source `stem` while it is written. start: seconds since 1970."""
        moment = datetime.fromtimestamp(start, UTC)
        path = self.folder / stem / f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z{PARTIAL}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def finish(
        self, partial: Path, source: str, start: float, end: float, frames: int, codec: str, events: Sequence[str]
    ) -> None:
        """Give a complete segment its name, note it, and delete the oldest ones that do not fit any more."""
        path = partial.with_name(partial.name.removesuffix(PARTIAL) + ".mp4")
        partial.replace(path)
        size = path.stat().st_size
        name = path.relative_to(self.folder).as_posix()
        row = Segment(name, source, iso(start), iso(end), frames, size, codec, "; ".join(events))
        self.segments.append(row)
        self.bytes += size
        try:
            if not self.make_room():
                self._append(row)
        except OSError:
            self.segments.remove(row)
            self.bytes -= size
            path.unlink(missing_ok=True)
            raise

    def _append(self, row: Segment) -> None:
        """Add a row to the index."""
        with (self.folder / INDEX).open("a", newline="", encoding="utf-8") as index:
            if not index.tell():
                csv.writer(index).writerow(COLUMNS)
            csv.writer(index).writerow(astuple(row))

    def make_room(self, open_bytes: int = 0) -> bool:
        """Delete the oldest segments until the rest fits beside open ones, but for the newest; whether any was deleted."""
        removed = False
        while self.bytes + open_bytes > self.limit and len(self.segments) > 1:
            oldest = self.segments.popleft()
            inside = (self.folder / oldest.file).resolve()
            if inside.is_relative_to(self.folder.resolve()):  # an index may have been edited
                inside.unlink(missing_ok=True)
            self.bytes -= oldest.bytes
            removed = True
        if removed:
            text = io.StringIO()
            csv.writer(text).writerows([COLUMNS, *(astuple(segment) for segment in self.segments)])
            atomic_write(self.folder / INDEX, text.getvalue().encode())
        return removed


def iso(seconds: float) -> str:
    """A time, in seconds since 1970, as UTC to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_index(path: Path) -> list[Segment]:
    """The rows of an index, oldest first; rows that cannot be read are left out, and that is said."""
    if not path.is_file():
        return []
    found, wrong = [], 0
    with path.open(newline="", encoding="utf-8", errors="replace") as text, suppress(csv.Error):
        for row in csv.DictReader(text):
            try:
                file, source, start, end, frames, size, codec, events = (row[name] for name in COLUMNS)
                found.append(Segment(file, source, start, end, int(frames), int(size), codec, events))
            except (KeyError, TypeError, ValueError):
                wrong += 1
    if wrong:
        LOGGER.warning(f"warning: {path}: {wrong} rows cannot be read and are left out")
    return sorted(found, key=lambda segment: segment.end)
