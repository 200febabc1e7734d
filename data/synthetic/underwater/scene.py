"""The synthetic sea floor: sand or rock seen straight down or obliquely, with URPC's four animals, stones and weed.

An image in 2.5 dimensions: every dot has a reflectance, a height above the floor in metres and an owner. Light and
water are computed afterwards (data/synthetic/underwater/water.py) from the same scene, so its looks are registered exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array
from data.synthetic.render.lighting import shrink
from data.synthetic.render.rasterizer import label_rows, noise_tile
from data.synthetic.underwater.animals import KINDS, Draw, pick, stone

Spot = tuple[float, float]  # column and row, dots

NAMES = tuple(KINDS)
SHARES = (0.3, 0.22, 0.24, 0.24)  # how often each is meant to come
BURY = {"echinus": 0.1, "holothurian": 0.25, "scallop": 0.5, "starfish": 0.3}  # how often sand lies on it
FINER = 3  # drawn at this many dots per pixel
SIDES = (11.0, 62.0)  # px of an image 320 px wide: how long an animal may be
LEAST_SEEN = 0.3  # an animal that shows less of itself has no label
BURIED = 0.4  # the most of an animal's length that is under the sand
SANDS = ((0.44, 0.37, 0.27), (0.36, 0.33, 0.27), (0.28, 0.24, 0.18), (0.50, 0.45, 0.36))
ROCKS = ((0.16, 0.15, 0.13), (0.11, 0.105, 0.10), (0.20, 0.16, 0.13), (0.10, 0.11, 0.08))
WEEDS = ((0.06, 0.10, 0.025), (0.10, 0.085, 0.03), (0.03, 0.07, 0.03), (0.12, 0.045, 0.035))


class View(NamedTuple):
    """A camera over a level floor: `size` (width, height) and `focal` in px, `altitude` in metres.

    `pitch` is the angle in radians from the horizon down to the optical axis: pi / 2 looks straight down.
    """

    size: tuple[int, int]
    focal: float
    altitude: float
    pitch: float

    def rays(self) -> tuple[Array, Array, Array]:
        """Slopes of the dots: x (W,), y downwards (H, 1), and how steeply each row falls (H, 1), per metre ahead."""
        width, height = self.size
        x = ((np.arange(width * FINER, dtype=np.float32) + 0.5) / FINER - width / 2) / self.focal
        y = ((np.arange(height * FINER, dtype=np.float32) + 0.5) / FINER - height / 2)[:, None] / self.focal
        return x, y, (math.sin(self.pitch) + y * math.cos(self.pitch)).astype(np.float32)

    def floor(self) -> tuple[Array, Array]:
        """Floor places of the dots, (H, W) metres: to the right of the camera, and ahead of it."""
        x, y, fall = self.rays()
        depth = self.altitude / fall
        ahead = depth * (math.cos(self.pitch) - y * math.sin(self.pitch))
        return depth * x, np.broadcast_to(ahead, (len(y), len(x))).astype(np.float32)

    def distance(self) -> Array:
        """(H, W) metres from the camera to the floor along each dot's ray."""
        x, y, fall = self.rays()
        return self.altitude / fall * np.sqrt(1 + x**2 + y**2)

    def scale(self, row: float) -> tuple[float, float]:
        """Dots a metre at a dot row, and the sine of the angle at which the floor is seen there."""
        y = ((row + 0.5) / FINER - self.size[1] / 2) / self.focal
        fall = math.sin(self.pitch) + y * math.cos(self.pitch)
        return self.focal * FINER * fall / self.altitude, fall / math.hypot(1, y)


class SeaFloor(NamedTuple):
    """A drawn scene at the image's own pixels.

    reflected: (H, W, 3) linear light of the surfaces under white light from above; distance: (H, W) metres along the ray;
    ripple: (H, W) how waves gather sunlight, mean 0, deviation about 1; labels: (n, 5) class, centre x, centre y, width,
    height as fractions of the image.
    """

    reflected: Array
    distance: Array
    ripple: Array
    labels: NDArray[np.float32]


class _Scene:
    """An image in the making, in dots."""

    def __init__(self, seed: int, size: tuple[int, int]) -> None:
        rng = self.rng = np.random.default_rng([seed, 51])  # some divers' and robots' cameras look straight down:
        pitch = math.radians(rng.uniform(80, 90) if rng.random() < 0.35 else rng.uniform(38, 75))
        self.view = View(size, size[0] * rng.uniform(0.85, 1.0), rng.uniform(0.6, 1.5), pitch)
        self.colour, self.height = _bottom(self.rng, self.view)
        self.grit = 1 + 0.13 * _noise(self.rng, *self.view.floor(), 45.0)  # on all that lies there
        self.owner: NDArray[np.int16] = np.full(self.height.shape, -1, np.int16)
        self.kinds: list[int] = []  # of each owner
        self.whole: list[int] = []  # dots that each would show if nothing lay upon it

    def somewhere(self, margin: float = 0.0) -> Spot:
        """A dot (column, row), at least `margin` dots inside the image."""
        height, width = self.height.shape
        return self.rng.uniform(margin, width - margin), self.rng.uniform(margin, height - margin)

    def put(self, draw: Draw, spot: Spot, length: float, thickness: float, kind: int = -1, buried: float = 0.0) -> None:
        """Draw an object of `length` metres about a spot, turned at random; `buried` is the fraction of it under sand."""
        rows, columns, u, v = self._grid(spot, length, thickness)
        patch = draw(self.rng, u, v)
        seen = patch.inside & (_edge(self.rng, u, v) < 1 - 2 * buried)
        base = float(np.median(self.height[rows, columns][seen])) if seen.any() else 0.0
        self.height[rows, columns][seen] = base + patch.height[seen] * length / 2
        self.colour[rows, columns][seen] = patch.colour[seen] * self.grit[rows, columns][seen, None]
        self.owner[rows, columns][seen] = len(self.kinds) if kind >= 0 else -1
        if kind >= 0:
            self.kinds.append(kind)
            self.whole.append(int(patch.inside.sum()))

    def _grid(self, spot: Spot, length: float, thickness: float) -> tuple[slice, slice, Array, Array]:
        """The dots about a spot (rows, columns) and their places in an object that lies there, in half lengths."""
        metre, sine = self.view.scale(spot[1])
        half = length * metre / 2
        squeeze = math.sqrt(sine**2 + thickness**2 * (1 - sine**2))  # a tall object looks less flat from the side
        columns, rows = (_span(at, half, end) for at, end in zip(spot, self.height.shape[::-1], strict=True))
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) - spot[0]) / half
        y = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - spot[1]) / (half * squeeze)
        turn = self.rng.uniform(0, 2 * math.pi)
        c, s = math.cos(turn), math.sin(turn)
        return rows, columns, (x * c + y * s).astype(np.float32), (y * c - x * s).astype(np.float32)

    def weed(self, spot: Spot, length: float) -> None:
        """A tuft of strands that stand up from the floor and sway one way."""
        metre = self.view.scale(spot[1])[0]
        mask = np.zeros(self.height.shape, np.uint8)
        lean = self.rng.uniform(0, 2 * math.pi)
        for _ in range(int(self.rng.integers(3, 9))):
            cv2.polylines(mask, [_strand(self.rng, spot, length * metre, lean)], False, 1, int(1 + metre * 0.006))
        there = mask.astype(bool)
        self.colour[there] = pick(self.rng, WEEDS)
        self.height[there] += 0.3 * length
        self.owner[there] = -1

    def labels(self) -> NDArray[np.float32]:
        """Boxes around what is seen of each animal; none for what shows less than LEAST_SEEN of itself."""

        def is_labelled(number: int, dots: int, width: int, height: int) -> bool:
            return dots >= LEAST_SEEN * self.whole[number] and min(width, height) >= 3 * FINER

        return label_rows(self.owner, self.kinds, is_labelled)


def draw_sea(seed: int, size: tuple[int, int]) -> SeaFloor:
    """Scene number `seed` for an image of `size` (width, height) px: 3 to 12 animals among stones and weed."""
    scene = _Scene(seed, size)
    _scatter_stones(scene)
    for spot, kind, length in _animals(scene):
        buried = scene.rng.uniform(0.1, BURIED) if scene.rng.random() < BURY[NAMES[kind]] else 0.0
        scene.put(KINDS[NAMES[kind]].draw, spot, length, KINDS[NAMES[kind]].thickness, kind, buried)
    for _ in range(scene.rng.poisson(2.5) if scene.rng.random() < 0.6 else 0):  # weed hides what lies behind it
        scene.weed(scene.somewhere(), scene.rng.uniform(0.06, 0.2))
    return _finished(scene)


def _noise(rng: np.random.Generator, right: Array, ahead: Array, cells: float) -> Array:
    """Smooth noise on the floor, `cells` texels a metre, from a drawn place in the tile; mean 0, deviation 1."""
    turn, shift = rng.uniform(0, 2 * math.pi), rng.uniform(0, 256, 2)
    c, s = math.cos(turn), math.sin(turn)
    column = (c * right + s * ahead) * cells + float(shift[0])
    row = (c * ahead - s * right) * cells + float(shift[1])
    return np.asarray(cv2.remap(noise_tile(), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def _bottom(rng: np.random.Generator, view: View) -> tuple[Array, Array]:
    """Reflectance (H, W, 3) and height (H, W) of bare sand, often rippled, with rock coming through in places."""
    right, ahead = view.floor()
    broad, coarse, fine = (_noise(rng, right, ahead, cells) for cells in (9.0, 40.0, 260.0))
    fade = np.minimum(1, view.rays()[2] * view.focal * FINER / view.altitude / 500)  # grit far away averages out
    height = 0.02 * broad + 0.003 * coarse + 0.0008 * fade * fine
    tone = 1 + 0.06 * broad + 0.07 * coarse + 0.10 * fade * fine
    colour = tone[..., None] * pick(rng, SANDS)
    if rng.random() < 0.5:
        height += fade * _ripples(rng, right, ahead, broad)
    if rng.random() < 0.55:
        rock = np.clip(2.5 * (broad + 0.35 * coarse - rng.uniform(0.3, 1.2)), 0, 1)
        lumps = _noise(rng, right, ahead, 22.0)
        stone_colour = pick(rng, ROCKS) * (1 + 0.22 * lumps + 0.25 * fine * fade)[..., None]
        colour += rock[..., None] * (stone_colour - colour)
        height += rock * (0.03 + 0.012 * lumps + 0.006 * coarse)
    return np.maximum(colour, 0.01).astype(np.float32), height.astype(np.float32)


def _ripples(rng: np.random.Generator, right: Array, ahead: Array, broad: Array) -> Array:
    """Sand waves, metres."""
    turn, length = rng.uniform(0, 2 * math.pi), rng.uniform(0.06, 0.2)
    along = math.cos(turn) * right + math.sin(turn) * ahead
    return rng.uniform(0.02, 0.06) * length * np.sin(2 * math.pi / length * along + 1.3 * broad)


def _scatter_stones(scene: _Scene) -> None:
    """Boulders first, then pebbles and crumbs of shell."""
    rng = scene.rng
    sizes = [rng.uniform(0.2, 0.5) for _ in range(rng.poisson(0.8))]
    sizes += [rng.uniform(0.03, 0.14) for _ in range(rng.integers(4, 22))]
    sizes += [rng.uniform(0.01, 0.03) for _ in range(rng.integers(0, 50))]
    for length in sizes:
        scene.put(stone, scene.somewhere(), length, 0.5, buried=rng.uniform(0, 0.2))


def _animals(scene: _Scene) -> list[tuple[Spot, int, float]]:
    """Where animals lie, of what class and length (m), far to near; they may touch but not lie in one another."""
    rng, unit = scene.rng, FINER * scene.view.size[0] / 320
    found: list[tuple[Spot, int, float]] = []
    taken: list[tuple[float, float, float]] = []
    for kind in rng.choice(len(NAMES), size=rng.integers(3, 13), p=SHARES):
        for _ in range(30):
            length = rng.uniform(*KINDS[NAMES[kind]].length)
            x, y = scene.somewhere(4 * unit)
            half = length * scene.view.scale(y)[0] / 2
            fits = SIDES[0] * unit < 2 * half < SIDES[1] * unit
            if fits and all(math.hypot(x - a, y - b) > 0.75 * (half + r) for a, b, r in taken):
                taken.append((x, y, half))
                found.append(((x, y), int(kind), length))
                break
    return sorted(found, key=lambda item: item[0][1])


def _strand(rng: np.random.Generator, spot: Spot, length: float, lean: float) -> NDArray[np.int32]:
    """A curved line (n, 2) of dots from near a spot."""
    start = np.asarray(spot) + rng.normal(0, 0.08 * length, 2)
    steps = np.linspace(0, 1, 9)[:, None] * length * rng.uniform(0.5, 1.0)
    turn = lean + rng.normal(0, 0.45) + rng.normal(0, 0.5) * np.linspace(0, 1, 9)
    return np.round(start + steps * np.stack([np.cos(turn), np.sin(turn)], 1)).astype(np.int32)


def _edge(rng: np.random.Generator, u: Array, v: Array) -> Array:
    """How far places lie towards one side of an object, -1 to 1, with a wavy front: where sand lies on it."""
    turn, wave = rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi)
    across = v * math.cos(turn) - u * math.sin(turn)
    return u * math.cos(turn) + v * math.sin(turn) + 0.08 * np.sin(7 * across + wave)


def _span(at: float, half: float, end: int) -> slice:
    """Dots within `half` of a place, inside the image."""
    first = min(max(math.floor(at - half), 0), end - 1)
    return slice(first, max(min(math.ceil(at + half) + 1, end), first + 1))


def _finished(scene: _Scene) -> SeaFloor:
    """Shade the dots and average them down to pixels."""
    view = scene.view
    right, ahead = view.floor()
    waves = [_noise(scene.rng, right, ahead, cells) for cells in (60.0, 83.0)]
    bright = np.exp(-2.0 * np.abs(waves[0] + 0.6 * waves[1]))  # light gathers along lines
    distance = view.distance() * (1 - np.clip(scene.height, 0, None) / view.altitude)
    reflected = scene.colour * _shade(scene)[..., None]
    ripple = (bright - bright.mean()) / bright.std()
    return SeaFloor(shrink(reflected, FINER), shrink(distance, FINER), shrink(ripple, FINER), scene.labels())


def _shade(scene: _Scene) -> Array:
    """Fraction of light (H, W) that the surfaces get: from above and a little from one side, less in hollows."""
    metre = scene.view.rays()[2] * (scene.view.focal * FINER / scene.view.altitude)  # (H, 1) dots a metre
    slope_x = np.clip(cv2.Sobel(scene.height, cv2.CV_32F, 1, 0, scale=1 / 8) * metre, -1.5, 1.5)
    slope_y = np.clip(cv2.Sobel(scene.height, cv2.CV_32F, 0, 1, scale=1 / 8) * metre, -1.5, 1.5)
    turn = scene.rng.uniform(0, 2 * math.pi)
    side = 0.5 * (math.cos(turn) * slope_x + math.sin(turn) * slope_y)
    lit = np.clip((1 - side) / np.sqrt(1 + slope_x**2 + slope_y**2), 0, 1.6)
    small = cv2.resize(scene.height, None, fx=1 / FINER, fy=1 / FINER, interpolation=cv2.INTER_AREA)
    around = cv2.resize(cv2.GaussianBlur(small, (0, 0), small.shape[1] / 100), scene.height.shape[::-1])
    hollow = np.clip(14 * (around - scene.height), 0, 0.55)
    return (0.35 + 0.65 * lit) * (1 - hollow)
