"""A copy of an image tree: the same names in another folder, labels beside it, the originals only ever read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from data.degradations.camera import JPEG_SIDE
from data.io.images import Pixels, Unreadable, encode
from data.io.labels import label_path
from data.io.manifest import MANIFEST, SOURCE, Manifest
from utils.disk.locks import locked, sweep
from utils.errors import UserError
from utils.files import atomic_write, list_images
from utils.log import LOGGER
from utils.progress import progress

_SIDES = {".jpg": JPEG_SIDE, ".jpeg": JPEG_SIDE, ".webp": 16_383, ".png": 1_000_000}  # px that a format can hold


class CopyOutcome(NamedTuple):
    """One image: the manifest's row of its copy, or the reason why it was skipped; and what it was if not 8-bit RGB."""

    path: Path
    row: Mapping[str, Any] | str
    kind: str = ""


CopyOutcomes = Generator[CopyOutcome, None, None]


@dataclass
class CopyResult:
    """Images written now, written before, and skipped with the reason; and the manifest's rows of all copies.

    kinds: how many images of this run were not 8-bit RGB, by what they were, where the rows do not say it.
    """

    out: Path
    written: int = 0
    before: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def headlines(self, done: str) -> list[str]:
        """A line of what was done, such as "brightened by gamma", and one of the kinds that there are."""
        before = f", {self.before} were done before" if self.before else ""
        lines = [f"{self.out}: {self.written} images {done}{before}, {len(self.skipped)} skipped; see {MANIFEST}."]
        kinds = self.kinds or Counter(row["kind"] for row in self.rows.values() if row.get("kind"))
        if kinds:
            listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            lines.append(f"  converted to 8-bit RGB: {listed}")
        return lines

    def print_skipped(self) -> None:
        """A line for each skipped image."""
        for path, reason in self.skipped:
            LOGGER.info(f"  skipped {path}: {reason}")


def copy_images(
    source: Path,
    out: Path,
    note: str,
    recipe: Mapping[str, Any],
    images: Mapping[str, Path],
    work: Callable[[Mapping[str, Path]], CopyOutcomes],
    doing: str,
    labels: bool = True,
) -> CopyResult:
    """Copy images from `source` to `out`, skipping what an earlier run finished; the manifest's row comes last.

    note: file that keeps the recipe. images: name of the copy -> its image. work: writes the copies of those that are
    left, and, if `labels`, their labels. Raises UserError as `Manifest` does, where a label already exists in the place
    of a new copy's, where another process writes there, and saying how far it came where a copy cannot be written.
    """
    with locked(out, "writes into"):
        places = {place.parent for name in images for place in (out / name, label_path(out / name))}
        sweep([out, *places])
        return _copy_images(source, out, note, recipe, images, work, doing, labels)


def _copy_images(
    source: Path, out: Path, note: str, recipe: Mapping[str, Any], images: Mapping[str, Path],
    work: Callable[[Mapping[str, Path]], CopyOutcomes], doing: str, labels: bool,
) -> CopyResult:  # fmt: skip
    if not (out / note).is_file():
        taken = next((place for name in images if labels and (place := label_path(out / name)).exists()), None)
        if taken is not None:
            raise UserError(
                f"{taken}: already exists, and would be overwritten. Choose another --out, or move it away."
            )
    manifest = Manifest(out, note, {**recipe, SOURCE: str(home_of(source).resolve())}, images)
    todo = {name: path for name, path in images.items() if name not in manifest.rows}
    result = CopyResult(out, before=len(images) - len(todo), rows=manifest.rows)
    try:
        with closing(work(todo)) as outcomes:
            for outcome in progress(outcomes, len(todo), doing):
                if isinstance(outcome.row, str):
                    result.skipped.append((outcome.path, outcome.row))
                    continue
                manifest.add(outcome.row)
                result.written += 1
                result.kinds.update([outcome.kind] if outcome.kind else ())
    except (OSError, UserError) as problem:
        raise interrupted(problem, len(manifest.rows), len(images)) from None
    return result


def label_of(path: Path, labels: bool = True) -> bytes | None:
    """The content of an image's label file, None where it has none, or labels are not wanted."""
    label = label_path(path)
    return label.read_bytes() if labels and label.is_file() else None


def write_copy(image: Pixels, target: Path, quality: int, label: bytes | None) -> None:
    """Write an image (H, W, 3) uint8 RGB in the format of its name `target`, after its label. quality: of JPEG and WebP.

    Raises Unreadable for an image that is too large for its format, UserError for one that OpenCV cannot write here.
    """
    suffix = {".mpo": ".jpg"}.get(target.suffix.lower(), target.suffix.lower())
    height, width = image.shape[:2]
    if max(height, width) > (most := _SIDES.get(suffix, height + width)):
        raise Unreadable(
            f"its copy of {width} x {height} px does not fit a {suffix} file, which holds {most} px per side"
        )
    coded = encode(image[..., ::-1], suffix, quality)
    if coded is None:
        raise UserError(f"{target}: OpenCV cannot write {suffix} files here. Convert the source to .png or .jpg first.")
    if label is not None:
        atomic_write(label_path(target), label)
    atomic_write(target, coded)


def interrupted(problem: Exception, done: int, total: int) -> UserError:
    """What to raise when a disk is full, or a format cannot be written: how far it came, and how to resume."""
    reason = str(problem) if isinstance(problem, UserError) else f"{problem.args[-1]}."
    return UserError(
        f"{reason} {done} of {total} images are done; once that is fixed, the same command resumes from there."
    )


def two_folders(command: str, source: Path | None, out: Path | None, ending: str) -> tuple[Path, Path]:
    """--source (a folder or a list) and --out of a command of prepare.py.

    Raises UserError unless both are given, --source exists, neither holds the other, and --out is no file; `ending` makes
    the name of the folder that it proposes.
    """
    if source is None or out is None:
        raise UserError(f"prepare.py {command}: expected two folders, --source DIR and --out DIR.")
    if not source.exists():
        raise UserError(f"--source {source}: there is no such folder or list of images. Correct the path.")
    home, target = home_of(source), Path(os.path.abspath(out))
    pairs = ((home, target), (home.resolve(), target.resolve()))
    if any(one.is_relative_to(other) or other.is_relative_to(one) for one, other in pairs):
        raise UserError(
            f"--out {out}: lies in --source {source}, or the other way round. The originals are never changed: choose "
            f"a folder beside it, such as {home.parent / (home.name + ending)}."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: a file is in the way. Choose a folder.")
    return source, out


def home_of(source: Path) -> Path:
    """The folder that names of images start at: of a list, the one that it lies in. Absolute; links keep their place."""
    return Path(os.path.abspath(source if source.is_dir() else source.parent))


def names_below(source: Path) -> dict[str, Path]:
    """The images of a folder or a list by their names below it, with forward slashes. Raises UserError for one elsewhere."""
    home, images = home_of(source), list_images(source)
    outside = next((path for path in images if not Path(os.path.abspath(path)).is_relative_to(home)), None)
    if outside is not None:
        raise UserError(f"{outside}: lies outside {home}. List images of that folder only, or give its folder.")
    return {Path(os.path.abspath(path)).relative_to(home).as_posix(): path for path in images}
