"""Whether edges of one image lie where those of another do: what a day-to-night translator must keep."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
REACH = 6  # px: the largest shift that is tried


def edges(image: Image) -> NDArray[np.float32]:
    """Edge strength (H, W) of an image (H, W, 3): the root of the gradient's length, so that dim edges count too."""
    grey = cv2.GaussianBlur(image.astype(np.float32).mean(2), (0, 0), 1.0)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.sqrt(np.hypot(dx, dy)).astype(np.float32)


def agreement(before: Image, after: Image, reach: int = REACH) -> tuple[float, tuple[int, int]]:
    """Correlation of the edges of two images of one size, and the shift (rows, columns) in px, up to `reach`, that
    would maximise it."""
    fixed, moving = edges(before), edges(after)
    centre = fixed[reach:-reach, reach:-reach]
    scores = cv2.matchTemplate(moving, centre, cv2.TM_CCOEFF_NORMED)  # (2 reach + 1, 2 reach + 1)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[reach, reach]), (int(row) - reach, int(column) - reach)
