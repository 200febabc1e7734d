"""A copy of a picture tree: the same names in another folder, labels beside it, the originals only ever read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.labels import label_path
from utils.files import UserError


def two_folders(command: str, source: Path | None, out: Path | None, ending: str) -> tuple[Path, Path]:
    """--source (a folder or a list) and --out of a command of prepare.py.

    Raises UserError unless both are given, neither holds the other, and --out is no file; `ending` makes the name of the
    folder that it proposes.
    """
    if source is None or out is None:
        raise UserError(f"prepare.py {command}: expected two folders, --source DIR and --out DIR.")
    home, target = home_of(source).resolve(), out.resolve()
    if target == home or target.is_relative_to(home) or home.is_relative_to(target):
        raise UserError(
            f"--out {out}: lies in --source {source}, or the other way round. The originals are never touched: choose "
            f"a folder beside it, such as {home.with_name(home.name + ending)}."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: a file is in the way. Choose a folder.")
    return source, out


def home_of(source: Path) -> Path:
    """The folder that names of pictures start at: of a list, the one that it lies in."""
    return source if source.is_dir() else source.parent


def relative(path: Path, home: Path) -> str:
    """A picture's name below the source, with forward slashes. Raises UserError where it lies elsewhere."""
    try:
        return path.relative_to(home).as_posix()
    except ValueError:
        raise UserError(
            f"{path}: lies outside {home}. List pictures of that folder only, or give its folder."
        ) from None


def refuse_taken_labels(out: Path, names: Iterable[str]) -> None:
    """Raise UserError where a label stands already in the place of a copy's."""
    taken = next((place for name in names if (place := label_path(out / name)).exists()), None)
    if taken is not None:
        raise UserError(f"{taken}: is there already, and would be overwritten. Choose another --out, or move it away.")


def encode_as(target: Path, picture: NDArray[np.uint8], quality: int) -> bytes:
    """A picture (H, W, 3) uint8 RGB as the bytes of a file named like `target`. quality: of JPEG and WebP.

    Raises UserError for a format that OpenCV cannot write here.
    """
    suffix = {".mpo": ".jpg"}.get(target.suffix.lower(), target.suffix.lower())
    flag = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
    settings = [flag[suffix], quality] if suffix in flag else []
    fine, coded = cv2.imencode(suffix, np.ascontiguousarray(picture[..., ::-1]), settings)
    if not fine:
        raise UserError(f"{target}: OpenCV cannot write {suffix} files here. Convert the source to .png or .jpg first.")
    return coded.tobytes()
