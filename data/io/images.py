"""Reading and writing images; and their size, and whether they are whole, from header and last bytes alone."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from utils.disk.reading import is_regular
from utils.errors import UserError
from utils.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Pixels = NDArray[np.uint8]  # (H, W, 3)

MOST_PIXELS = 1 << 27  # of one image of a data set: 384 MiB once it is decoded
_FORMATS = {"BMP", "JPEG", "MPO", "PNG", "TIFF", "WEBP"}
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
ORIENTATION = 274  # the EXIF tag; 1: as stored, 5 to 8 lie on their side
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_JPEG = b"\xff\xd8"  # how one begins
_REDUCED = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8
}  # fmt: skip
_CHUNK = 64  # enough to tell waiting from working
_KINDS = {"1": "grey", "L": "grey", "LA": "grey", "P": "palette", "RGBA": "RGBA", "PA": "palette", "CMYK": "CMYK"}
_QUALITY = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}


class Unreadable(Exception):
    """An image that cannot be used; the message is the reason."""


class DamagedImage(UserError):
    """An image whose header and end are whole, so that a scan takes it, but which cannot be decoded."""


def decode(content: bytes, fraction: int = 1) -> Pixels | None:
    """A file's bytes as an image (H, W, 3) uint8 BGR, turned as its EXIF mark says; None where they are no image.

    fraction: 2, 4 or 8 decode a JPEG at that part of its sides, rounded up: each pixel is the mean of a block, and most of the
    work is never done. Other formats come at their full size.
    """
    flag = _REDUCED[fraction] if content.startswith(_JPEG) else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag) if content else None
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def reduction(ratio: float) -> int:
    """The largest of 8, 4, 2 and 1 that a side which is `ratio` times too long can be divided by, for `decode`.

    >>> [reduction(ratio) for ratio in (0.5, 1.99, 2, 5, 40)]
    [1, 1, 2, 4, 8]
    """
    return next(fraction for fraction in (8, 4, 2, 1) if ratio >= fraction or fraction == 1)


def encode(image: Pixels, suffix: str, quality: int | None = None) -> bytes | None:
    """An image (H, W, 3) uint8 BGR in the format of a suffix; None where OpenCV cannot. quality: of JPEG and WebP."""
    settings = [_QUALITY[suffix], quality] if quality is not None and suffix in _QUALITY else []
    try:
        done, coded = cv2.imencode(suffix, np.ascontiguousarray(image), settings)
    except cv2.error:
        return None
    return coded.tobytes() if done else None


def read_image(path: Path, fraction: int = 1) -> Pixels:
    """Read an image as (H, W, 3) uint8 BGR, see `decode`.

    Raises UserError where it cannot be read now, DamagedImage where decoded.
    """
    try:
        image = decode(path.read_bytes(), fraction)
    except OSError as problem:
        raise UserError(
            f"{path}: was there when the data were scanned, but cannot be read now ({problem.strerror}). Restore it and "
            "resume."
        ) from None
    if image is None:
        raise DamagedImage(f"{path}: cannot be decoded, it is damaged. Replace it or remove it from the data set.")
    return image


def read_rgb(path: Path) -> tuple[Pixels, str]:
    """An image as (H, W, 3) uint8 RGB, and what it was if not 8-bit RGB: "grey", "16 bit", "palette" ...

    Raises Unreadable with the reason.
    """
    probe(path)  # OpenCV fills what a truncated file lacks with grey and says nothing
    try:
        content = path.read_bytes()
        with Image.open(path) as image:
            mode = image.mode
    except OSError as problem:
        raise Unreadable(str(problem)) from None
    pixels = decode(content)
    if pixels is None:
        raise Unreadable("cannot be decoded")
    deep = mode.startswith("I") or (content[:4] == b"\x89PNG" and content[24] == 16)
    return np.ascontiguousarray(pixels[..., ::-1]), "16 bit" if deep else _KINDS.get(mode, "")


def write_image(path: Path, image: Pixels, quality: int = 95) -> None:
    """Write an RGB image (H, W, 3) as JPEG. Raises OSError where OpenCV cannot."""
    coded = encode(image[..., ::-1], path.suffix, quality)
    if coded is None:
        raise OSError(f"{path} could not be written")
    path.write_bytes(coded)


def orientation(image: Image.Image) -> int:
    """The EXIF mark of an image, 1 to 8, by which decoders turn it; 1 for a TIFF, which Pillow has turned already.

    Pillow's own reading takes the mark in XMP where EXIF has none, which OpenCV never does.
    """
    if "exif" not in image.info or image.format == "TIFF":
        return 1
    exif = Image.Exif()
    exif.load(image.info["exif"])
    found = exif.get(ORIENTATION, 1)
    return found if found in _TURNS else 1


def turned(image: Image.Image) -> Image.Image:
    """An image decoded, and turned as its EXIF mark says."""
    image.load()
    method = _TURNS.get(orientation(image))
    return image.copy() if method is None else image.transpose(method)


def probe(path: Path, most: int = MOST_PIXELS) -> tuple[int, int]:
    """Return (height, width) in px of the image as it will be decoded, EXIF rotation included.

    Truncation is told by the format's end marker; only files without it in its place are decoded to be sure.
    Raises Unreadable with the reason, also for more than `most` pixels. The file is opened for reading only.
    """
    try:
        if not is_regular(path):
            raise Unreadable("a pipe or a device, not a file")
        with path.open("rb") as file, Image.open(file) as image:
            if image.format not in _FORMATS:
                raise Unreadable(f"a {image.format} file named {path.suffix}")
            width, height = image.size
            if width * height > most:
                raise Unreadable(f"{width} x {height} px, more than {most:,} in all; cut it with prepare.py slice")
            if orientation(image) in (5, 6, 7, 8):
                width, height = height, width
            _check_end(file, image.format)
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except (UnidentifiedImageError, ImportError):  # Ultralytics replaces Image.open; its own asks for a missing package
        raise Unreadable("not an image, or damaged at its start" if path.stat().st_size else "an empty file") from None
    except Unreadable:
        raise
    except Exception as problem:  # of a damaged header the library raises whatever its fields lead to
        raise Unreadable(f"{problem!s:.200}" or type(problem).__name__) from None
    return height, width


def _check_end(file: BinaryIO, kind: str) -> None:
    """Raise Unreadable unless the whole image is in the file. Bytes after its end are harmless."""
    size = file.seek(0, os.SEEK_END)
    if kind in _ENDS:
        file.seek(max(0, size - 16))
        if _ENDS[kind] in file.read():
            return
    elif kind == "WEBP":
        file.seek(4)
        if int.from_bytes(file.read(4), "little") + 8 <= size:
            return
        raise Unreadable("truncated")
    file.seek(0)
    content = file.read()
    if kind in _ENDS and _ENDS[kind] not in content:
        raise Unreadable("truncated: its end marker is missing")
    with Image.open(io.BytesIO(content)) as image:
        image.load()  # OSError where data are missing


def try_probe(path: Path, most: int = MOST_PIXELS) -> tuple[int, int] | str:
    """(height, width), or the reason why the image cannot be used."""
    try:
        return probe(path, most)
    except Unreadable as problem:
        return str(problem)


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], what: str) -> Iterator[Result]:
    """Map `work` over the items, results in order; a progress line after two seconds.

    The first items tell whether the disk is waited for. If so the rest runs on threads; if the files are in memory
    already, threads would only fight over the interpreter (measured: 2.5 times slower). The first exception is raised.
    """
    yield from progress(_mapped(work, items), len(items), what)


def _mapped(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The results in order, on threads or not."""
    start, busy = time.perf_counter(), time.thread_time()
    first = [work(item) for item in items[:_CHUNK]]
    yield from first
    if time.perf_counter() - start < 2 * (time.thread_time() - busy) + 0.01:
        yield from map(work, items[_CHUNK:])
        return
    with ThreadPoolExecutor(max_workers=16) as pool:
        try:
            yield from pool.map(work, items[_CHUNK:])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
