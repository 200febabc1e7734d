"""What tracking adds to an annotated image: trails, lines and zones with their counts."""

from __future__ import annotations

import cv2
import numpy as np

from engine.tracking.result import PlacedRegion, TrackingResult
from utils.draw import Colour, colour, draw_tag, line_width

REGION: Colour = (60, 200, 255)  # amber
TINT = 0.15  # opacity of a zone's area


def draw_tracking(image: np.ndarray, boxes: np.ndarray, seen: TrackingResult, thickness: int = 3) -> np.ndarray:
    """Regions with their counts, and trails in the colours of their classes, on a copy of the image (H, W, 3) uint8.

    boxes: (n, 6). The image itself is returned where there is nothing to draw.
    """
    if not seen.trails and not seen.regions:
        return image
    drawn = np.ascontiguousarray(image).copy()
    width = line_width(drawn.shape, thickness)
    for region in seen.regions:
        _draw_region(drawn, region, width)
    for number, label in zip(seen.ids.tolist(), boxes[:, 5].tolist(), strict=True):
        if len(trail := seen.trails.get(number, ())) > 1:
            cv2.polylines(drawn, [_pixels(trail)], False, colour(int(label)), max(1, width * 2 // 3), cv2.LINE_AA)
    for region in seen.regions:
        x, y = region.points[0]
        draw_tag(drawn, f"{region.name} {count_text(region, seen)}", (round(x), round(y)), REGION, width)
    return drawn


def _draw_region(drawn: np.ndarray, region: PlacedRegion, width: int) -> None:
    """A zone tinted, a line with a short stroke on its `in` side."""
    points = _pixels(region.points)
    if region.kind == "zone":
        tinted = drawn.copy()
        cv2.fillPoly(tinted, [points], REGION)
        cv2.addWeighted(tinted, TINT, drawn, 1 - TINT, 0, drawn)
    cv2.polylines(drawn, [points], region.kind == "zone", REGION, width, cv2.LINE_AA)
    if region.kind == "line":
        start, end = (np.array(point) for point in region.points)
        along = (end - start) / np.linalg.norm(end - start)
        middle, right = (start + end) / 2, np.array([-along[1], along[0]])  # y points down: right of the way
        tip = middle + right * 12 * width
        foot, head = (tuple(np.round(place).astype(int).tolist()) for place in (middle, tip))
        cv2.arrowedLine(drawn, foot, head, REGION, width, cv2.LINE_AA, tipLength=0.4)


def count_text(region: PlacedRegion, seen: TrackingResult) -> str:
    """What stands beside a region: `in 3 out 1`, or `2 inside`, of all classes."""
    if region.kind == "line":
        counts = seen.lines[region.name].values()
        return f"in {sum(one['in'] for one in counts)} out {sum(one['out'] for one in counts)}"
    return f"{sum(one['inside'] for one in seen.zones[region.name].values())} inside"


def _pixels(points: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(k, 1, 2) int32, as OpenCV draws them."""
    return np.round(np.array(points)).astype(np.int32)[:, None]
