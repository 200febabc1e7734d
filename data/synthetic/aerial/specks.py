"""Synthetic images of specks: a few plain shapes of 5 to 11 pixels on a cloudy ground, and nothing larger.

The plainest case of a detector that never sees an object of ordinary size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array

NAMES = ("circle", "square", "triangle")
FINER = 4  # drawn at this many dots per pixel
SIDES = (5.0, 11.0)  # px
CONTRAST = 70.0  # of 255: how far a shape's colour stands off the ground, in one channel at least


def specks(seed: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Array]:
    """Image number `seed`, (H, W, 3) RGB for `size` = (width, height) px, and its labels.

    Labels (n, 5): class, centre x, centre y, width, height as fractions of the image. 4 to 11 shapes on 160 x 160 px,
    as many a pixel on other sizes, none upon another.
    """
    rng = np.random.default_rng([seed, 31])
    ground = _clouds(rng, size)
    extent = np.asarray(size, np.float32)
    placed: list[tuple[float, float, float]] = []
    labels = []
    for _ in range(round(rng.integers(4, 12) * size[0] * size[1] / 160**2)):
        kind, side = int(rng.integers(len(NAMES))), float(rng.uniform(*SIDES))
        x, y = rng.uniform(side / 2 + 1, extent - side / 2 - 1)
        if any(max(abs(x - a), abs(y - b)) < (side + c) / 2 + 1 for a, b, c in placed):
            continue
        placed.append((x, y, side))
        _paint(ground, kind, (x, y), side, _colour(rng, ground[int(y * FINER), int(x * FINER)]))
        labels.append((kind, x / size[0], y / size[1], side / size[0], side / size[1]))
    seen = cv2.resize(ground, size, interpolation=cv2.INTER_AREA) + rng.normal(0, 4, (size[1], size[0], 3))
    return np.clip(np.round(seen), 0, 255).astype(np.uint8), np.asarray(labels, np.float32).reshape(-1, 5)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """A ground of soft colours and coarse noise, (H * FINER, W * FINER, 3)."""
    full = (size[0] * FINER, size[1] * FINER)
    soft = cv2.resize(rng.uniform(60, 190, (8, 8, 3)).astype(np.float32), full, interpolation=cv2.INTER_CUBIC)
    rough = cv2.resize(rng.normal(0, 18, (40, 40, 3)).astype(np.float32), full, interpolation=cv2.INTER_LINEAR)
    return (soft + rough).astype(np.float32)


def _colour(rng: np.random.Generator, ground: Array) -> tuple[float, ...]:
    """A colour that stands off the ground."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.abs(colour - ground).max() >= CONTRAST:
            return tuple(colour.tolist())


def _paint(ground: Array, kind: int, place: tuple[float, float], side: float, colour: tuple[float, ...]) -> None:
    """A filled shape that just fits into a square of `side` px about its place."""
    centre, half = np.asarray(place) * FINER * 16, side * FINER * 8
    x, y = centre
    if NAMES[kind] == "circle":
        cv2.circle(ground, (round(x), round(y)), round(half), colour, -1, cv2.LINE_AA, 4)
        return
    square = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    corners = square if NAMES[kind] == "square" else [(x, y - half), square[2], square[3]]
    cv2.fillPoly(ground, [np.round(corners).astype(np.int32)], colour, cv2.LINE_AA, 4)
