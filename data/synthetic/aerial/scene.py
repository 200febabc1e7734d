"""Synthetic images from straight above: land, water and roads with vehicles, ships, tanks, people, pools and aeroplanes.

Drawn four times as large with a sun that throws shadows, then seen through a lens and a noisy sensor. Most objects are
5 to 16 pixels long. Boxes are those of the visible part of an object, without its shadow, to a quarter of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from data.synthetic.aerial.canvas import Ground, Place, beside, ellipse, rectangle
from data.synthetic.render.camera import Array
from data.synthetic.render.primitives import Colour, times

NAMES = ("airplane", "person", "ship", "storage-tank", "swimming-pool", "vehicle")
Where = Callable[[Place], bool]
Draw = Callable[[Ground, Place, float], None]  # draws itself at a place, turned by an angle, if there is room

GRASS: tuple[Colour, ...] = ((0.23, 0.32, 0.15), (0.30, 0.36, 0.19), (0.38, 0.37, 0.22))
SOIL: tuple[Colour, ...] = ((0.46, 0.37, 0.27), (0.55, 0.47, 0.35), (0.62, 0.57, 0.46))
PAVED: tuple[Colour, ...] = ((0.48, 0.48, 0.47), (0.56, 0.55, 0.52), (0.40, 0.40, 0.41))
WATER: tuple[Colour, ...] = ((0.09, 0.17, 0.22), (0.12, 0.24, 0.26), (0.16, 0.23, 0.21))
ROOFS: tuple[Colour, ...] = ((0.55, 0.29, 0.22), (0.42, 0.40, 0.40), (0.66, 0.63, 0.58), (0.36, 0.30, 0.27))
PAINTS: tuple[Colour, ...] = (
    (0.92, 0.92, 0.90), (0.85, 0.86, 0.88), (0.10, 0.10, 0.12), (0.70, 0.10, 0.10), (0.13, 0.25, 0.60), (0.85, 0.70, 0.12),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = ((0.90, 0.20, 0.15), (0.95, 0.93, 0.90), (0.08, 0.10, 0.30), (0.95, 0.75, 0.10))
ASPHALT: Colour = (0.23, 0.23, 0.24)
WHITE: Colour = (0.90, 0.90, 0.88)


def land(seed: int, size: tuple[int, int]) -> Ground:
    """Bare land for scene number `seed`; see Ground."""
    return Ground(seed, size, NAMES, (*GRASS, *SOIL, *PAVED))


def vehicle(ground: Ground, place: Place, angle: float) -> None:
    """A car or van: body, dark windows across."""
    length = ground.rng.uniform(6.0, 10.0)
    width, paint = length * ground.rng.uniform(0.44, 0.52), ground.pick(PAINTS)
    body = rectangle(length, width)
    if not ground.add("vehicle", body, place, angle, 0.45 * length):
        return
    ground.shade(body, place, angle, 1.6)
    ground.fill(body, paint, place, angle)
    for front, deep in ((0.18, 0.12), (-0.3, 0.1)):
        spot = [(x + front * length, y) for x, y in rectangle(deep * length, 0.8 * width)]
        ground.fill(spot, (0.12, 0.14, 0.17), place, angle)


def ship(ground: Ground, place: Place, angle: float) -> None:
    """A hull with a pointed bow, a deck and a wake."""
    rng = ground.rng
    length = rng.uniform(8.0, 16.0)
    half = length * rng.uniform(0.13, 0.18)
    hull = [(-length / 2, -half), (0.2 * length, -half), (length / 2, 0), (0.2 * length, half), (-length / 2, half)]
    if not ground.add("ship", hull, place, angle):
        return
    ground.taken.append((*place, length / 2))
    if rng.random() < 0.5:
        near, far = -length / 2, -1.6 * length
        wake = [(near, -0.6 * half), (far, -1.8 * half), (far, 1.8 * half), (near, 0.6 * half)]
        ground.fill(wake, (0.30, 0.38, 0.41), place, angle)
    ground.fill(hull, ground.pick(((0.92, 0.92, 0.9), (0.55, 0.2, 0.15), (0.75, 0.75, 0.72))), place, angle)
    deck = [(x - 0.1 * length, y) for x, y in rectangle(0.45 * length, 1.1 * half)]
    ground.fill(deck, ground.pick(((0.85, 0.8, 0.68), (0.25, 0.3, 0.4), (0.6, 0.45, 0.3))), place, angle)


def tank(ground: Ground, place: Place, angle: float) -> None:
    """A round tank: a light roof, a rim, its own shadow on one side."""
    size = ground.rng.uniform(7.0, 14.0)
    round_ = ellipse(size, size)
    if not ground.add("storage-tank", round_, place, angle, 0.55 * size):
        return
    ground.shade(round_, place, 0, 0.4 * size)
    ground.fill(round_, (0.62, 0.62, 0.60), place)
    ground.fill(ellipse(0.84 * size, 0.84 * size), ground.pick(((0.93, 0.93, 0.91), (0.8, 0.82, 0.8))), place)
    moved = (place[0] - 0.16 * size * ground.sun[0], place[1] - 0.16 * size * ground.sun[1])
    ground.fill(ellipse(0.3 * size, 0.3 * size), (0.66, 0.67, 0.66), moved)


def person(ground: Ground, place: Place, angle: float) -> None:
    """Shoulders and a head, with a long shadow."""
    size = ground.rng.uniform(3.2, 4.6)
    body = ellipse(0.75 * size, size, 12)
    if not ground.add("person", body, place, angle, 0.6 * size):
        return
    ground.shade(ellipse(0.5 * size, 0.7 * size, 12), place, angle, 1.4 * size)
    ground.fill(body, ground.pick(CLOTHES), place, angle)
    ground.fill(ellipse(0.4 * size, 0.4 * size, 10), (0.16, 0.11, 0.09), place, angle)


def pool(ground: Ground, place: Place, angle: float) -> None:
    """Turquoise water in a pale frame; the box is that of the frame."""
    rng = ground.rng
    length = rng.uniform(8.0, 16.0)
    width = length * rng.uniform(0.45, 0.7)
    shape = ellipse if rng.random() < 0.35 else rectangle
    if not ground.add("swimming-pool", shape(length, width), place, angle, 0.6 * length):
        return
    ground.fill(shape(length, width), (0.82, 0.79, 0.73), place, angle)
    ground.fill(shape(length - 1.6, width - 1.6), ground.pick(((0.20, 0.66, 0.78), (0.25, 0.60, 0.85))), place, angle)


def airplane(ground: Ground, place: Place, angle: float) -> None:
    """A fuselage, swept wings, a tail: 24 to 44 px."""
    size = ground.rng.uniform(24.0, 44.0)
    a = size / 2
    half = [(a, 0), (0.85 * a, 0.1 * a), (0.25 * a, 0.11 * a), (-0.15 * a, 0.9 * a), (-0.33 * a, 0.9 * a),
            (-0.13 * a, 0.11 * a), (-0.75 * a, 0.08 * a), (-0.92 * a, 0.34 * a), (-a, 0.34 * a), (-0.93 * a, 0)]  # fmt: skip
    outline = half + [(x, -y) for x, y in reversed(half)]
    if not ground.add("airplane", outline, place, angle, 0.9 * a):
        return
    ground.shade(outline, place, angle, 3, raised=True)
    ground.fill(outline, ground.pick(((0.93, 0.93, 0.93), (0.84, 0.86, 0.88))), place, angle)
    stripe = ground.pick(((0.15, 0.25, 0.6), (0.7, 0.1, 0.12), (0.4, 0.4, 0.42)))
    ground.fill(rectangle(1.5 * a, 0.05 * a), stripe, place, angle)


def building(ground: Ground, place: Place, angle: float) -> None:
    """A roof with a ridge: no object, but boxy."""
    length, width = ground.rng.uniform(18, 34), ground.rng.uniform(12, 20)
    outline, roof = rectangle(length, width), ground.pick(ROOFS)
    if not ground.is_free(place, 0.55 * length):
        return
    ground.taken.append((*place, 0.55 * length))
    ground.shade(outline, place, angle, ground.rng.uniform(4, 9))
    ground.fill(outline, roof, place, angle)
    lit = [(x, y + width / 4) for x, y in rectangle(length, width / 2)]
    ground.fill(lit, times(roof, 1.15), place, angle)


def tree(ground: Ground, place: Place, angle: float) -> None:
    """A crown: no object, but round."""
    size = ground.rng.uniform(5, 13)
    if not ground.is_free(place, 0.5 * size):
        return
    ground.taken.append((*place, 0.4 * size))
    ground.shade(ellipse(size, size), place, 0, 0.5 * size)
    green = ground.pick(((0.12, 0.22, 0.09), (0.17, 0.27, 0.12)))
    for _ in range(7):
        turn, reach = ground.rng.uniform(0, 2 * math.pi), ground.rng.uniform(0, 0.28) * size
        tone = times(green, ground.rng.uniform(0.8, 1.3))
        ground.fill(ellipse(0.5 * size, 0.5 * size, 12), tone, beside(place, turn, reach, 0))


def _coast(ground: Ground) -> Where:
    """Water on one side of a line; returns whether a place is well in the water."""
    rng, (width, height) = ground.rng, ground.size
    angle = rng.uniform(0, 2 * math.pi)
    normal = (math.cos(angle), math.sin(angle))
    level = rng.uniform(-0.2, 0.15) * min(width, height)
    middle = (width / 2 + normal[0] * level, height / 2 + normal[1] * level)
    reach = 2.0 * (width + height)
    half = [(0, -reach), (reach, -reach), (reach, reach), (0, reach)]
    ground.cover([beside(middle, angle, x, y) for x, y in half], WATER, 0.06)
    return lambda place: (place[0] - middle[0]) * normal[0] + (place[1] - middle[1]) * normal[1] > 7


def _roads(ground: Ground, count: int) -> None:
    """Straight roads with dashed lines, and cars in their two lanes."""
    rng, (width, height) = ground.rng, ground.size
    draws = [rng.uniform((0.2, 0.2, 0), (0.8, 0.8, math.pi)).tolist() for _ in range(count)]
    roads = [((x * width, y * height), angle) for x, y, angle in draws]
    reach = 1.5 * (width + height)
    for broad, colour in ((19, (0.5, 0.48, 0.45)), (16, ASPHALT)):
        for middle, angle in roads:
            ground.fill(rectangle(reach, broad), colour, middle, angle)
    for middle, angle in roads:
        for step in np.arange(-reach / 2, reach / 2, 8.0):
            ground.fill(rectangle(3.5, 0.6), WHITE, beside(middle, angle, step, 0), angle)
    for middle, angle in roads:
        for lane in (-4.0, 4.0):
            step = -reach / 2
            while step < reach / 2:
                step += rng.uniform(16, 80)
                vehicle(ground, beside(middle, angle, step, lane), angle + math.pi * (lane > 0))
    for middle, angle in roads:  # nothing else on the road
        ground.taken += [(*beside(middle, angle, step, 0), 8.0) for step in np.arange(-reach / 2, reach / 2, 9.0)]


def _lot(ground: Ground, dry: Where) -> None:
    """A car park: two rows of bays, most of them taken."""
    place = ground.somewhere(24, dry)
    if place is None:
        return
    angle = ground.rng.uniform(0, math.pi)
    ground.fill(rectangle(44, 34), (0.36, 0.36, 0.37), place, angle)
    for row in (-10.5, 10.5):
        for bay in np.arange(-18, 19, 6.0):
            ground.fill(rectangle(0.5, 11), WHITE, beside(place, angle, bay - 3, row), angle)
            if ground.rng.random() < 0.5:
                vehicle(ground, beside(place, angle, bay, row), angle + math.pi / 2)
    ground.taken.append((*place, 24))


def _group(ground: Ground, draw: Draw, count: int, spread: float, where: Where, pad: Sequence[Colour] = ()) -> None:
    """Some of an object near each other, on a pad of their own if it has a colour."""
    middle = ground.somewhere(spread, where)
    if middle is None:
        return
    if pad:
        ground.fill(ellipse(2.3 * spread, 2.3 * spread, 8), ground.pick(pad), middle)
    for _ in range(3 * count):
        place = (middle[0] + ground.rng.uniform(-spread, spread), middle[1] + ground.rng.uniform(-spread, spread))
        if where(place) and count:
            before = len(ground.labels)
            draw(ground, place, ground.rng.uniform(0, 2 * math.pi))
            count -= len(ground.labels) - before


def _scatter(ground: Ground, draw: Draw, count: int, room: float, where: Where) -> None:
    """An object here and there."""
    for _ in range(count):
        place = ground.somewhere(room, where)
        if place is not None:
            draw(ground, place, ground.rng.uniform(0, 2 * math.pi))


def image_from_above(seed: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Array]:
    """Aerial scene number `seed`: the image (H, W, 3) RGB for `size` = (width, height) px, and its labels.

    Labels (n, 5): class (an index of NAMES), centre x, centre y, width, height as fractions of the image. Large objects
    are placed first, so that small ones find their place between them.
    """
    ground = land(seed, size)
    rng = ground.rng
    sea = _coast(ground) if rng.random() < 0.45 else None

    def dry(place: Place) -> bool:
        return sea is None or not sea(place)

    if sea is None:
        _roads(ground, int(rng.integers(1, 3)))
    else:
        _scatter(ground, ship, int(rng.integers(4, 10)), 10, sea)
    if rng.random() < 0.6:
        _scatter(ground, airplane, int(rng.integers(1, 3)), 22, dry)
    if rng.random() < 0.25:
        _lot(ground, dry)
    _scatter(ground, building, int(rng.integers(0, 5)), 19, dry)
    if rng.random() < 0.5:
        _group(ground, tank, int(rng.integers(2, 6)), 16, dry, PAVED)
    _scatter(ground, pool, int(rng.integers(0, 4)), 10, dry)
    for _ in range(int(rng.integers(1, 3))):
        _group(ground, person, int(rng.integers(2, 5)), 9, dry)
    _scatter(ground, tree, int(rng.integers(3, 14)), 5, dry)
    return ground.photograph(), np.asarray(ground.labels, np.float32).reshape(-1, 5)
