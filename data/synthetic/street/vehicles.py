"""Cars, buses, motorbikes, bicycles of the synthetic street. A builder takes a generator for its looks, and `lit`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from data.synthetic.render.primitives import (
    Face,
    Lamp,
    Model,
    ball,
    box,
    disc,
    extrude,
    limb,
    on_edge,
    panel,
    patch,
    pick,
    ring,
    srgb,
    wheel,
)
from data.synthetic.render.rasterizer import Material, Shape

RUBBER = Material(srgb(34, 34, 36), 0.05)
STEEL = Material(srgb(170, 172, 178), 0.05, 0.25)
DARK = Material(srgb(40, 42, 46), 0.05)
GLASS = Material(srgb(38, 48, 56), 0.02, 0.45)
PLATE = Material(srgb(235, 232, 205), 0.02)
WHITE_BEAM = (1.0, 0.93, 0.80)
RED_GLOW = (1.0, 0.05, 0.03)
PAINTS = [
    srgb(200, 30, 28), srgb(30, 70, 170), srgb(235, 235, 232), srgb(150, 155, 160), srgb(48, 50, 54),
    srgb(20, 110, 70), srgb(240, 190, 30), srgb(225, 110, 25), srgb(120, 170, 205), srgb(110, 25, 40),
]  # fmt: skip
COACH_PAINTS = [
    srgb(205, 28, 30), srgb(245, 190, 25), srgb(30, 95, 175), srgb(40, 140, 75), srgb(238, 236, 230), srgb(235, 120, 30),
]  # fmt: skip
# heights of roof and body; then where the cabin begins and ends, as fractions of the length: rear at foot and roof, front
# at roof and foot
CABINS = {
    "hatch": (1.48, 0.90, -0.48, -0.40, 0.07, 0.25),
    "saloon": (1.42, 0.90, -0.36, -0.22, 0.08, 0.25),
    "estate": (1.50, 0.92, -0.49, -0.44, 0.06, 0.23),
    "suv": (1.75, 1.02, -0.48, -0.43, 0.10, 0.24),
    "van": (1.95, 1.05, -0.49, -0.48, 0.20, 0.36),
}


def _headlamp(lit: bool) -> Material:
    return Material(srgb(235, 238, 240), 0.0, 0.2, (60.0, 56.0, 48.0) if lit else (0.0, 0.0, 0.0), 3.0)


def _tail_lamp(lit: bool) -> Material:
    return Material(srgb(170, 12, 16), 0.0, 0.1, (6.0, 0.25, 0.12) if lit else (0.0, 0.0, 0.0), 1.0)


def _beams(length: float, up: float, power: float, lit: bool) -> tuple[Lamp, ...]:
    """One headlight beam ahead, dipped a little, and the weak red light behind."""
    if not lit:
        return ()
    front = Lamp((length / 2 + 0.1, up, 0.0), WHITE_BEAM, power, (1.0, -0.05, 0.0), 26.0)
    return front, Lamp((-length / 2 - 1.0, up, 0.0), RED_GLOW, power * 0.012)


def car(rng: np.random.Generator, lit: bool) -> Model:
    """A car: hatchback, saloon, estate, SUV or van, 3.7-4.8 m long."""
    style = str(rng.choice(list(CABINS)))
    roof, body, *marks = CABINS[style]
    length, half = rng.uniform(4.0, 4.8) - (0.3 if style == "hatch" else 0), rng.uniform(0.84, 0.93)
    paint = Material(pick(rng, PAINTS), 0.04, 0.10)
    shell = [
        (-length / 2, 0.30, half), (-length / 2, body - 0.12, half), (-0.475 * length, body, half * 0.96),
        (0.30 * length, body - 0.02, half * 0.96), (0.485 * length, body - 0.18, half * 0.95), (length / 2, 0.52, half),
        (length / 2, 0.28, half),
    ]  # fmt: skip
    low = extrude(shell, paint, edges={5: DARK}, side=_car_sides(length, half, body), painted=_car_ends(shell, lit))
    corners = product((-1, 1), (0.12 - half, half - 0.12))
    shapes: list[Shape] = [wheel(end * 0.31 * length, 0.32, 0.11, RUBBER, STEEL, shift) for end, shift in corners]
    shapes.append(box((-0.45 * length, 0.16, -half * 0.9), (0.45 * length, 0.4, half * 0.9), DARK))
    shapes += [low, _cabin(length, half, roof, body - 0.02, marks, paint)]
    return Model(tuple(shapes), (length, roof, 2 * half), _beams(length, 0.66, 55.0, lit))


def _car_sides(length: float, half: float, body: float) -> list[Face]:
    """Wheels, door seams, handles and a sill."""
    seam = Material(srgb(30, 30, 32), 0.0)
    faces = [panel(-0.2 * length, 0.2 * length, 0.28, 0.36, DARK)]
    faces += [panel(at * length - 0.012, at * length + 0.012, 0.38, body - 0.06, seam) for at in (-0.16, 0.04, 0.22)]
    faces += [panel(at * length, at * length + 0.16, body - 0.2, body - 0.16, STEEL) for at in (-0.10, 0.10)]
    for sign in (-1, 1):
        spot = sign * 0.31 * length
        faces += [disc(spot, 0.40, 0.38, DARK), disc(spot, 0.32, 0.32, RUBBER), disc(spot, 0.32, 0.20, STEEL)]
        faces.append(disc(spot, 0.32, 0.07, DARK))
    return faces


def _car_ends(shell: list[tuple[float, float, float]], lit: bool) -> dict[int, list[Face]]:
    """Lamps, grille, and plates on the rear (edge 0) and front (edge 4)."""
    head, tail = _headlamp(lit), _tail_lamp(lit)
    rear = [on_edge(shell, 0, (-0.22, 0.22), (0.35, 0.6), PLATE), on_edge(shell, 0, (-1, 1), (0.0, 0.22), DARK)]
    rear += [on_edge(shell, 0, span, (0.55, 0.95), tail) for span in ((-0.98, -0.62), (0.62, 0.98))]
    front = [on_edge(shell, 4, (-0.45, 0.45), (0.25, 1.0), DARK)]
    front += [on_edge(shell, 4, span, (0.05, 0.75), head) for span in ((-0.97, -0.58), (0.58, 0.97))]
    return {0: rear, 4: front, 5: [on_edge(shell, 5, (-0.25, 0.25), (0.1, 0.7), PLATE)]}


def _cabin(length: float, half: float, roof: float, foot: float, marks: list[float], paint: Material) -> Shape:
    """The glass house on top of the body: windows in front, behind, and two a side between painted pillars."""
    rear, rear_top, front_top, front = (m * length for m in marks)
    wide, narrow = half * 0.95, half * 0.78
    profile = [(rear, foot, wide), (rear_top, roof, narrow), (front_top, roof, narrow), (front, foot, wide)]
    top, sill = roof - 0.09, foot + 0.05
    split = (rear + front) / 2 + 0.05

    def lean(base: float, tip: float, up: float) -> float:
        return base + (tip - base) * (up - foot) / (roof - foot)

    windows = [
        patch([(lean(rear, rear_top, sill) + 0.12, sill), (split - 0.05, sill), (split - 0.05, top),
               (lean(rear, rear_top, top) + 0.12, top)], GLASS),
        patch([(split + 0.05, sill), (lean(front, front_top, sill) - 0.14, sill),
               (lean(front, front_top, top) - 0.12, top), (split + 0.05, top)], GLASS),
    ]  # fmt: skip
    glass = {i: [on_edge(profile, i, (-0.9, 0.9), (0.1, 0.88), GLASS)] for i in (0, 2)}
    return extrude(profile, paint, side=windows, painted=glass)


def bus(rng: np.random.Generator, lit: bool) -> Model:
    """A city bus, 9-11 m long, with a row of windows; lit inside and with an amber destination display at night."""
    length, half, roof = rng.uniform(8.5, 10.5), 1.22, rng.uniform(2.85, 3.1)
    paint = Material(pick(rng, COACH_PAINTS), 0.04, 0.06)
    stripe = Material(pick(rng, COACH_PAINTS), 0.04)
    warmth = rng.uniform(0.6, 1.3) if lit else 0.0
    glass = GLASS._replace(emission=(0.62 * warmth, 0.58 * warmth, 0.46 * warmth))
    sign = Material(srgb(30, 26, 20), 0.0, 0.0, (2.6, 1.3, 0.12) if lit else (0.0, 0.0, 0.0))
    shell = [(-length / 2, 0.35, half), (-length / 2, roof, half * 0.97), (length / 2 - 0.12, roof, half * 0.97),
             (length / 2, 0.35, half)]  # fmt: skip
    ends = _bus_ends(shell, glass, sign, lit)
    body = extrude(shell, paint, side=_bus_sides(length, roof, glass, stripe), painted=ends)
    under = box((-length / 2 + 0.2, 0.12, -half * 0.93), (length / 2 - 0.2, 0.4, half * 0.93), DARK)
    unit = box((-0.2 * length, roof, -0.7), (0.1 * length, roof + 0.18, 0.7), Material(srgb(205, 205, 205)))
    shapes = (under, unit, body)  # the roof unit is seen from below: the roof hides its foot
    return Model(shapes, (length, roof + 0.18, 2 * half), _beams(length, 0.8, 60.0, lit))


def _bus_sides(length: float, roof: float, glass: Material, stripe: Material) -> list[Face]:
    """Stripe, windows between pillars, a door, and wheels."""
    faces = [panel(-length / 2, length / 2, 0.85, 1.1, stripe), panel(-length / 2, length / 2, 0.35, 0.5, DARK)]
    count = round(length / 1.35)
    step = (length - 0.5) / count
    lows = [-length / 2 + 0.25 + i * step for i in range(count)]
    faces += [panel(low + 0.05, low + step - 0.05, 1.3, roof - 0.42, glass) for low in lows]
    door = 0.36 * length
    faces += [panel(door - 0.6, door + 0.6, 0.45, roof - 0.35, DARK)]
    faces += [panel(door + a, door + a + 0.5, 0.6, roof - 0.45, glass) for a in (-0.54, 0.04)]
    for spot in (-0.27 * length, 0.25 * length):
        faces += [disc(spot, 0.58, 0.56, DARK), disc(spot, 0.48, 0.48, RUBBER), disc(spot, 0.48, 0.27, STEEL)]
    return faces


def _bus_ends(
    shell: list[tuple[float, float, float]], glass: Material, sign: Material, lit: bool
) -> dict[int, list[Face]]:
    """Window, grille, lamps of the rear (edge 0, from the bumper up); display, windscreen, lamps of the front (2, down)."""
    head, tail = _headlamp(lit), _tail_lamp(lit)
    front = [on_edge(shell, 2, (-0.92, 0.92), (0.16, 0.60), glass), on_edge(shell, 2, (-0.7, 0.7), (0.03, 0.13), sign)]
    front += [on_edge(shell, 2, (-0.02, 0.02), (0.16, 0.60), DARK), on_edge(shell, 2, (-1, 1), (0.92, 1.0), DARK)]
    front += [on_edge(shell, 2, span, (0.76, 0.86), head) for span in ((-0.95, -0.65), (0.65, 0.95))]
    front.append(on_edge(shell, 2, (-0.2, 0.2), (0.84, 0.92), PLATE))
    rear = [on_edge(shell, 0, (-0.8, 0.8), (0.5, 0.85), glass), on_edge(shell, 0, (-0.6, 0.6), (0.1, 0.32), DARK)]
    rear += [on_edge(shell, 0, span, (0.15, 0.42), tail) for span in ((-0.97, -0.75), (0.75, 0.97))]
    return {0: rear, 2: front}


def motorbike(rng: np.random.Generator, lit: bool) -> Model:
    """A motorbike, 2.1 m long: fat wheels, engine block, tank, seat, fork."""
    paint = Material(pick(rng, PAINTS), 0.03, 0.12)
    shapes: list[Shape] = [wheel(sign * 0.70, 0.33, 0.08, RUBBER, STEEL) for sign in (-1, 1)]
    shapes += _bike_body(paint, lit)
    if rng.random() < 0.5:
        shapes.append(extrude([(0.36, 0.60, 0.16), (0.42, 1.05, 0.14), (0.52, 1.08, 0.12), (0.72, 0.78, 0.13)], paint))
    for side in (-0.10, 0.10):
        shapes += limb([(0.70, 0.33, side), (0.42, 0.98, side)], [0.04, 0.035], STEEL)
        shapes += limb([(-0.70, 0.33, side), (-0.20, 0.45, side)], 0.04, DARK)
    shapes += limb([(0.36, 1.02, -0.40), (0.42, 1.02, 0.0), (0.36, 1.02, 0.40)], 0.03, DARK)
    shapes += limb([(0.05, 0.28, 0.20), (-0.45, 0.32, 0.22), (-0.85, 0.42, 0.22)], [0.045, 0.06, 0.07], STEEL)
    shapes += [ball((0.42, 1.16, s), 0.06, DARK) for s in (-0.34, 0.34)]
    return Model(tuple(shapes), (2.1, 1.2, 0.8), _beams(1.9, 0.85, 30.0, lit), sort=True)


def _bike_body(paint: Material, lit: bool) -> list[Shape]:
    """Engine, tank, seat, tail with its light, front fender, headlamp."""
    tank = [(-0.12, 0.60, 0.14), (-0.10, 0.86, 0.13), (0.28, 0.94, 0.15), (0.44, 0.78, 0.12), (0.36, 0.60, 0.12)]
    seat = [(-0.75, 0.74, 0.10), (-0.72, 0.84, 0.11), (-0.12, 0.80, 0.15), (-0.10, 0.68, 0.14)]
    tail = [(-0.98, 0.78, 0.06), (-0.96, 0.88, 0.08), (-0.60, 0.80, 0.11), (-0.60, 0.62, 0.11)]
    fender = [(0.42, 0.66, 0.07), (0.62, 0.70, 0.08), (0.98, 0.66, 0.08), (0.96, 0.60, 0.07)]
    return [
        box((-0.32, 0.24, -0.17), (0.30, 0.58, 0.17), Material(srgb(70, 70, 74), 0.15, 0.1)),
        box((-0.20, 0.30, -0.20), (0.02, 0.46, 0.20), STEEL),
        extrude(tank, paint),
        extrude(seat, DARK),
        extrude(tail, paint, edges={0: _tail_lamp(lit)}),
        extrude(fender, paint),
        box((0.50, 0.78, -0.12), (0.66, 0.98, 0.12), DARK, edges={2: _headlamp(lit)}),
    ]


def bicycle(rng: np.random.Generator, lit: bool) -> Model:
    """A bicycle, 1.75 m long: two thin wheels with spokes, a diamond frame, handlebar and saddle."""
    paint = Material(pick(rng, PAINTS[:4] + PAINTS[5:9]), 0.02, 0.05)
    shapes: list[Shape] = [*_bike_wheel(-0.53), *_bike_wheel(0.53)]
    crank, seat, head = (-0.08, 0.33, 0.0), (-0.19, 0.82, 0.0), (0.37, 0.84, 0.0)
    back, front, fork = (-0.53, 0.36, 0.0), (0.53, 0.36, 0.0), (0.39, 0.72, 0.0)
    for ends in ((crank, seat), (seat, head), (crank, fork), (crank, back), (seat, back), (head, front)):
        shapes += limb(ends, 0.030, paint)
    shapes += limb([seat, (-0.21, 0.95, 0.0)], 0.022, STEEL)
    shapes += limb([(-0.34, 0.97, 0.0), (-0.08, 0.97, 0.0)], [0.07, 0.03], DARK)
    shapes += limb([head, (0.34, 1.02, 0.0)], 0.026, STEEL)
    shapes += limb([(0.26, 1.04, -0.29), (0.36, 1.03, 0.0), (0.26, 1.04, 0.29)], [0.026, 0.022, 0.026], DARK)
    shapes += [ball(crank, 0.08, STEEL), *limb([(0.02, 0.2, 0.1), (-0.18, 0.46, -0.1)], 0.02, DARK)]
    if rng.random() < 0.3:
        shapes.append(box((0.40, 0.80, -0.17), (0.66, 1.0, 0.17), Material(srgb(150, 110, 60), 0.3)))
    if lit:
        shapes.append(ball((-0.36, 0.80, 0.0), 0.035, _tail_lamp(True)))
    lamps = (Lamp((-0.9, 0.8, 0.0), RED_GLOW, 0.3), Lamp((0.6, 0.9, 0.0), WHITE_BEAM, 4.0, (1.0, -0.1, 0.0), 12.0))
    return Model(tuple(shapes), (1.75, 1.08, 0.6), lamps if lit else (), sort=True)


def _bike_wheel(hub: float) -> list[Shape]:
    """Tyre, rim and spokes about a hub `hub` metres ahead of the middle."""
    shapes: list[Shape] = [*ring(hub, 0.325, 0.034, RUBBER), *ring(hub, 0.285, 0.012, STEEL)]
    for a, b in ((0.2, 0.2), (0.28, 0.0), (0.2, -0.2), (0.0, 0.28)):
        shapes += limb([(hub - a, 0.36 - b, 0.0), (hub + a, 0.36 + b, 0.0)], 0.006, STEEL)
    return shapes


BUILDERS: dict[str, Callable[[np.random.Generator, bool], Model]] = {
    "bicycle": bicycle, "bus": bus, "car": car, "motorbike": motorbike,
}  # fmt: skip
