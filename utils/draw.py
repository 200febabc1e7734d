"""Boxes, labels and heat maps on images. OpenCV only: no font is looked for, none is downloaded."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3), blue-green-red
Colour = tuple[int, int, int]  # blue, green, red
GOLDEN = 0.618034  # hue steps by the golden ratio never come back near an earlier one soon
SHADES = ((0.85, 1.0), (0.55, 0.95), (1.0, 0.70), (0.70, 0.85))  # (saturation, value), one a turn of the wheel
AS_ASKED = (640, 1920)  # lines are as thick as asked where the longest side, in pixels, lies between these
READABLE = 640  # pixels of the longer side below which an image is enlarged for drawing
CONFIDENT = 0.25  # confidence above which a detection is drawn
TEXT_OF_LINE = 6  # text height in lines: 18 px beside a line of 3 px
HIT, MISS, FALSE_ALARM = (60, 170, 60), (40, 40, 230), (230, 110, 30)  # green, red, blue
OPACITY = 0.55  # of a heat map's colours


@lru_cache(maxsize=4096)
def colour(index: int) -> Colour:
    """The colour of a class, blue-green-red 0-255: neighbours differ in hue, and every eighth class in shade."""
    saturation, value = SHADES[index // 8 % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb((0.02 + index * GOLDEN) % 1.0, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def text_colour(background: Colour) -> Colour:
    """Black on light colours, white on dark ones (luma of ITU-R BT.601, 0-255, split where both read equally well)."""
    blue, green, red = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else (255, 255, 255)


def line_width(shape: Sequence[int], thickness: int) -> int:
    """Line thickness in pixels for an image (height, width, ...).

    As asked from 640 to 1920 px, thinner in smaller images and thicker in larger ones, which are looked at scaled.
    """
    longest = max(shape[:2])
    return max(1, round(thickness * max(min(1.0, longest / AS_ASKED[0]), longest / AS_ASKED[1])))


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Mapping[int, str],
    *,
    thickness: int = 3,
    labels: bool = True,
    conf: bool = True,
    paint: Colour | None = None,
    ids: Sequence[int] = (),
) -> np.ndarray:
    """Return a copy of the image with boxes and labels: labels over boxes, the most confident on top.

    image: (H, W, 3) uint8, blue-green-red. boxes: (n, 6) x1 y1 x2 y2 in pixels, confidence, class. paint: of all boxes, in
    place of their classes' colours. ids: identities of the boxes, 0 for none; they stand in the label.
    """
    drawn = np.ascontiguousarray(image).copy()
    width = line_width(drawn.shape, thickness)
    numbered = zip(boxes.tolist(), ids or [0] * len(boxes), strict=True)
    rows = sorted(([*box, identity] for box, identity in numbered), key=lambda row: row[4])
    for x1, y1, x2, y2, _, number, _ in rows:
        cv2.rectangle(drawn, (round(x1), round(y1)), (round(x2), round(y2)), paint or colour(int(number)), width)
    for x1, y1, _, _, score, number, identity in rows if labels else ():
        name = names.get(int(number), str(int(number))) + (f" {identity}" if identity else "")
        draw_tag(
            drawn, f"{name} {score:.2f}" if conf else name, (round(x1), round(y1)), paint or colour(int(number)), width
        )
    return drawn


def draw_tag(image: np.ndarray, text: str, corner: tuple[int, int], paint: Colour, width: int) -> None:
    """A filled tag at a box's upper left corner: above it, inside where there is no room, never off the image."""
    x1, y1 = corner
    size = max(10, TEXT_OF_LINE * width)
    wide, high = text_size(text, size)
    tag_height = high + max(5, high // 2)
    left = max(0, min(x1 - width // 2, image.shape[1] - wide - 6))
    top = y1 - tag_height if y1 >= tag_height else max(0, y1)
    cv2.rectangle(image, (left, top), (left + wide + 6, top + tag_height), paint, cv2.FILLED)
    baseline = top + (tag_height + high) // 2
    _put_text(image, text, (left + 3, baseline), size, text_colour(paint))


def text_size(text: str, size: int) -> tuple[int, int]:
    """(width, height of a capital) in pixels of a text `size` pixels high."""
    font = _font()
    if font is not None:
        _, _, wide, _ = cv2.getTextSize((0, 0), text, (0, 0), font, size, _weight(size))
        return int(wide), round(0.72 * size)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size / 30, max(1, size // 15))
    return wide, high


def _put_text(image: np.ndarray, text: str, origin: tuple[int, int], size: int, paint: Colour) -> None:
    """Write a text with its baseline starting at `origin`."""
    font = _font()
    if font is not None:
        cv2.putText(image, text, origin, paint, font, size, _weight(size))
    else:
        thickness = max(1, size // 15)
        cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, size / 30, paint, thickness, cv2.LINE_AA)


def _weight(size: int) -> int:
    """Stroke weight, 100-900: small text needs no bold."""
    return 400 if size < 14 else 500


@lru_cache(maxsize=1)
def _font() -> Any:
    """The Unicode font that OpenCV 5 carries; None with OpenCV 4, whose strokes know ASCII only."""
    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None


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


def enlarge_small(image: np.ndarray) -> tuple[np.ndarray, float]:
    """An image (H, W, 3), enlarged if it is small, so that tags do not cover it; and the factor."""
    scale = max(1.0, READABLE / max(image.shape[:2]))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), scale


def confident_boxes(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The detections to draw: (n, 6) xyxy, confidence, class, those above a confidence of 0.25."""
    return np.column_stack((boxes, scores, classes))[scores > CONFIDENT]
