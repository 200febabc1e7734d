"""Every degradation at five severities on one synthetic street, as one image with names.

python -m docs.make_images --out docs/images/degradations.jpg
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from data.degrade import COCO_C, DEGRADATIONS, Draw, degrade, draw_parameters, to_bytes
from data.synthetic.render.lighting import day
from data.synthetic.street.scene import draw, make_street

Image = NDArray[np.uint8]
GAP, HEAD, NAME = 3, 16, 14  # px between images, above the columns, above a row


def street(number: int, size: tuple[int, int]) -> Tensor:
    """A synthetic street by day, (1, 3, H, W) in [0, 1]."""
    image = day(draw(make_street(number, size)), number)
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def aeris_rows(image: Tensor) -> dict[str, list[Tensor]]:
    """AERIS's degradation by one draw: smaller and smaller, and with more and more blur and noise; shown full size."""
    height, width = image.shape[2:]
    one: Draw = replace(
        draw_parameters(random.Random(4), (height, width), (height, width)), mode="bilinear", sigma=12 / 255
    )
    resolution, both = [], []
    for ratio, blur in zip((1.0, 1.6, 2.0, 2.67, 4.0), (0.5, 1.2, 2.5, 4.0, 6.0), strict=True):
        size = (round(height / ratio), round(width / ratio))
        small = degrade(image, replace(one, size=size, blur="none"))
        resolution.append(F.interpolate(small, (height, width), mode="nearest-exact"))
        spoilt = replace(one, blur="aniso", major=blur, minor=blur / 3, kernel_size=15, sigma=0.016 * blur)
        both.append(degrade(image, spoilt))
    return {"AERIS resolution 1 to 1/4, noise 12": resolution, "AERIS blur and noise": both}


def physical_rows(image: Tensor, seed: int) -> dict[str, list[Tensor]]:
    """The table DEGRADATIONS at severity 0, 1/4, 1/2, 3/4, 1."""
    return {name: [one(image, [seed], level / 4)[0] for level in range(5)] for name, one in DEGRADATIONS.items()}


def coco_rows(image: Tensor, seed: int) -> dict[str, list[Tensor]]:
    """The table COCO_C at severity 1 to 5."""
    return {f"COCO-C {name}": [one(image, [seed], level)[0] for level in range(1, 6)] for name, one in COCO_C.items()}


def column(title: str, rows: dict[str, list[Tensor]], shrink: int) -> Image:
    """Rows of images under a title, white between them, (H, W, 3) RGB."""
    lines = [_strip(title, HEAD, rows, shrink)]
    for name, images in rows.items():
        small = [_shrunk(image, shrink) for image in images]
        lines += [_strip(name, NAME, rows, shrink), np.hstack([_framed(image) for image in small])]
    return np.vstack(lines)


def sheet(image: Tensor, seed: int, shrink: int) -> Image:
    """AERIS and the physical models left, COCO-C right."""
    left = {**aeris_rows(image), **physical_rows(image, seed)}
    columns = [column("severity 0 to 1", left, shrink), column("severity 1 to 5", coco_rows(image, seed), shrink)]
    height = max(len(part) for part in columns)
    filled = [np.vstack([c, np.full((height - len(c), *c.shape[1:]), 255, np.uint8)]) for c in columns]
    return np.hstack([filled[0], np.full((height, 4 * GAP, 3), 255, np.uint8), filled[1]])


def _shrunk(image: Tensor, shrink: int) -> Image:
    pixels = np.ascontiguousarray(to_bytes(image)[0].permute(1, 2, 0).numpy())
    small = cv2.resize(pixels, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8)


def _framed(image: Image) -> Image:
    return cv2.copyMakeBorder(image, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255, 255)).astype(np.uint8)


def _strip(text: str, height: int, rows: dict[str, list[Tensor]], shrink: int) -> Image:
    """A white strip as wide as a row, with text."""
    first = next(iter(rows.values()))
    strip = np.full((height, sum(p.shape[3] // shrink + GAP for p in first), 3), 255, np.uint8)
    cv2.putText(strip, text, (1, height - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return strip


def main() -> None:
    """Draw and write it; .jpg at a quality that shows noise, anything else as OpenCV does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/degradations.jpg"))
    parser.add_argument("--street", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shrink", type=int, default=2)
    parser.add_argument(
        "--width", type=int, default=272, help="px of the street, three quarters as high; multiple of 16"
    )
    parser.add_argument("--quality", type=int, default=55, help="of the JPEG file")
    options = parser.parse_args()
    page = sheet(street(options.street, (options.width, 3 * options.width // 4)), options.seed, options.shrink)
    settings = [cv2.IMWRITE_JPEG_QUALITY, options.quality] if options.out.suffix == ".jpg" else []
    if not cv2.imwrite(str(options.out), page[..., ::-1], settings):
        raise SystemExit(f"{options.out}: cannot be written. Choose a writable place that ends in .jpg or .png.")
    print(f"{options.out}: {page.shape[1]} x {page.shape[0]} px, {options.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
