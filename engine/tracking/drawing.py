"""What tracking adds to an annotated image."""

from __future__ import annotations

import cv2
import numpy as np

from engine.tracking.result import TrackingResult
from utils.draw import colour, line_width


def draw_trails(image: np.ndarray, boxes: np.ndarray, seen: TrackingResult, thickness: int = 3) -> np.ndarray:
    """The trail of each object, in the colour of its class, on a copy of the image (H, W, 3) uint8; boxes: (n, 6)."""
    if not seen.trails:
        return image
    drawn = np.ascontiguousarray(image).copy()
    width = max(1, line_width(drawn.shape, thickness) * 2 // 3)
    for number, label in zip(seen.ids.tolist(), boxes[:, 5].tolist(), strict=True):
        if len(trail := seen.trails.get(number, ())) > 1:
            points = np.round(np.array(trail)).astype(np.int32)  # (k, 2)
            cv2.polylines(drawn, [points[:, None]], False, colour(int(label)), width, cv2.LINE_AA)
    return drawn
