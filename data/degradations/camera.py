"""What lens, shutter, sensor and file format do to an image.

Each function takes images (B, 3, H, W) in [0, 1], its drawn parameters and random fields, and returns new images.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from data.degradations.common import (
    BatchParameters,
    RandomFields,
    Range,
    grey,
    linear_to_srgb,
    srgb_to_linear,
    to_bytes,
)
from data.degradations.kernels import correlate, disc_kernels, line_kernels
from data.io.images import Unreadable

JPEG_SIDE = 65_500  # px, the most that libjpeg writes

MOTION_RANGES = {
    "length": Range(
        (0.002, 0.004), (0.04, 0.07), "way of the image while the shutter is open, fraction of the longer side"
    ),
    "angle": Range((0.0, 3.14159), (0.0, 3.14159), "of that way, radians from right towards down"),
}
DEFOCUS_RANGES = {
    "radius": Range((0.001, 0.0015), (0.012, 0.018), "of the disc a point becomes, fraction of the longer side")
}
SHOT_RANGES = {"electrons": Range((3000.0, 6000.0), (15.0, 40.0), "charge of a full pixel", geometric=True)}
READ_RANGES = {
    "sigma": Range((0.0008, 0.0015), (0.05, 0.09), "deviation, fraction of a full pixel, linear light", True)
}
IMPULSE_RANGES = {"share": Range((0.002, 0.004), (0.12, 0.25), "of the values that are stuck at black or white", True)}
JPEG_RANGES = {"quality": Range((75.0, 95.0), (5.0, 10.0), "of libjpeg's scale, 1 to 100", geometric=True)}
RESOLUTION_RANGES = {"factor": Range((1.0, 1.25), (3.0, 4.0), "by which both sides were reduced", geometric=True)}
CONTRAST_RANGES = {"factor": Range((0.8, 0.95), (0.06, 0.15), "that is left of each difference to the mean grey", True)}


def motion_blur(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """A straight, even movement of the whole image while the shutter is open, in linear light."""
    strokes = line_kernels(p.host("length") * max(image.shape[2:]), p.host("angle"), 0.4)
    return linear_to_srgb(correlate(srgb_to_linear(image), strokes))


def defocus_blur(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """Every point becomes an even disc, in linear light: bright points show it, as with a real lens."""
    return linear_to_srgb(correlate(srgb_to_linear(image), disc_kernels(p.host("radius") * max(image.shape[2:]))))


def shot_noise(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """The chance of counting photons: variance = light / electrons in linear light, as of normal draws."""
    light = srgb_to_linear(image)
    return linear_to_srgb(light + (light / p["electrons"]).sqrt() * fields.normal(*image.shape[1:]))


def read_noise(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """The noise of the amplifier: the same deviation at every light, so the shadows suffer."""
    return linear_to_srgb(srgb_to_linear(image) + p["sigma"] * fields.normal(*image.shape[1:]))


def impulse_noise(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """Values stuck at black or white, half of each, every channel for itself."""
    chance = fields.uniform(*image.shape[1:])
    stuck = (chance < p["share"] / 2).to(image.dtype)
    return torch.where(chance < p["share"], stuck, image)


def jpeg(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """Written as JPEG and read again, image by image, on the CPU; colours at half the resolution (4:2:0)."""
    return compressed(image, p.host("quality").round().clamp(1, 100).int().tolist())


def contrast(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """m + factor (x - m) on display values, m the image's mean grey, as behind a dirty or wet pane."""
    mean = grey(image).mean((2, 3), keepdim=True)
    return mean + p["factor"] * (image - mean)


def low_resolution(image: Tensor, p: BatchParameters, fields: RandomFields) -> Tensor:
    """Taken with fewer pixels and enlarged again: antialiased on the way down, bicubic on the way up, at least 2 px."""
    size = (image.shape[2], image.shape[3])
    return torch.cat(
        [_enlarged(one, size, factor) for one, factor in zip(image.split(1), p.host("factor").tolist(), strict=True)]
    )


def _enlarged(image: Tensor, size: tuple[int, int], factor: float) -> Tensor:
    small = [max(min(side, 2), round(side / factor)) for side in size]
    if tuple(small) == size:
        return image
    few = F.interpolate(image, small, mode="bilinear", antialias=True)
    return F.interpolate(few, size, mode="bicubic", align_corners=False)


def compressed(image: Tensor, qualities: list[int]) -> Tensor:
    """(B, 3, H, W) in [0, 1] through JPEG of a quality each, 1 to 100. Raises Unreadable for sides above JPEG_SIDE."""
    pixels = to_bytes(image).permute(0, 2, 3, 1).flip(3).contiguous().cpu().numpy()  # BGR
    parts = [_through_jpeg(img, quality) for img, quality in zip(pixels, qualities, strict=True)]
    back = torch.from_numpy(np.stack(parts)).to(image.device)  # (B, H, W, 3)
    return back.flip(3).permute(0, 3, 1, 2).contiguous().to(image.dtype) / 255


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    if max(image.shape[:2]) > JPEG_SIDE:
        raise Unreadable(
            f"{image.shape[1]} x {image.shape[0]} px cannot become JPEG, which holds {JPEG_SIDE} px per side"
        )
    written, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    found = cv2.imdecode(data, cv2.IMREAD_COLOR) if written else None
    if found is None:
        raise ValueError(f"an image of {image.shape[1]} x {image.shape[0]} px cannot be written as JPEG")
    return np.asarray(found)
