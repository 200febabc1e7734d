"""What the checks know of one image file, from a single reading of it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.io.image_measures import SIDE, Stamp, measure, stamp_of
from data.io.images import Pixels, Unreadable, decode, orientation, probe, reduction

THUMB = 32  # px: side of the grey thumbnail that near-duplicates are told by
FORMATS = {
    ".jpg": ("JPEG", "MPO"), ".jpeg": ("JPEG", "MPO"), ".mpo": ("JPEG", "MPO"), ".png": ("PNG",), ".bmp": ("BMP",),
    ".tif": ("TIFF",), ".tiff": ("TIFF",), ".webp": ("WEBP",),
}  # fmt: skip


@dataclass(frozen=True)
class ImageFacts:
    """One image. kind: the finding of an unusable one, with the reason; else empty.

    shape: (height, width) px, turned as EXIF says; format: of the content; digest: of the file's bytes; thumb: grey,
    (THUMB, THUMB) uint8; measures: those of data.io.image_measures.
    """

    path: Path
    stamp: Stamp
    kind: str = ""
    reason: str = ""
    format: str = ""
    orientation: int = 1
    shape: tuple[int, int] = (0, 0)
    digest: bytes = b""
    thumb: NDArray[np.uint8] | None = field(default=None, repr=False)
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether it can be trained on."""
        return not self.kind


def read_image_facts(path: Path, pixels: bool = True) -> ImageFacts:
    """Read one image. Raises nothing: what is wrong with it stands in the facts. pixels: decode and measure it too."""
    stamp = stamp_of(path)
    try:
        shape = probe(path)
        content = path.read_bytes() if pixels else b""
        kind, turn = _header(path)
        image = decode(content, reduction(max(shape) / SIDE)) if pixels else None
    except (Unreadable, OSError) as problem:
        return ImageFacts(path, stamp, *_problem(stamp, str(problem)))
    if pixels and image is None:
        return ImageFacts(path, stamp, "image-unreadable", "cannot be decoded")
    digest = hashlib.blake2b(content, digest_size=16).digest() if pixels else b""
    facts = ImageFacts(path, stamp, "", "", kind, turn, shape, digest)
    return facts if image is None else _with_pixels(facts, image)


def _with_pixels(facts: ImageFacts, image: Pixels) -> ImageFacts:
    """The facts with thumbnail and measures."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    thumb = np.asarray(cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA), np.uint8)
    known = {name: value for name, value in vars(facts).items() if name not in ("thumb", "measures")}
    return ImageFacts(**known, thumb=thumb, measures=measure(image))


def _problem(stamp: Stamp, reason: str) -> tuple[str, str]:
    """The kind of finding behind a reason."""
    if stamp == (-1, -1):
        return "image-missing", "there is no such file"
    return "image-truncated" if "truncated" in reason else "image-unreadable", reason


def _header(path: Path) -> tuple[str, int]:
    """Format and EXIF orientation of an image that `probe` found whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF blocks
        with path.open("rb") as file, Image.open(file) as image:
            return str(image.format), orientation(image)
