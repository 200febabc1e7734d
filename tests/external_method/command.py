"""The command that the method of this folder brings along: python prepare.py --method ... sketch FOLDER --out FOLDER"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2

from data.io.images import read_image
from utils.files import list_images
from utils.options import option


@dataclass(frozen=True)
class DrawOptions:
    """Which images, and where to."""

    source: Path | None = option(None, "folder of images", group="Sketch")
    out: Path | None = option(None, "folder of the drawings", group="Sketch")


def draw(options: DrawOptions) -> int:
    """Write the edges of every image. Returns how many there are."""
    assert options.source is not None and options.out is not None
    files = list_images(options.source, options.source)
    options.out.mkdir(parents=True)
    for file in files:
        cv2.imwrite(str(options.out / f"{file.stem}.png"), cv2.Canny(read_image(file), 50, 150))
    return len(files)
