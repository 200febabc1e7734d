"""A copy of an image tree: the same names in another folder, labels beside it, the originals only ever read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.degradations.camera import JPEG_SIDE
from data.io.images import Unreadable, probe
from data.io.labels import label_path
from data.io.manifest import MANIFEST, SOURCE, Manifest
from utils.errors import UserError
from utils.files import atomic_write, list_images

_KINDS = {"1": "grey", "L": "grey", "LA": "grey", "P": "palette", "RGBA": "RGBA", "PA": "palette", "CMYK": "CMYK"}
_SIDES = {".jpg": JPEG_SIDE, ".jpeg": JPEG_SIDE, ".webp": 16_383, ".png": 1_000_000}  # px that a format can hold


@dataclass
class Copied:
    """What was done: images written now, done before, and left out with the reason.

    kinds: how many images were not RGB of 8 bits, by what they were.
    """

    out: Path
    written: int = 0
    before: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def headlines(self, done: str) -> list[str]:
        """A line of what was done, such as "brightened by gamma", and one of the kinds that there are."""
        before = f", {self.before} were done before" if self.before else ""
        left_out = f"{len(self.skipped)} left out; see {MANIFEST}."
        lines = [f"{self.out}: {self.written} images {done}{before}, {left_out}"]
        if self.kinds:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
            lines.append(f"  read as RGB of 8 bits: {kinds}")
        return lines

    def print_skipped(self) -> None:
        """A line for each image left out."""
        for path, reason in self.skipped:
            print(f"  left out {path}: {reason}")


def interrupted(problem: Exception, done: int, total: int) -> UserError:
    """What to raise when a disk is full, or a format cannot be written: how far it came, and how to go on."""
    reason = str(problem) if isinstance(problem, UserError) else f"{problem.args[-1]}."
    return UserError(
        f"{reason} {done} of {total} images are done; once that is put right, the same command goes on from there."
    )


def two_folders(command: str, source: Path | None, out: Path | None, ending: str) -> tuple[Path, Path]:
    """--source (a folder or a list) and --out of a command of prepare.py.

    Raises UserError unless both are given, neither holds the other, and --out is no file; `ending` makes the name of the
    folder that it proposes.
    """
    if source is None or out is None:
        raise UserError(f"prepare.py {command}: expected two folders, --source DIR and --out DIR.")
    home, target = home_of(source), Path(os.path.abspath(out))
    if _nested(home, target) or _nested(home.resolve(), target.resolve()):
        raise UserError(
            f"--out {out}: lies in --source {source}, or the other way round. The originals are never touched: choose "
            f"a folder beside it, such as {home.with_name(home.name + ending)}."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: a file is in the way. Choose a folder.")
    return source, out


def _nested(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def home_of(source: Path) -> Path:
    """The folder that names of images start at: of a list, the one that it lies in. Absolute; links keep their place."""
    return Path(os.path.abspath(source if source.is_dir() else source.parent))


def relative(path: Path, home: Path) -> str:
    """An image's name below the source, with forward slashes. Raises UserError where it lies elsewhere."""
    try:
        return Path(os.path.abspath(path)).relative_to(home).as_posix()
    except ValueError:
        raise UserError(f"{path}: lies outside {home}. List images of that folder only, or give its folder.") from None


def names_below(source: Path) -> dict[Path, str]:
    """The images of a folder or a list, each with its name below the source. Raises UserError as `relative` does."""
    home = home_of(source)
    return {path: relative(path, home) for path in list_images(source)}


def begin(
    source: Path, out: Path, note: str, recipe: Mapping[str, Any], images: Mapping[str, Path], labels: bool = True
) -> Manifest:
    """The record of a copy that is begun or gone on with. images: name of the copy -> the image that it is made from.

    labels: whether labels will be written beside the copies. Raises UserError as `Manifest` does, and where a label stands
    already in the place of a new copy's.
    """
    if not (out / note).is_file():
        taken = next((place for name in images if labels and (place := label_path(out / name)).exists()), None)
        if taken is not None:
            raise UserError(
                f"{taken}: is there already, and would be overwritten. Choose another --out, or move it away."
            )
    return Manifest(out, note, {**recipe, SOURCE: str(home_of(source).resolve())}, images)


def read_image(path: Path) -> tuple[NDArray[np.uint8], str]:
    """An image as 8-bit RGB, turned as its EXIF mark says, and what it was if not that: "grey", "16 bit", "palette" ...

    Raises Unreadable with the reason.
    """
    probe(path)  # OpenCV fills what a truncated file lacks with grey and says nothing
    try:
        content = path.read_bytes()
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        with Image.open(path) as image:
            mode = image.mode
    except (OSError, cv2.error) as problem:
        raise Unreadable(str(problem)) from None
    if pixels is None:
        raise Unreadable("cannot be decoded")
    deep = mode.startswith("I") or (content[:4] == b"\x89PNG" and content[24] == 16)
    kind = "16 bit" if deep else _KINDS.get(mode, "")
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8, copy=False), kind


def encode_as(target: Path, image: NDArray[np.uint8], quality: int) -> bytes:
    """An image (H, W, 3) uint8 RGB as the bytes of a file named like `target`. quality: of JPEG and WebP.

    Raises Unreadable for an image that is too large for its format, UserError for one that OpenCV cannot write here.
    """
    suffix = {".mpo": ".jpg"}.get(target.suffix.lower(), target.suffix.lower())
    height, width = image.shape[:2]
    if max(height, width) > (most := _SIDES.get(suffix, height + width)):
        raise Unreadable(
            f"its copy of {width} x {height} px does not fit a {suffix} file, which holds {most} px per side"
        )
    flag = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
    settings = [flag[suffix], quality] if suffix in flag else []
    fine, coded = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]), settings)
    if not fine:
        raise UserError(f"{target}: OpenCV cannot write {suffix} files here. Convert the source to .png or .jpg first.")
    return coded.tobytes()


def copy_label(image: Path, target: Path) -> None:
    """Give the copy `target` the label of `image`, where it has one."""
    label = label_path(image)
    if label.is_file():
        atomic_write(label_path(target), label.read_bytes())
