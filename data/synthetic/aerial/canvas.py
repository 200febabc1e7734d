"""A canvas for images from straight above: surfaces, shadows, what is taken, and the boxes of what was put down.

Everything is painted four times as large, with a margin around the image, and measured there. Places and lengths
are in px of the finished image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array
from data.synthetic.render.primitives import Colour, times

Corners = NDArray[np.int32]  # (n, 2) in 1/16 dots of the canvas
Place = tuple[float, float]  # px of the finished image
Polygon = Sequence[Place]  # px, around the middle of an object, x to its front

FINER = 4  # drawn at this many dots per pixel
MARGIN = 32  # px drawn around the image, so that shadows and cut objects come in
LEAST_SHARE, LEAST_SIDE = 0.4, 2.0  # an object that shows less of its area, or fewer px, is not drawn


class Ground:
    """An image in the making: dots (H, W, 3), labels so far, and what is taken."""

    def __init__(self, seed: int, size: tuple[int, int], names: Sequence[str], surfaces: Sequence[Colour]) -> None:
        """size: (width, height) of the finished image, px; names: of the classes, in label order.

        surfaces: one of them lies under everything.
        """
        self.rng = np.random.default_rng([seed, 29])
        self.size, self.names = size, names
        self.shape = ((size[1] + 2 * MARGIN) * FINER, (size[0] + 2 * MARGIN) * FINER)
        angle = self.rng.uniform(0, 2 * math.pi)
        self.sun = (math.cos(angle), math.sin(angle))  # where shadows fall
        self.dots = self._plain(self.pick(surfaces), 0.05)
        self.taken: list[tuple[float, float, float]] = []  # x, y, radius
        self.labels: list[tuple[float, ...]] = []  # class, centre x, centre y, width, height as fractions

    def pick(self, colours: Sequence[Colour]) -> Colour:
        """One of the colours, a little lighter or darker."""
        shade = self.rng.uniform(0.9, 1.1)
        return times(colours[int(self.rng.integers(len(colours)))], shade)

    def _plain(self, colour: Colour, rough: float) -> Array:
        """A surface of one colour with patches and grain."""
        height, width = self.shape
        noise = np.zeros((height, width, 1), np.float32)
        for cells, fraction in ((5, 1.0), (24, 0.7), (90, 0.6)):
            coarse = self.rng.normal(0, rough * fraction, (cells, cells)).astype(np.float32)
            noise[..., 0] += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(colour, np.float32) * (1 + noise)

    def _corners(self, polygon: Polygon, place: Place = (0, 0), angle: float = 0.0) -> Corners:
        """A polygon on the canvas, turned by `angle` and moved to `place`."""
        corner, turn = np.asarray(polygon, np.float64), (math.cos(angle), math.sin(angle))
        x, y = corner[:, 0] * turn[0] - corner[:, 1] * turn[1], corner[:, 0] * turn[1] + corner[:, 1] * turn[0]
        return np.round((np.stack([x + place[0], y + place[1]], 1) + MARGIN) * FINER * 16).astype(np.int32)

    def _inside(self, corners: Corners) -> tuple[slice, slice, NDArray[np.bool_]]:
        """Rows and columns of the canvas around the corners, and which dots of this window lie inside them."""
        low, high = np.maximum(corners.min(0) // 16 - 2, 0), np.minimum(corners.max(0) // 16 + 3, self.shape[::-1])
        width, height = np.maximum(high - low, 0).tolist()
        window = np.zeros((height, width), np.uint8)
        if window.size:
            cv2.fillPoly(window, [corners - low.astype(np.int32) * 16], 1, cv2.LINE_8, 4)
        left, top = low.tolist()
        return slice(top, top + height), slice(left, left + width), window.astype(bool)

    def fill(self, polygon: Polygon, colour: Colour, place: Place = (0, 0), angle: float = 0.0) -> None:
        """Paint a polygon."""
        cv2.fillPoly(self.dots, [self._corners(polygon, place, angle)], colour, cv2.LINE_AA, 4)

    def cover(self, polygon: Polygon, colours: Sequence[Colour], rough: float = 0.04) -> None:
        """Lay another surface over a polygon."""
        rows, columns, inside = self._inside(self._corners(polygon))
        self.dots[rows, columns][inside] = self._plain(self.pick(colours), rough)[rows, columns][inside]

    def shade(self, polygon: Polygon, place: Place, angle: float, height: float, *, raised: bool = False) -> None:
        """The shadow of an upright object as tall as `height` px, or of a flat one `raised` so high off the ground."""
        shadow = self._corners(polygon, (place[0] + self.sun[0] * height, place[1] + self.sun[1] * height), angle)
        if not raised:
            hull = cv2.convexHull(np.concatenate([self._corners(polygon, place, angle), shadow])).reshape(-1, 2)
            shadow = hull.astype(np.int32, copy=False)
        rows, columns, inside = self._inside(shadow)
        self.dots[rows, columns][inside] *= np.float32(0.55 if raised else 0.5)

    def is_free(self, place: Place, radius: float) -> bool:
        """Whether nothing that was put down comes within `radius` px."""
        return all(math.hypot(place[0] - x, place[1] - y) > radius + r for x, y, r in self.taken)

    def somewhere(self, radius: float, where: Callable[[Place], bool] = lambda place: True) -> Place | None:
        """A free place for something of this radius, px; None where none was found."""
        for _ in range(30):
            place = (self.rng.uniform(0, self.size[0]), self.rng.uniform(0, self.size[1]))
            if where(place) and self.is_free(place, radius):
                return place
        return None

    def add(self, name: str, outline: Polygon, place: Place, angle: float, room: float = 0.0) -> bool:
        """Note an object if enough of it lies in the image; tells whether to draw it.

        Its box is that of the dots inside `outline` that lie in the image, so to a quarter of a px. `room` px around it,
        if any, must be free and are taken.
        """
        if room and not self.is_free(place, room):
            return False
        rows, columns, whole = self._inside(self._corners(outline, place, angle))
        y, x = np.nonzero(whole)
        x, y = x + columns.start - MARGIN * FINER, y + rows.start - MARGIN * FINER
        width, height = self.size[0] * FINER, self.size[1] * FINER
        seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        if not seen.any() or seen.sum() < LEAST_SHARE * len(seen):
            return False
        x1, x2, y1, y2 = x[seen].min(), x[seen].max() + 1, y[seen].min(), y[seen].max() + 1
        if min(x2 - x1, y2 - y1) < LEAST_SIDE * FINER:
            return False
        box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        self.labels.append((self.names.index(name), *box))
        if room:
            self.taken.append((*place, room))
        return True

    def photograph(self) -> NDArray[np.uint8]:
        """The image (H, W, 3) RGB: light of the day, the lens' blur, the sensor's noise."""
        rng, edge, spare = self.rng, MARGIN * FINER, 16  # the blur reaches less far than the spare dots
        dots = self.dots[edge - spare : spare - edge, edge - spare : spare - edge]
        light = dots * np.asarray(rng.uniform(0.92, 1.08, 3), np.float32) * np.float32(rng.uniform(0.75, 1.1))
        blurred = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.25, 0.5) * FINER)
        seen = cv2.resize(blurred[spare:-spare, spare:-spare], self.size, interpolation=cv2.INTER_AREA)
        level = np.clip(seen, 0, 1) ** (1 / 1.4)
        noisy = level * 255 + rng.normal(0, rng.uniform(1.5, 4.0), level.shape)
        return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def rectangle(length: float, width: float) -> Polygon:
    """Corners of a rectangle about its middle."""
    a, b = length / 2, width / 2
    return [(-a, -b), (a, -b), (a, b), (-a, b)]


def ellipse(length: float, width: float, corners: int = 24) -> Polygon:
    """Corners of an ellipse about its middle."""
    turns = [2 * math.pi * i / corners for i in range(corners)]
    return [(length / 2 * math.cos(turn), width / 2 * math.sin(turn)) for turn in turns]


def beside(middle: Place, angle: float, along: float, across: float) -> Place:
    """The place `along` a line and `across` it, px from its middle."""
    x, y = math.cos(angle), math.sin(angle)
    return middle[0] + along * x - across * y, middle[1] + along * y + across * x
