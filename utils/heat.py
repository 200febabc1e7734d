"""Maps over images: a value per pixel becomes a colour, the image below stays to be seen. OpenCV only."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
OPACITY = 0.55


def heat_colours(heat: NDArray[np.floating]) -> Image:
    """heat (H, W) in [0, 1], clipped to it -> (H, W, 3) uint8, blue-green-red: black 0, red one half, yellow 1."""
    levels = np.round(255 * np.nan_to_num(heat).clip(0, 1)).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), np.uint8)


def paint_heat(image: Image, heat: NDArray[np.floating], opacity: float = OPACITY) -> Image:
    """A new image: the greys of `image` (H, W, 3) uint8 blue-green-red below the colours of `heat` (H, W) in [0, 1].

    Greys, so that every colour is the map's. opacity: of the colours, in [0, 1]. Raises ValueError on unequal sizes.
    """
    if image.shape[:2] != heat.shape:
        raise ValueError(f"a map of {heat.shape} does not belong to an image of {image.shape[:2]}")
    greys = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(heat_colours(heat), opacity, greys, 1 - opacity, 0), np.uint8)
