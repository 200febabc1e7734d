"""`--source`: cameras, images, videos, folders, patterns, lists and streams as a plan of what to read."""

from __future__ import annotations

import glob
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from utils.disk.reading import read_text
from utils.errors import UserError, suggestion
from utils.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, typed_path
from utils.log import redact
from utils.tables import whole

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "tcp", "udp")
MOST_MATCHES = 1_000_000  # of a pattern
LONGEST_SEARCH = 20.0  # s, for the files of a pattern
LISTS = (".txt", ".streams")
EXAMPLES = (
    "a camera number such as 0, an image, a video, a folder, 'a/pattern*.jpg', a .txt or .streams list, "
    "or an rtsp:// or http:// address"
)


@dataclass(frozen=True)
class Source:
    """One thing to read. `kind`: image or video (a file, or an http address of one), camera, or stream (an address)."""

    kind: str
    where: str  # path, address or camera number: what is opened
    label: str  # what messages and results call it: addresses without user name, password and query
    order: int = 0  # place in the plan, from 1
    stem: str = ""  # name of its output files, unique in the plan
    problem: str = ""  # why it cannot be read, where that is known already
    first: int = 0  # order of the first item of its sequence: the number by which lines and zones name the sequence
    place: int = 1  # in its sequence, from 1; items that turn out to be unreadable have theirs too

    @property
    def title(self) -> str:
        """What it is called where two sources must not share a name: two addresses may differ in their query only."""
        return f"{self.order}: {self.label}"

    @property
    def sequence(self) -> str:
        """Whose frames it belongs to: the images of a folder are one sequence, in their order."""
        return self.title if self.kind != "image" else str(Path(self.where).parent)


@dataclass(frozen=True)
class SourcePlan:
    """Items in order; `together` = all are read at the same time, because one of them never waits."""

    items: tuple[Source, ...]
    together: bool

    @property
    def live(self) -> bool:
        """Whether any item is a camera or a stream."""
        return any(item.kind in {"camera", "stream"} for item in self.items)

    @property
    def firsts(self) -> tuple[int, ...]:
        """Of each item the order of the first one of its sequence: its own, except for images of a folder."""
        return tuple(item.first for item in self.items)


def plan_sources(source: str | Path) -> SourcePlan:
    """Find out what `source` names. Nothing is opened yet, lists excepted.

    Items of a list, of a folder or of a pattern that cannot be read are kept: they are reported when their turn comes.
    Raises UserError where the source itself is missing or names nothing that can be read.
    """
    text = str(source).strip()
    if not text:
        raise UserError(f"--source: nothing was given. Name {EXAMPLES}.")
    together = Path(text).suffix.lower() == ".streams"
    items = _from_list(Path(text)) if _is_list(text) else _from_entry(text)
    live = any(item.kind in {"camera", "stream"} for item in items)
    return SourcePlan(tuple(_in_sequences(_named(items))), together or live)


def is_address(text: str) -> bool:
    """Whether a text is an address (scheme://...) and no path. Raises UserError for a scheme that is not read."""
    scheme, separator, _ = text.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return False
    if scheme.lower() in SCHEMES:
        return True
    raise UserError(f"--source {redact(text)}: addresses of {scheme}:// are not read. Known are {', '.join(SCHEMES)}.")


def _is_camera(text: str) -> bool:
    """Whether a text is the number of a camera."""
    return whole(text) is not None


def _is_list(text: str) -> bool:
    """Whether the source is a list in a file."""
    return Path(text).suffix.lower() in LISTS and not is_address(text)


def _from_entry(text: str) -> list[Source]:
    """The items of a source that is no list. Raises UserError where it is missing or of no known kind."""
    if _is_camera(text):
        return [Source("camera", text, f"camera {text}")]
    if is_address(text):
        try:
            parts = urlsplit(text)
        except ValueError:
            raise UserError(
                f"--source {redact(text)}: is not a valid address. Expected scheme://host/path, an IPv6 host in [ ]."
            ) from None
        kind = _kind(parts.path) if parts.scheme.startswith("http") else None
        return [Source(kind or "stream", text, redact(text))]
    path = typed_path(text)
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return [_file(path)]
    if glob.has_magic(text):
        if items := _images_first(Path(name) for name in _matches(str(path))):
            return items
        raise UserError(
            f"--source {redact(text)}: no image and no video matches this pattern. Is it in quotation marks?"
        )
    here = (entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else ()
    near = suggestion(path.name, here)
    raise UserError(f"--source {redact(text)}: there is no such file or folder.{near} It may be {EXAMPLES}.")


def _matches(pattern: str) -> list[str]:
    """Files of a pattern. Raises UserError for one that matches without end, such as **/* of a whole disk."""
    found: list[str] = []
    end = time.monotonic() + LONGEST_SEARCH
    for name in glob.iglob(pattern, recursive=True):
        found.append(name)
        if len(found) > MOST_MATCHES or time.monotonic() > end:
            raise UserError(
                f"--source {pattern}: matches more than {MOST_MATCHES:,} files, or more than can be listed in "
                f"{LONGEST_SEARCH:.0f} s. Name a folder further down."
            )
    return found


def _file(path: Path) -> Source:
    """An image or video in a file; UserError for another suffix."""
    kind = _kind(path.name)
    if kind is None:
        known = " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
        raise UserError(f"--source {path}: neither an image nor a video by its name. Known are {known}.")
    return Source(kind, str(path), str(path))


def _kind(name: str) -> str | None:
    """image or video, by suffix; None for another."""
    suffix = Path(name).suffix.lower()
    return "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _from_folder(folder: Path) -> list[Source]:
    """Images, then videos, directly in a folder."""
    items = _images_first(path for path in folder.iterdir() if not path.name.startswith("."))
    if items:
        return items
    deeper = any(_kind(name) for _, _, names in os.walk(folder) for name in names)
    hint = f" There are some further down: try --source '{folder}/**/*'." if deeper else ""
    raise UserError(f"--source {folder}: the folder holds no image and no video.{hint}")


def _images_first(paths: Iterable[Path]) -> list[Source]:
    """Items of the paths that are images or videos: images by name, then videos by name, as YOLOv5 has them.

    Folders follow one another, since the images of one are a sequence.
    """
    ordered = sorted(paths, key=lambda path: (path.parent, path.name))
    found = [_file(path) for path in ordered if _kind(path.name) and path.is_file()]
    return sorted(found, key=lambda item: item.kind)  # stable, and "image" < "video"


def _from_list(path: Path) -> list[Source]:
    """Items of a list: one source a line, blank lines and lines that start with # apart."""
    path = typed_path(path)
    if not path.is_file():
        shown = redact(str(path))
        raise UserError(f"--source {shown}: there is no such list. Expected a text file with one source per line.")
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"--source {path}: cannot be read as text ({problem}). Expected one source per line.") from None
    items = [item for line in lines if line and not line.startswith("#") for item in _listed(line, path.parent)]
    if not items:
        raise UserError(f"--source {path}: the list is empty. Expected one source per line.")
    return items


def _listed(line: str, folder: Path) -> list[Source]:
    """The items of one line; what cannot be read becomes an item that says why, so that the others go on.

    A relative path counts from the list's folder, else from the current one.
    """
    beside = str(folder / line)
    try:
        if _is_list(line):
            raise UserError("a list inside a list is not read")
        there = not _is_camera(line) and not is_address(line) and _is_there(beside)
        return _from_entry(beside if there else line)
    except UserError as problem:
        shown, where = redact(line), line if "://" in line else beside
        return [Source("image", where, shown, problem=str(problem).removeprefix(f"--source {shown}: "))]


def _is_there(text: str) -> bool:
    """Whether a path exists, or a pattern matches anything."""
    return typed_path(text).exists() or next(glob.iglob(text), None) is not None


def _named(items: Iterable[Source]) -> list[Source]:
    """Number the items and name their outputs: a file's stem, with a number where another item has it already.

    Images choose first. Frames of a video are named STEM_FRAME, so its stem may not be that of an image STEM_7 either.
    """
    taken: set[str] = set()
    framed: set[str] = set()
    named = []
    for order, item in sorted(enumerate(items, 1), key=lambda entry: entry[1].kind != "image"):
        stem = unique = _stem(item)
        number = 2
        while unique.lower() in taken or (item.kind != "image" and unique.lower() in framed):
            unique, number = f"{stem}_{number}", number + 1
        taken.add(unique.lower())
        if item.kind == "image":
            framed.add(re.sub(r"_[0-9]+$", "", unique.lower()))
        named.append(replace(item, order=order, stem=unique))
    return sorted(named, key=lambda item: item.order)


def _in_sequences(items: Iterable[Source]) -> Iterator[Source]:
    """The items, each with its place in its sequence."""
    firsts: dict[str, int] = {}
    places: Counter[str] = Counter()
    for item in items:
        sequence = item.sequence
        places[sequence] += 1
        yield replace(item, first=firsts.setdefault(sequence, item.order), place=places[sequence])


def _stem(item: Source) -> str:
    """A file's own stem; of cameras and addresses a text that every file system takes."""
    if item.kind in {"image", "video"} and "://" not in item.where:
        return Path(item.where).stem
    return re.sub(r"[^A-Za-z0-9.]+", "_", item.label.partition("://")[2] or item.label).strip("_.")[:80] or "source"
