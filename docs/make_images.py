"""Images of the documentation, each by its name; options after it, --help lists them.

python -m docs.make_images assignment      which points train which object, with and without RFLA
python -m docs.make_images degradations    every degradation at five severities on one synthetic street
python -m docs.make_images enhancers       synthetic night images before and after each enhancer
python -m docs.make_images day-to-night    day images, physical darkening, CUT, and the renderer's night
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.speed.day_to_night import CUT, translations
from data.config import load_data
from data.degrade import COCO_C, DEGRADATIONS, AERISParameters, degrade, draw_parameters, to_bytes
from data.io.images import read_image
from data.synthetic.generate import make_synthetic
from data.synthetic.render.lighting import day
from data.synthetic.street.scene import draw, make_street
from docs.assignment import AssignmentOptions, draw_assignment
from engine.enhancement.enhancer import open_enhancer
from utils.cli import run_cli
from utils.errors import UserError
from utils.files import list_images
from utils.options import build, option, parse_argv

Image = NDArray[np.uint8]
GAP, HEAD, NAME = 3, 16, 14  # px between images, above the columns, above a row
TEST_IMAGES = (0, 7, 21)  # images of demo-night's test split


@dataclass(frozen=True)
class DegradationsOptions:
    """Which street is degraded, and where the sheet goes."""

    street: int = option(3, "number of the street")
    seed: int = option(1, "of the degradations")
    shrink: int = option(2, "factor by which the sheet is downscaled", low=1)
    width: int = option(272, "px of the street, three quarters as high; a multiple of 16", low=64)
    quality: int = option(55, "of the JPEG file", low=1, high=100)
    out: Path = option(Path("docs/images/degradations.jpg"), "output image")


@dataclass(frozen=True)
class EnhancersOptions:
    """Where the sheet goes."""

    out: Path = option(Path("docs/images/enhancers.jpg"), "output image")


@dataclass(frozen=True)
class DayToNightOptions:
    """Which CUT is shown, and where the sheet goes."""

    weights: Path = option(CUT, "of the CUT; bench/comparisons/wiid-cut.yaml trains it")
    out: Path = option(Path("docs/images/day_to_night.jpg"), "output image")


def street(number: int, size: tuple[int, int]) -> Tensor:
    """A synthetic street by day, (1, 3, H, W) in [0, 1]."""
    image = day(draw(make_street(number, size)), number)
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def aeris_rows(image: Tensor) -> dict[str, list[Tensor]]:
    """AERIS's degradation of one draw: at five resolutions, and with increasing blur and noise; shown at full size."""
    height, width = image.shape[2:]
    one: AERISParameters = replace(
        draw_parameters(random.Random(4), (height, width), (height, width)), mode="bilinear", sigma=12 / 255
    )
    resolution, both = [], []
    for ratio, blur in zip((1.0, 1.6, 2.0, 2.67, 4.0), (0.5, 1.2, 2.5, 4.0, 6.0), strict=True):
        size = (round(height / ratio), round(width / ratio))
        small = degrade(image, replace(one, size=size, blur="none"))
        resolution.append(F.interpolate(small, (height, width), mode="nearest-exact"))
        blurred = replace(one, blur="aniso", major=blur, minor=blur / 3, kernel_size=15, sigma=0.016 * blur)
        both.append(degrade(image, blurred))
    return {"AERIS resolution 1 to 1/4, noise 12": resolution, "AERIS blur and noise": both}


def column(title: str, rows: dict[str, list[Tensor]], shrink: int) -> Image:
    """Rows of images under a title, white between them, (H, W, 3) RGB."""
    lines = []
    for name, images in rows.items():
        strip = np.hstack([_framed(_shrunk(image, shrink)) for image in images])
        lines += [_text(name, NAME, strip.shape[1]), strip]
    return np.vstack([_text(title, HEAD, lines[0].shape[1]), *lines])


def sheet(image: Tensor, seed: int, shrink: int) -> Image:
    """AERIS and the physical models left, COCO-C right."""
    left = aeris_rows(image)
    left |= {name: [one(image, [seed], level / 4)[0] for level in range(5)] for name, one in DEGRADATIONS.items()}
    right = {f"COCO-C {name}": [one(image, [seed], k)[0] for k in range(1, 6)] for name, one in COCO_C.items()}
    columns = [column("severity 0 to 1", left, shrink), column("severity 1 to 5", right, shrink)]
    height = max(len(part) for part in columns)
    filled = [np.vstack([c, np.full((height - len(c), *c.shape[1:]), 255, np.uint8)]) for c in columns]
    return np.hstack([filled[0], np.full((height, 4 * GAP, 3), 255, np.uint8), filled[1]])


def _shrunk(image: Tensor, shrink: int) -> Image:
    pixels = np.ascontiguousarray(to_bytes(image)[0].permute(1, 2, 0).numpy())
    small = cv2.resize(pixels, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8)


def _framed(image: Image) -> Image:
    return cv2.copyMakeBorder(image, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255, 255)).astype(np.uint8)


def _text(text: str, height: int, width: int) -> Image:
    """A white strip with text."""
    strip = np.full((height, width, 3), 255, np.uint8)
    cv2.putText(strip, text, (1, height - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return strip


def grid(columns: Mapping[str, Sequence[Image]], height: int = HEAD) -> Image:
    """Columns of images (H, W, 3) under their names, white between them."""
    parts = []
    for name, images in columns.items():
        framed = [_framed(image) for image in images]
        parts.append(np.vstack([_text(name, height, framed[0].shape[1]), *framed]))
    return np.hstack(parts)


def draw_degradations(options: DegradationsOptions) -> None:
    """The sheet of every degradation."""
    size = (options.width, 3 * options.width // 4)
    write(options.out, sheet(street(options.street, size), options.seed, options.shrink), options.quality)


def draw_enhancers(options: EnhancersOptions) -> None:
    """Synthetic night images, each before and after every enhancer."""
    files = list_images(load_data("demo-night", make_demo=make_synthetic).splits["test"][0])
    images = [read_image(files[number]) for number in TEST_IMAGES]  # BGR
    columns = {}
    for name in ("none", "gamma", "clahe", "zero-dce"):
        enhancer = open_enhancer(name, device="cpu")
        columns[name] = [(enhancer.image(image) if enhancer else image)[..., ::-1] for image in images]
    small = {name: [_cut(image, 168) for image in column] for name, column in columns.items()}
    write(options.out, grid(small), quality=60)


def draw_day_to_night(options: DayToNightOptions) -> None:
    """Four streets by every translator."""
    write(options.out, grid({name: images[:4] for name, (images, _) in translations(options.weights).items()}), 80)


def _cut(image: Image, height: int) -> Image:
    """The upper three quarters' middle at 4:3, `height` px high."""
    width = min(image.shape[1], image.shape[0] * 4 // 3)
    part = image[: width * 3 // 4, (image.shape[1] - width) // 2 :][:, :width]
    return cv2.resize(part, (height * 4 // 3, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def write(out: Path, page: Image, quality: int) -> None:
    """Write an RGB image; .jpg at this quality, other formats at OpenCV's defaults."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if out.suffix == ".jpg" else []
    if not cv2.imwrite(str(out), page[..., ::-1], settings):
        raise UserError(f"--out {out}: cannot be written. Choose a writable location that ends in .jpg or .png.")
    print(f"{out}: {page.shape[1]} x {page.shape[0]} px, {out.stat().st_size // 1000} kB")


MAKERS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "assignment": (AssignmentOptions, draw_assignment),
    "degradations": (DegradationsOptions, draw_degradations),
    "enhancers": (EnhancersOptions, draw_enhancers),
    "day-to-night": (DayToNightOptions, draw_day_to_night),
}


def main() -> None:
    """Make the image that the command line names."""
    name, *words = sys.argv[1:] or [""]
    if name not in MAKERS:
        raise UserError(f"python -m docs.make_images: expected one of {', '.join(MAKERS)}.")
    schema, make = MAKERS[name]
    make(*build([schema], parse_argv(words, [schema], f"python -m docs.make_images {name}", str(schema.__doc__))))


if __name__ == "__main__":
    sys.exit(run_cli(main))
