"""Images for the page, as data: addresses, so that all of them together stay below a size."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from data.io.images import encode

BUDGET = 4_200_000  # bytes of all images of a page, as written in it
MOST = 45_000  # bytes of one image, as written
SIDES, QUALITIES = (720, 560, 420, 320), (78, 66, 54, 42)  # px and JPEG qualities, the best first


def allowance(images: int) -> int:
    """Bytes for each of so many images."""
    return min(MOST, BUDGET // max(images, 1))


def data_address(image: np.ndarray, allowed: int) -> str:
    """An image (H, W, 3) uint8 blue-green-red as a data: address of at most `allowed` characters, if any size allows it."""
    address = ""
    for side in SIDES:
        for quality in QUALITIES:
            address = _address(_fitted(image, side), quality)
            if len(address) <= allowed:
                return address
    return address


def _address(image: np.ndarray, quality: int) -> str:
    coded = encode(np.asarray(image, np.uint8), ".jpg", quality)
    return "data:image/jpeg;base64," + base64.b64encode(coded or b"").decode()


def _fitted(image: np.ndarray, side: int) -> np.ndarray:
    """The image with a longer side of at most `side` px."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
