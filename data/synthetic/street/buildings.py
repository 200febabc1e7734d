"""Standing objects of the synthetic street that carry no label: buildings, street lamps, trees, bins, bollards, signs."""

from __future__ import annotations

import math

import numpy as np

from data.synthetic.render.camera import Pose, triple
from data.synthetic.render.primitives import Face, Lamp, Model, ball, box, extrude, limb, panel, pick, srgb, times
from data.synthetic.render.rasterizer import Blob, Material, Shape, Tube

WALLS = [
    srgb(165, 105, 80), srgb(205, 190, 165), srgb(150, 150, 148), srgb(190, 160, 125), srgb(125, 85, 72),
    srgb(220, 210, 200), srgb(140, 148, 155), srgb(200, 175, 140),
]  # fmt: skip
BOARDS = [srgb(180, 40, 40), srgb(35, 70, 130), srgb(35, 100, 60), srgb(60, 55, 50), srgb(220, 170, 50)]
LEAVES = [srgb(70, 110, 45), srgb(95, 125, 50), srgb(55, 95, 50), srgb(120, 130, 55)]
WINDOW_LIGHTS = [(1.0, 0.72, 0.38), (1.0, 0.80, 0.52), (0.85, 0.92, 1.0), (1.0, 0.62, 0.28)]
# fraction of streets, colour of the light: sodium, warm LED, cold LED
STREET_LIGHTS = [
    (0.40, (1.0, 0.58, 0.20)), (0.75, (1.0, 0.80, 0.55)), (1.01, (0.88, 0.95, 1.0)),
]  # fmt: skip


def building(rng: np.random.Generator, length: float, side: int, near: bool = True) -> Model:
    """A house `length` metres along the street; `side` -1 left, 1 right of it, 0 across its end; details if `near`."""
    height = rng.uniform(6, 14)
    wall = Material(pick(rng, WALLS), 0.14)
    depth, half = (9.0, length / 2) if side else (60.0, 6.0)
    faces = _storeys(rng, -half, half, height, near) if side else []
    seen = (-float(side),)  # only the wall towards the street is painted
    profile = [(-half, 0.0, depth / 2), (-half, height, depth / 2), (half, height, depth / 2), (half, 0.0, depth / 2)]
    gable = {} if side else {0: _far_windows(rng, half, depth, height)}
    solid = extrude(profile, wall, side=faces, painted=gable, shift=side * depth / 2, paint_sides=seen)
    return Model((solid,), (length, height, depth))


def _window(rng: np.random.Generator, chance: float, low: float, high: float) -> Material:
    """Glass that mirrors the sky by day and is lit with this chance at night."""
    light = times(WINDOW_LIGHTS[rng.integers(len(WINDOW_LIGHTS))], rng.uniform(low, high))
    return Material(srgb(52, 62, 72), 0.02, 0.4, light if rng.random() < chance else (0.0, 0.0, 0.0))


def _storeys(rng: np.random.Generator, low: float, high: float, height: float, near: bool) -> list[Face]:
    """Shop or plain windows on the ground floor, then rows of windows with frames, and a cornice."""
    frame = Material(srgb(215, 212, 205) if rng.random() < 0.6 else srgb(90, 85, 80), 0.05)
    foot = Material(srgb(95, 92, 90), 0.1)
    faces = [panel(low, high, height - 0.35, height, frame), panel(low, high, 0.0, 0.4, foot)]
    step, width = rng.uniform(1.9, 3.0), rng.uniform(0.9, 1.4)
    count = max(2, int((high - low) / step))
    step = (high - low) / count
    shop = rng.random() < 0.5
    if shop:
        faces += _shop(rng, low, high)
    for floor in range(1 if shop else 0, int((height - 0.6) / 2.9)):
        sill = 0.95 + floor * 2.9
        for i in range(count):
            middle = low + (i + 0.5) * step
            if near:
                faces.append(panel(middle - width / 2 - 0.1, middle + width / 2 + 0.1, sill - 0.1, sill + 1.6, frame))
            faces.append(panel(middle - width / 2, middle + width / 2, sill, sill + 1.5, _window(rng, 0.22, 0.10, 0.9)))
    return faces


def _shop(rng: np.random.Generator, low: float, high: float) -> list[Face]:
    """Two panes, a door, and a coloured board above them."""
    light, paint = _window(rng, 0.5, 0.5, 1.8), pick(rng, BOARDS)
    board = Material(paint, 0.05, emission=triple(np.multiply(light.emission, paint) * 0.5))
    edge = (high - low) / 3
    faces = [panel(low + 0.4, high - 0.4, 2.45, 3.0, board)]
    faces += [panel(low + i * edge + 0.5, low + (i + 1) * edge - 0.3, 0.55, 2.35, light) for i in (0, 2)]
    return [*faces, panel(low + 1.35 * edge, low + 1.65 * edge, 0.1, 2.3, Material(srgb(70, 55, 45), 0.08))]


def _far_windows(rng: np.random.Generator, half: float, depth: float, height: float) -> list[Face]:
    """Windows on the wall that closes the street, facing the camera."""
    faces = []
    for floor in range(int(height / 2.9)):
        for x in np.arange(-depth / 2 + 1.5, depth / 2 - 1.5, 2.6):
            low, high = 0.95 + floor * 2.9, 2.4 + floor * 2.9
            corners = [(-half, low, x), (-half, high, x), (-half, high, x + 1.2), (-half, low, x + 1.2)]
            faces.append(Face(np.array(corners, np.float32), _window(rng, 0.2, 0.1, 0.9)))
    return faces


def lamp_post(kind: float, power: float) -> Model:
    """A street lamp 6 m tall with its arm forward; `kind` in [0, 1) picks the light's colour, `power` 0 is broken."""
    colour = next(c for fraction, c in STREET_LIGHTS if kind < fraction)
    metal = Material(srgb(75, 80, 82), 0.05)
    glow = Material(srgb(210, 210, 200), 0.0, 0.1, times(colour, 0.9 * power))
    post = limb([(0.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 5.8, 0.0), (1.4, 6.1, 0.0)], [0.10, 0.07, 0.055, 0.04], metal)
    head = box((1.2, 6.02, -0.16), (1.9, 6.14, 0.16), metal, edges={})
    shapes: tuple[Shape, ...] = (*post, Tube((1.35, 5.99, 0.0), (1.8, 5.99, 0.0), 0.08, 0.08, glow), head)
    lamps = (Lamp((1.55, 5.9, 0.0), colour, power, (0.0, -1.0, 0.0), 1.6),) if power else ()
    return Model(shapes, (2.0, 6.2, 0.4), lamps)


def tree(rng: np.random.Generator) -> Model:
    """A street tree, 4-6.5 m tall, with a crown of leaf blobs lit by their side."""
    height, spread = rng.uniform(4.0, 6.5), rng.uniform(1.1, 1.8)
    bark = Material(srgb(90, 72, 55), 0.25)
    leaf = Material(pick(rng, LEAVES), 0.45)
    middle = height - spread * 0.8
    shapes: list[Shape] = list(limb([(0.0, 0.0, 0.0), (0.05, middle, 0.0)], [0.16, 0.10], bark))
    for _ in range(13):
        out = rng.normal(size=3)
        out *= spread * 0.75 * rng.random() ** 0.4 / np.linalg.norm(out)
        centre = (float(out[0]), float(middle + 0.8 * out[1]), float(out[2]))
        normal = np.array([out[2], out[1] + 0.5 * spread, -0.6 * spread - abs(out[0]) * 0.3])
        outline = tuple(float(v) for v in rng.uniform(0.72, 1.1, 15))
        direction = triple(normal / np.linalg.norm(normal))
        tone = leaf._replace(colour=pick(rng, [leaf.colour]))
        shapes.append(Blob(centre, spread * rng.uniform(0.42, 0.62), outline, direction, tone))
    return Model(tuple(shapes), (2 * spread, height, 2 * spread), sort=True)


def bin_(rng: np.random.Generator) -> Model:
    """A litter bin."""
    paint = Material(pick(rng, [srgb(45, 90, 60), srgb(70, 75, 80), srgb(35, 60, 110)]), 0.08)
    lid = box((-0.28, 0.95, -0.28), (0.28, 1.03, 0.28), Material(srgb(40, 42, 44)))
    return Model((box((-0.25, 0.0, -0.25), (0.25, 0.95, 0.25), paint), lid), (0.5, 1.0, 0.5))


def bollard(rng: np.random.Generator) -> Model:
    """A bollard with a light band."""
    metal = Material(pick(rng, [srgb(60, 62, 66), srgb(95, 40, 35)]), 0.05)
    band = Material(srgb(225, 225, 220), 0.0)
    post = limb([(0.0, 0.0, 0.0), (0.0, 0.66, 0.0)], 0.09, metal)
    light = limb([(0.0, 0.66, 0.0), (0.0, 0.74, 0.0)], 0.092, band)
    return Model((*post, *light, ball((0.0, 0.85, 0.0), 0.10, metal)), (0.2, 0.95, 0.2))


def sign(rng: np.random.Generator) -> Model:
    """A traffic sign: a disc or a square on a pole."""
    pole = limb([(0.0, 0.0, 0.0), (0.0, 2.5, 0.0)], 0.035, Material(srgb(150, 152, 155), 0.05))
    face = Material(pick(rng, [srgb(30, 80, 170), srgb(200, 35, 35), srgb(240, 205, 50)]), 0.02)
    plate = box((-0.03, 1.95, -0.32), (0.03, 2.55, 0.32), face)
    inner = box((-0.04, 2.08, -0.18), (-0.03, 2.42, 0.18), Material(srgb(240, 240, 240), 0.02))
    head: tuple[Shape, ...] = (plate, inner) if rng.random() < 0.5 else (ball((0.0, 2.3, 0.0), 0.32, face),)
    return Model((*pole, *head), (0.1, 2.6, 0.64))


def bench(rng: np.random.Generator) -> Model:
    """A park bench."""
    wood = Material(pick(rng, [srgb(140, 95, 55), srgb(110, 85, 65)]), 0.2)
    legs = [box((-0.2, 0.0, s), (0.2, 0.42, s + 0.06), Material(srgb(50, 50, 52))) for s in (-0.7, 0.64)]
    seat, back = box((-0.22, 0.42, -0.8), (0.22, 0.48, 0.8), wood), box((-0.26, 0.55, -0.8), (-0.22, 0.9, 0.8), wood)
    return Model((*legs, seat, back), (0.5, 0.9, 1.6))


def furnishings(rng: np.random.Generator, road: float, verge: float) -> list[tuple[Model, Pose]]:
    """Trees in rows now and then, and a handful of small objects along both kerbs."""
    found: list[tuple[Model, Pose]] = []
    for side in (-1, 1):
        if rng.random() < 0.55:
            for z in np.arange(rng.uniform(7, 12), 55, rng.uniform(7, 11)):
                found.append((tree(rng), Pose(side * (road + 0.9), float(z))))
        for _ in range(rng.integers(1, 5)):
            make = [bin_, bollard, bollard, sign, bench][rng.integers(5)]
            x = side * (verge - 0.5 if make in (bin_, bench) else road + 0.45)
            found.append((make(rng), Pose(x, rng.uniform(4.5, 24), -side * math.pi / 2 if make is bench else 0.0)))
    return found
