"""The synthetic shelf: boards with jugs, lamps, boxes and the like seen from the front, and close-ups of single objects.

40 classes, each a form in a surface (objects.py), by the counts of class_counts.py. Plates, candles, frames,
cones and objects of other colours stand among them and are in no class. Drawn twice as large in linear light with
one lamp per image, then seen through a lens and a noisy sensor. Boxes hold the visible part of an object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array, floats
from data.synthetic.render.lighting import encode
from data.synthetic.render.rasterizer import label_rows
from data.synthetic.shelf.class_counts import EVEN, SCARCE, TRAINING, Law, classes_of
from data.synthetic.shelf.objects import NAMES, Sprite, draw_object, other_name

Image = NDArray[np.uint8]
Labels = NDArray[np.float32]
Spot = tuple[float, float]  # dots: middle of the foot, column and row

FINER = 2  # drawn at this many dots per pixel
SIDES = (18.0, 60.0)  # px of an image 320 px wide: the longer side of an object
CLOSE = (0.62, 0.95)  # how much of a close-up its object fills
LEAST_SEEN = 0.2  # an object that shows less of itself has no label
WALLS = ((0.42, 0.40, 0.35), (0.30, 0.34, 0.36), (0.20, 0.23, 0.19), (0.52, 0.44, 0.38), (0.14, 0.15, 0.19))
WOODS = ((0.30, 0.18, 0.09), (0.15, 0.08, 0.04), (0.44, 0.32, 0.19), (0.55, 0.54, 0.51), (0.07, 0.07, 0.075))


class _Stage:
    """An image in the making, in dots: linear light, and which object shows where."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        """size: (width, height) px."""
        self.rng, self.size = rng, size
        self.unit = FINER * size[0] / 320  # dots a px of an image 320 px wide
        shape = (size[1] * FINER, size[0] * FINER)
        side, high = rng.uniform(-0.75, 0.75), rng.uniform(0.15, 0.75)
        self.lamp = floats([side, high, 0.75]) / math.hypot(side, high, 0.75)  # where light comes from
        self.ambient, self.gloss = rng.uniform(0.22, 0.5), rng.uniform(0.0, 0.5)
        self.light = _cloudy(rng, shape, rng.uniform(0.05, 0.14)) * floats(WALLS[int(rng.integers(len(WALLS)))])
        self.owner: NDArray[np.int16] = np.full(shape, -1, np.int16)
        self.whole: list[tuple[int, int]] = []  # of each object its class and the dots that it would show alone

    def put(self, name: str, spot: Spot, side: float, number: int = -1) -> None:
        """Stand an object of `side` dots at a spot, with its shadow; number: its class, if it is in one."""
        sprite = draw_object(self.rng, name, side)
        height, width = sprite.inside.shape
        top, left = round(spot[1]) - height, round(spot[0] - width / 2)
        self._shadow(sprite, top, left)
        rows, columns, part = _window(self.owner.shape, top, left, (height, width))
        inside = sprite.inside[part]
        self.light[rows, columns][inside] = self._lit(sprite, part)[inside]
        self.owner[rows, columns][inside] = len(self.whole) if number >= 0 else -1
        if number >= 0:
            self.whole.append((number, int(sprite.inside.sum())))

    def _lit(self, sprite: Sprite, part: tuple[slice, slice]) -> Array:
        """Its colour under the lamp, with a highlight."""
        normal = sprite.normal[part]
        facing = np.maximum(normal @ self.lamp, 0)[..., None]
        half = floats([*self.lamp[:2], self.lamp[2] + 1])
        shine = np.maximum(normal @ (half / np.linalg.norm(half)), 0)[..., None] ** 40
        return sprite.colour[part] * (self.ambient + (1.15 - self.ambient) * facing) + self.gloss * shine

    def _shadow(self, sprite: Sprite, top: int, left: int) -> None:
        """Darken what lies behind it, away from the lamp, and where it stands."""
        height, width = sprite.inside.shape
        soft, margin = 0.05 * max(height, width) + 0.8 * FINER, round(0.4 * max(height, width)) + 3 * FINER
        cover: Array = np.pad(sprite.inside.astype(np.float32), margin)
        cover[margin + round(0.97 * height) : margin + height + round(1.2 * FINER)] *= 1.6  # close to the board
        reach = 0.22 * max(height, width)
        shift = floats([[1, 0, -reach * self.lamp[0]], [0, 1, reach * self.lamp[1]]])
        cover = cv2.GaussianBlur(cv2.warpAffine(cover, shift, cover.shape[::-1]), (0, 0), soft)
        rows, columns, part = _window(self.owner.shape, top - margin, left - margin, cover.shape)
        self.light[rows, columns] *= 1 - 0.55 * np.minimum(cover[part], 1.2)[..., None]

    def labels(self) -> Labels:
        """Boxes around what is seen of each object."""
        classes = [label for label, _ in self.whole]
        return label_rows(self.owner, classes, lambda number, dots, *_: dots >= LEAST_SEEN * self.whole[number][1])

    def seen(self) -> Image:
        """Through a lens, averaged to pixels, tinted, exposed, noisy, sRGB (H, W, 3)."""
        rng = self.rng
        sharp = cv2.GaussianBlur(self.light, (0, 0), FINER * rng.uniform(0.25, 0.7))
        light = floats(cv2.resize(sharp, self.size, interpolation=cv2.INTER_AREA)) * _falling(rng, self.size)
        light *= floats(rng.uniform(0.88, 1.12, 3)) * rng.uniform(0.55, 1.35)
        light += rng.normal(0, 1, light.shape) * np.sqrt(2e-5 + rng.uniform(1e-4, 9e-4) * np.maximum(light, 0))
        return np.round(255 * encode(light)).astype(np.uint8)


def shelf(law: Law, seed: int, size: tuple[int, int]) -> tuple[Image, Labels]:
    """Shelf number `seed` for an image of (width, height) px: the classes of the law, and up to four others."""
    rng = np.random.default_rng([seed, 42])
    others = [(other_name(rng), -1) for _ in range(rng.integers(0, 5))]
    return filled(rng, [(NAMES[number], number) for number in classes_of(law, seed)] + others, size)


def filled(rng: np.random.Generator, objects: Sequence[tuple[str, int]], size: tuple[int, int]) -> tuple[Image, Labels]:
    """A shelf with these objects (name, class or -1 for none), in any order, for an image of (width, height) px."""
    stage = _Stage(rng, size)
    feet, room = _boards(stage, len(objects))
    order = rng.permutation(len(objects))
    for index, (x, y, step) in zip(order, _places(rng, feet, size[0] * FINER), strict=True):
        name, number = objects[index]
        least, most = SIDES[0] * stage.unit, min(room, SIDES[1] * stage.unit, 1.4 * step)
        stage.put(name, (x, y), math.exp(rng.uniform(math.log(least), math.log(max(most, least)))), number)
    return stage.seen(), stage.labels()


train_shelf, even_shelf = partial(shelf, TRAINING), partial(shelf, EVEN)


def close_up(seed: int, size: tuple[int, int]) -> tuple[Image, Labels]:
    """Image number `seed` of one object of a rare or common class, in turn; its label is the whole image."""
    number = SCARCE[seed % len(SCARCE)]
    return portrait(np.random.default_rng([seed, 43]), NAMES[number], size), floats([[number, 0.5, 0.5, 1, 1]])


def portrait(rng: np.random.Generator, name: str, size: tuple[int, int]) -> Image:
    """An image of (width, height) px that an object called `name` nearly fills, before a wall, on a table or among others."""
    stage = _Stage(rng, size)
    stage.unit = FINER * min(size) / 160
    width, height = size[0] * FINER, size[1] * FINER
    side = min(width, height) * rng.uniform(*CLOSE)
    foot = height / 2 + side * rng.uniform(0.42, 0.52)
    if rng.random() < 0.7:
        _plank(stage, foot - 0.1 * side, height + 1.0)
    for _ in range(int(rng.integers(0, 4))):
        name_, spot = other_name(rng), (rng.uniform(0, width), foot - rng.uniform(0, 0.1) * side)
        stage.put(name_, spot, side * rng.uniform(0.25, 0.6))
    stage.light = cv2.GaussianBlur(stage.light, (0, 0), FINER * rng.uniform(0.3, 3.0))
    stage.put(name, (width / 2 + rng.normal(0, 0.04) * width, foot), side)
    return stage.seen()


def _boards(stage: _Stage, objects: int) -> tuple[list[tuple[float, int]], float]:
    """Draw two or three boards; returns (row of the feet, how many objects) of each, and the room above one in dots."""
    height, rng = stage.owner.shape[0], stage.rng
    count = 3 if objects > 9 or rng.random() < 0.5 else 2
    gap, thick = height / count, 0.028 * height
    wood, feet = int(rng.integers(len(WOODS))), []
    for board in range(count):
        foot = (board + 1) * gap - thick * rng.uniform(1.1, 1.5)
        _plank(stage, foot - 0.6 * thick, foot + thick, wood)
        feet.append((foot, objects // count + (board < objects % count)))
    return feet, gap - 3 * thick


def _plank(stage: _Stage, top: float, bottom: float, wood: int | None = None) -> None:
    """A board with grain across the whole width: its upper face, then its edge, and the shadow below."""
    rng, (height, width) = stage.rng, stage.owner.shape
    colour = floats(WOODS[int(rng.integers(len(WOODS))) if wood is None else wood])
    first, edge, last = (int(np.clip(row, 0, height)) for row in (top, top + 0.38 * (bottom - top), bottom))
    grain = 1 + 0.12 * cv2.resize(rng.normal(0, 1, (last - first + 1, 9)).astype(np.float32), (width, last - first + 1))
    stage.light[first:last] = colour * grain[: last - first, :, None] * 0.75
    stage.light[first:edge] *= 1.5
    below = 1 - 0.5 * np.exp(-np.arange(height - last) / (0.025 * height))
    stage.light[last:] *= below.astype(np.float32)[:, None, None]


def _places(rng: np.random.Generator, feet: list[tuple[float, int]], width: int) -> list[tuple[float, float, float]]:
    """Column, row and room to the sides of each object in drawing order: what stands further forward comes later."""
    found = []
    for foot, objects in feet:
        span = width * rng.uniform(0.45, 1.0)
        step = span / max(objects, 1)
        columns = rng.uniform(0, width - span) + (np.arange(objects) + 0.5 + rng.uniform(-0.12, 0.12, objects)) * step
        forward = np.sort(rng.uniform(0, 0.012 * width, objects))
        found += [(float(x), foot + float(y), step) for x, y in zip(rng.permutation(columns), forward, strict=True)]
    return found


def _window(
    shape: tuple[int, ...], top: int, left: int, size: tuple[int, ...]
) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of the image under a grid of `size` at (top, left), and the part of the grid that lies in it."""
    rows = slice(min(max(top, 0), shape[0]), max(min(top + size[0], shape[0]), 0))
    columns = slice(min(max(left, 0), shape[1]), max(min(left + size[1], shape[1]), 0))
    return rows, columns, (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))


def _cloudy(rng: np.random.Generator, shape: tuple[int, int], rough: float) -> Array:
    """Brightness of a wall (H, W, 1): patches about 1."""
    total = np.ones(shape, np.float32)
    for cells in (4, 14, 60):
        coarse = rng.normal(0, rough, (cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.maximum(total, 0.15)[..., None]


def _falling(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """How light falls off across an image (H, W, 1)."""
    x, y = np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1])[:, None]
    slope = rng.uniform(-0.3, 0.3, 2)
    return np.maximum(1 + slope[0] * x + slope[1] * y - 0.12 * (x**2 + y**2), 0.2)[..., None].astype(np.float32)
