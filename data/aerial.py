"""Made-up pictures from straight above: land, water and roads with vehicles, ships, tanks, people, pools and aeroplanes.

Drawn four times as large with a sun that throws shadows, then seen through a lens and a noisy sensor. Most objects are
5 to 16 pixels long. Boxes are those of the visible part of an object, without its shadow, to a quarter of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Place = tuple[float, float]  # px of the finished picture
Polygon = Sequence[Place]  # px, around the middle of a thing, x to its front
Colour = tuple[float, float, float]  # red, green, blue reflectance, 0 to 1

NAMES = ("airplane", "person", "ship", "storage-tank", "swimming-pool", "vehicle")
FINER = 4  # drawn at this many dots a pixel
MARGIN = 32  # px drawn around the picture, so that shadows and cut objects come in
LEAST_SHARE, LEAST_SIDE = 0.4, 2.0  # an object that shows less of its area, or fewer px, is not drawn

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


class Ground:
    """A picture in the making: dots (H, W, 3), labels so far, and what is taken."""

    def __init__(self, seed: int, size: tuple[int, int], largest: float = math.inf) -> None:
        """largest: objects with a larger sqrt(area of the box), px, are left out."""
        self.rng = np.random.default_rng([seed, 29])
        self.size, self.largest = size, largest
        self.shape = ((size[1] + 2 * MARGIN) * FINER, (size[0] + 2 * MARGIN) * FINER)
        angle = self.rng.uniform(0, 2 * math.pi)
        self.sun = (math.cos(angle), math.sin(angle))  # where shadows fall
        self.dots = self._plain(self.pick((*GRASS, *SOIL, *PAVED)), 0.05)
        self.taken: list[tuple[float, float, float]] = []
        self.labels: list[tuple[float, ...]] = []

    def pick(self, colours: Sequence[Colour]) -> Colour:
        """One of the colours, a little lighter or darker."""
        shade = self.rng.uniform(0.9, 1.1)
        red, green, blue = colours[int(self.rng.integers(len(colours)))]
        return red * shade, green * shade, blue * shade

    def _plain(self, colour: Colour, rough: float) -> Array:
        """A surface of one colour with patches and grain."""
        height, width = self.shape
        noise = np.zeros((height, width, 1), np.float32)
        for cells, share in ((5, 1.0), (24, 0.7), (90, 0.6)):
            coarse = self.rng.normal(0, rough * share, (cells, cells)).astype(np.float32)
            noise[..., 0] += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(colour, np.float32) * (1 + noise)

    def dot(self, polygon: Polygon, place: Place = (0, 0), angle: float = 0.0) -> NDArray[np.int32]:
        """Corners in 1/16 dots of the canvas, turned by `angle` and moved to `place`."""
        corner, turn = np.asarray(polygon, np.float64), (math.cos(angle), math.sin(angle))
        x, y = corner[:, 0] * turn[0] - corner[:, 1] * turn[1], corner[:, 0] * turn[1] + corner[:, 1] * turn[0]
        return np.round((np.stack([x + place[0], y + place[1]], 1) + MARGIN) * FINER * 16).astype(np.int32)

    def mask(self, corners: NDArray[np.int32]) -> NDArray[np.uint8]:
        """(H, W) 1 inside the corners."""
        canvas = np.zeros(self.shape, np.uint8)
        return cv2.fillPoly(canvas, [corners], 1, cv2.LINE_8, 4)  # type: ignore[return-value]

    def fill(self, polygon: Polygon, colour: Colour, place: Place = (0, 0), angle: float = 0.0) -> None:
        """Paint a polygon."""
        cv2.fillPoly(self.dots, [self.dot(polygon, place, angle)], colour, cv2.LINE_AA, 4)

    def cover(self, polygon: Polygon, colours: Sequence[Colour], rough: float = 0.04) -> None:
        """Lay another surface over a polygon."""
        inside = self.mask(self.dot(polygon)).astype(bool)
        self.dots[inside] = self._plain(self.pick(colours), rough)[inside]

    def shade(self, polygon: Polygon, place: Place, angle: float, height: float) -> None:
        """The shadow of a thing as tall as `height` px."""
        far = (place[0] + self.sun[0] * height, place[1] + self.sun[1] * height)
        near, shifted = self.dot(polygon, place, angle), self.dot(polygon, far, angle)
        hull = cv2.convexHull(np.concatenate([near, shifted])).astype(np.int32)
        self.dots[self.mask(hull).astype(bool)] *= 0.5

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

    def add(self, name: str, outline: Polygon, place: Place, angle: float) -> bool:
        """Note an object if enough of it lies in the picture; tells whether to draw it."""
        whole = self.mask(self.dot(outline, place, angle))
        edge = MARGIN * FINER
        seen = whole[edge:-edge, edge:-edge]
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        if seen.sum() < LEAST_SHARE * whole.sum() or min(len(rows), len(columns)) < LEAST_SIDE * FINER:
            return False
        x1, x2, y1, y2 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
        if math.sqrt((x2 - x1) * (y2 - y1)) > self.largest * FINER:
            return False
        width, height = self.size[0] * FINER, self.size[1] * FINER
        box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        self.labels.append((NAMES.index(name), *box))
        return True


def rectangle(length: float, width: float) -> Polygon:
    """Corners of a rectangle about its middle."""
    a, b = length / 2, width / 2
    return [(-a, -b), (a, -b), (a, b), (-a, b)]


def ellipse(length: float, width: float, corners: int = 24) -> Polygon:
    """Corners of an ellipse about its middle."""
    turns = [2 * math.pi * i / corners for i in range(corners)]
    return [(length / 2 * math.cos(turn), width / 2 * math.sin(turn)) for turn in turns]


def vehicle(ground: Ground, place: Place, angle: float) -> None:
    """A car or van: body, dark windows across."""
    length = ground.rng.uniform(6.0, 10.0)
    width, paint = length * ground.rng.uniform(0.44, 0.52), ground.pick(PAINTS)
    body = rectangle(length, width)
    if not ground.is_free(place, 0.45 * length) or not ground.add("vehicle", body, place, angle):
        return
    ground.taken.append((*place, 0.45 * length))
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
        wake = [
            (-length / 2, -0.6 * half),
            (-1.6 * length, -1.8 * half),
            (-1.6 * length, 1.8 * half),
            (-length / 2, 0.6 * half),
        ]
        ground.fill(wake, (0.30, 0.38, 0.41), place, angle)
    ground.fill(hull, ground.pick(((0.92, 0.92, 0.9), (0.55, 0.2, 0.15), (0.75, 0.75, 0.72))), place, angle)
    deck = [(x - 0.1 * length, y) for x, y in rectangle(0.45 * length, 1.1 * half)]
    ground.fill(deck, ground.pick(((0.85, 0.8, 0.68), (0.25, 0.3, 0.4), (0.6, 0.45, 0.3))), place, angle)


def tank(ground: Ground, place: Place, angle: float) -> None:
    """A round tank: a light roof, a rim, its own shadow on one side."""
    size = ground.rng.uniform(7.0, 14.0)
    round_ = ellipse(size, size)
    if not ground.is_free(place, 0.55 * size) or not ground.add("storage-tank", round_, place, angle):
        return
    ground.taken.append((*place, 0.55 * size))
    ground.shade(round_, place, 0, 0.4 * size)
    ground.fill(round_, (0.62, 0.62, 0.60), place)
    ground.fill(ellipse(0.84 * size, 0.84 * size), ground.pick(((0.93, 0.93, 0.91), (0.8, 0.82, 0.8))), place)
    moved = (place[0] - 0.16 * size * ground.sun[0], place[1] - 0.16 * size * ground.sun[1])
    ground.fill(ellipse(0.3 * size, 0.3 * size), (0.66, 0.67, 0.66), moved)


def person(ground: Ground, place: Place, angle: float) -> None:
    """Shoulders and a head, with a long shadow."""
    size = ground.rng.uniform(3.2, 4.6)
    body = ellipse(0.75 * size, size, 12)
    if not ground.is_free(place, 0.6 * size) or not ground.add("person", body, place, angle):
        return
    ground.taken.append((*place, 0.6 * size))
    ground.shade(ellipse(0.5 * size, 0.7 * size, 12), place, angle, 1.4 * size)
    ground.fill(body, ground.pick(CLOTHES), place, angle)
    ground.fill(ellipse(0.4 * size, 0.4 * size, 10), (0.16, 0.11, 0.09), place, angle)


def pool(ground: Ground, place: Place, angle: float) -> None:
    """Turquoise water in a pale frame; the box is that of the frame."""
    rng = ground.rng
    length = rng.uniform(8.0, 16.0)
    width = length * rng.uniform(0.45, 0.7)
    shape = ellipse if rng.random() < 0.35 else rectangle
    if not ground.is_free(place, 0.6 * length) or not ground.add("swimming-pool", shape(length, width), place, angle):
        return
    ground.taken.append((*place, 0.6 * length))
    ground.fill(shape(length, width), (0.82, 0.79, 0.73), place, angle)
    ground.fill(shape(length - 1.6, width - 1.6), ground.pick(((0.20, 0.66, 0.78), (0.25, 0.60, 0.85))), place, angle)


def airplane(ground: Ground, place: Place, angle: float) -> None:
    """A fuselage, swept wings, a tail: 24 to 44 px."""
    size = ground.rng.uniform(24.0, 44.0)
    a = size / 2
    half = [(a, 0), (0.85 * a, 0.1 * a), (0.25 * a, 0.11 * a), (-0.15 * a, 0.9 * a), (-0.33 * a, 0.9 * a),
            (-0.13 * a, 0.11 * a), (-0.75 * a, 0.08 * a), (-0.92 * a, 0.34 * a), (-a, 0.34 * a), (-0.93 * a, 0)]  # fmt: skip
    outline = half + [(x, -y) for x, y in reversed(half)]
    if not ground.is_free(place, 0.9 * a) or not ground.add("airplane", outline, place, angle):
        return
    ground.taken.append((*place, 0.9 * a))
    shadow = (place[0] + 3 * ground.sun[0], place[1] + 3 * ground.sun[1])
    ground.dots[ground.mask(ground.dot(outline, shadow, angle)).astype(bool)] *= 0.55
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
    ground.fill(lit, (1.15 * roof[0], 1.15 * roof[1], 1.15 * roof[2]), place, angle)


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
        spot = (place[0] + reach * math.cos(turn), place[1] + reach * math.sin(turn))
        shade = ground.rng.uniform(0.8, 1.3)
        ground.fill(ellipse(0.5 * size, 0.5 * size, 12), (green[0] * shade, green[1] * shade, green[2] * shade), spot)


def _coast(ground: Ground) -> Callable[[Place], bool]:
    """Water on one side of a line; returns whether a place is well in the water."""
    rng, (width, height) = ground.rng, ground.size
    angle = rng.uniform(0, 2 * math.pi)
    normal = (math.cos(angle), math.sin(angle))
    level = rng.uniform(-0.2, 0.15) * min(width, height)
    middle = (width / 2 + normal[0] * level, height / 2 + normal[1] * level)
    reach = 2.0 * (width + height)
    half = [(0, -reach), (reach, -reach), (reach, reach), (0, reach)]
    corners = [(middle[0] + x * normal[0] - y * normal[1], middle[1] + x * normal[1] + y * normal[0]) for x, y in half]
    ground.cover(corners, WATER, 0.06)
    return lambda place: (place[0] - middle[0]) * normal[0] + (place[1] - middle[1]) * normal[1] > 7


def _roads(ground: Ground, count: int) -> None:
    """Straight roads with dashed lines, and cars in their two lanes."""
    rng, (width, height) = ground.rng, ground.size
    roads = [
        ((rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height), rng.uniform(0, math.pi)) for _ in range(count)
    ]
    reach = 1.5 * (width + height)
    for broad, colour in ((19, (0.5, 0.48, 0.45)), (16, ASPHALT)):
        for middle, angle in roads:
            ground.fill(rectangle(reach, broad), colour, middle, angle)
    for middle, angle in roads:
        for step in np.arange(-reach / 2, reach / 2, 8.0):
            ground.fill(rectangle(3.5, 0.6), WHITE, _beside(middle, angle, step, 0), angle)
    for middle, angle in roads:
        for lane in (-4.0, 4.0):
            step = -reach / 2
            while step < reach / 2:
                step += rng.uniform(16, 80)
                vehicle(ground, _beside(middle, angle, step, lane), angle + math.pi * (lane > 0))
    for middle, angle in roads:  # nothing else on the road
        ground.taken += [(*_beside(middle, angle, step, 0), 8.0) for step in np.arange(-reach / 2, reach / 2, 9.0)]


def _beside(middle: Place, angle: float, along: float, across: float) -> Place:
    """The place `along` a line and `across` it, px from its middle."""
    x, y = math.cos(angle), math.sin(angle)
    return middle[0] + along * x - across * y, middle[1] + along * y + across * x


def _lot(ground: Ground, dry: Callable[[Place], bool]) -> None:
    """A car park: two rows of bays, most of them taken."""
    place = ground.somewhere(24, dry)
    if place is None:
        return
    angle = ground.rng.uniform(0, math.pi)
    ground.fill(rectangle(44, 34), (0.36, 0.36, 0.37), place, angle)
    for row in (-10.5, 10.5):
        for bay in np.arange(-18, 19, 6.0):
            ground.fill(rectangle(0.5, 11), WHITE, _beside(place, angle, bay - 3, row), angle)
            if ground.rng.random() < 0.5:
                vehicle(ground, _beside(place, angle, bay, row), angle + math.pi / 2)
    ground.taken.append((*place, 24))


def _group(
    ground: Ground, thing: Callable[[Ground, Place, float], None], count: int, spread: float,
    where: Callable[[Place], bool], pad: Sequence[Colour] = (),
) -> None:  # fmt: skip
    """Some of a thing near each other, on a pad of their own if it has a colour."""
    middle = ground.somewhere(spread, where)
    if middle is None:
        return
    if pad:
        ground.fill(ellipse(2.3 * spread, 2.3 * spread, 8), ground.pick(pad), middle)
    for _ in range(3 * count):
        place = (middle[0] + ground.rng.uniform(-spread, spread), middle[1] + ground.rng.uniform(-spread, spread))
        if where(place) and count:
            before = len(ground.labels)
            thing(ground, place, ground.rng.uniform(0, 2 * math.pi))
            count -= len(ground.labels) - before


def _scatter(
    ground: Ground,
    thing: Callable[[Ground, Place, float], None],
    count: int,
    room: float,
    where: Callable[[Place], bool],
) -> None:
    """A thing here and there."""
    for _ in range(count):
        place = ground.somewhere(room, where)
        if place is not None:
            thing(ground, place, ground.rng.uniform(0, 2 * math.pi))


def _lay_out(ground: Ground) -> None:
    """What is where: large things first, so that small ones find their place between them."""
    rng = ground.rng
    sea = _coast(ground) if rng.random() < 0.45 else None

    def dry(place: Place) -> bool:
        return sea is None or not sea((place[0], place[1]))

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


def picture_from_above(seed: int, size: tuple[int, int], largest: float = math.inf) -> tuple[NDArray[np.uint8], Array]:
    """Aerial scene number `seed`: the picture (H, W, 3) RGB for `size` = (width, height) px, and its labels.

    largest: objects with a larger sqrt(area of the box), px, are not drawn.

    Labels (n, 5): class, centre x, centre y, width, height as fractions of the picture.
    """
    ground = Ground(seed, size, largest)
    _lay_out(ground)
    rng = ground.rng
    light = ground.dots * np.asarray(rng.uniform(0.92, 1.08, 3), np.float32) * np.float32(rng.uniform(0.75, 1.1))
    blurred = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.25, 0.5) * FINER)
    edge = MARGIN * FINER
    seen = cv2.resize(blurred[edge:-edge, edge:-edge], size, interpolation=cv2.INTER_AREA)
    level = np.clip(seen, 0, 1) ** (1 / 1.4)
    noisy = level * 255 + rng.normal(0, rng.uniform(1.5, 4.0), level.shape)
    labels = np.asarray(ground.labels, np.float32).reshape(-1, 5)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8), labels
