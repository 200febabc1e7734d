"""Forms and surfaces of what stands on the synthetic shelf: an object is one form in one surface, and its name says both."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from data.synthetic.render.camera import Array, floats
from data.synthetic.shelf.primitives import Part, Point, around, lathe, limb, mouth, panel, ring, sphere

Parts = tuple[Part, ...]
Form = Callable[[np.random.Generator], Parts]
Surface = Callable[[np.random.Generator, Array], Array]  # places on the surface (h, w, 2) -> linear RGB (h, w, 3)


class Sprite(NamedTuple):
    """An object on a grid: covered places (h, w), unit normals (h, w, 3), linear reflectance (h, w, 3)."""

    inside: Array
    normal: Array
    colour: Array


def _wheel(rng: np.random.Generator, *profile: Point) -> tuple[Point, ...]:
    """A profile, a little wider or narrower, and each of its widths by itself."""
    wide = rng.uniform(0.88, 1.14)
    return tuple((height, half * wide * float(rng.uniform(0.95, 1.05))) for height, half in profile)


def jug(rng: np.random.Generator) -> Parts:
    """Tall and bellied, with a handle on one side and a lip on the other."""
    low = rng.uniform(0.32, 0.45)
    body = _wheel(rng, (0, 0.22), (0.08, 0.27), (low, 0.33), (0.68, 0.27), (0.82, 0.18), (0.94, 0.2), (1.0, 0.24))
    handle = ring((0.3, 0.6), (rng.uniform(0.2, 0.27), rng.uniform(0.2, 0.27)), rng.uniform(0.06, 0.09))
    return handle, lathe(body), limb((-0.16, 0.84), (-0.36, 1.0), (0.09, 0.035)), mouth(1.0, body[-1][1])


def bottle(rng: np.random.Generator) -> Parts:
    """A cylinder with shoulders and a long neck, corked."""
    neck, shoulder = rng.uniform(0.055, 0.075), rng.uniform(0.5, 0.62)
    low, high = shoulder + 0.09, shoulder + 0.17
    body = _wheel(rng, (0, 0.18), (0.03, 0.2), (shoulder, 0.2), (low, 0.14), (high, neck), (0.95, neck))
    cork = ((0.93, neck * 1.2), (1.0, neck * 1.2))
    return lathe(body), lathe(cork, bare=True), mouth(1.0, neck * 1.2, bare=True, tone=1.2)


def bowl(rng: np.random.Generator) -> Parts:
    """Wide and low, open at the top, on a foot."""
    deep = rng.uniform(0.42, 0.6)
    body = _wheel(rng, (0, 0.26), (0.05, 0.24), (0.09, 0.36), (0.4 * deep, 0.58), (0.7 * deep, 0.74), (deep, 0.8))
    return lathe(body), mouth(deep, body[-1][1]), mouth(deep - 0.02, body[-1][1] * 0.9, tone=0.65)


def box(rng: np.random.Generator) -> Parts:
    """Two sides and the top of a box that stands at an angle."""
    turn, long, deep, high = rng.uniform(0.3, 1.25), rng.uniform(0.7, 1.0), rng.uniform(0.6, 0.9), rng.uniform(0.6, 1.0)
    c, s = math.cos(turn), math.sin(turn)
    left, right = (-long * c, 0.2 * long * s), (deep * s, 0.2 * deep * c)  # the lower edges, from the near corner
    up = (0.0, high)
    return (
        panel((0, 0), left, up, (long, high), (-s, 0.0, c)),
        panel((0, 0), right, up, (deep, high), (c, 0.0, s)),
        panel((0, high), left, right, (long, deep), (0.0, 0.9, 0.44), tone=1.1),
    )


def ball(rng: np.random.Generator) -> Parts:
    """A ball, turned somehow."""
    return (sphere((0, 0.5), 0.5, (rng.uniform(-1.2, 1.2), rng.uniform(-0.7, 0.7))),)


def lamp(rng: np.random.Generator) -> Parts:
    """A shade on a stem on a foot."""
    low, wide, narrow = rng.uniform(0.42, 0.55), rng.uniform(0.32, 0.42), rng.uniform(0.14, 0.22)
    foot = rng.uniform(0.16, 0.24)
    return (
        lathe(((0, foot), (0.04, foot), (0.09, 0.04)), bare=True),
        limb((0, 0.06), (0, low + 0.08), (0.028, 0.028), bare=True),
        lathe(((low, wide), (1.0, narrow))),
        mouth(1.0, narrow, tone=1.35),
    )


def teapot(rng: np.random.Generator) -> Parts:
    """Round and low, with a spout, a handle and a lid with a knob."""
    belly = rng.uniform(0.38, 0.46)
    body = ((0, 0.24), (0.05, 0.3), (0.27, belly), (0.45, belly - 0.05), (0.57, 0.24))
    lid = ((0.57, 0.25), (0.63, 0.2), (0.69, 0.06))
    spout = limb((belly - 0.12, 0.2), (belly + 0.25, rng.uniform(0.5, 0.62)), (0.12, 0.045))
    handle = ring((-belly + 0.03, 0.34), (0.2, 0.19), 0.075)
    return handle, spout, lathe(body), lathe(lid), sphere((0, 0.73), 0.055)


def basket(rng: np.random.Generator) -> Parts:
    """A tub that widens upwards, with an arched handle above it."""
    high, low, wide = rng.uniform(0.42, 0.52), rng.uniform(0.26, 0.34), rng.uniform(0.4, 0.5)
    arch = ring((0, high), (wide - 0.04, rng.uniform(0.42, 0.55)), 0.07, upper=True)
    return lathe(((0, low), (high, wide))), mouth(high, wide), arch


def plate(rng: np.random.Generator) -> Parts:
    """A plate on its edge; in no class."""
    return sphere((0, 0.5), 0.5), ring((0, 0.5), (0.33, 0.33), 0.05, tone=0.75)


def candle(rng: np.random.Generator) -> Parts:
    """A thick candle with a flame; in no class."""
    wide = rng.uniform(0.14, 0.24)
    flame = limb((0, 0.86), (0, 0.96), (0.045, 0.012), bare=True, tone=4.0)
    return lathe(((0, wide), (0.8, wide))), mouth(0.8, wide, tone=1.2), flame


def frame(rng: np.random.Generator) -> Parts:
    """An image in a frame; in no class."""
    wide, rim = rng.uniform(0.7, 1.3), rng.uniform(0.09, 0.14)
    inner = panel((rim, rim), (wide - 2 * rim, 0), (0, 1 - 2 * rim), (wide, 1.0), (0, 0, 1), bare=True)
    return panel((0, 0), (wide, 0), (0, 1), (wide, 1.0), (0, 0.1, 1)), inner


def cone(rng: np.random.Generator) -> Parts:
    """A cone with a rounded tip; in no class."""
    return (lathe(((0, rng.uniform(0.28, 0.42)), (0.94, 0.05), (1.0, 0.01))),)


FORMS: dict[str, Form] = {
    "ball": ball, "basket": basket, "bottle": bottle, "bowl": bowl, "box": box, "jug": jug, "lamp": lamp, "teapot": teapot,
}  # fmt: skip
OTHER_FORMS: dict[str, Form] = {"candle": candle, "cone": cone, "frame": frame, "plate": plate}

HUES: dict[str, tuple[float, float, float]] = {  # linear RGB
    "red": (0.50, 0.03, 0.03), "blue": (0.04, 0.12, 0.46), "green": (0.06, 0.28, 0.07), "yellow": (0.62, 0.43, 0.04),
    "white": (0.70, 0.69, 0.66), "grey": (0.16, 0.16, 0.17), "brown": (0.16, 0.07, 0.03), "pink": (0.66, 0.26, 0.34),
}  # fmt: skip


def shade_of(rng: np.random.Generator, hue: str) -> Array:
    """A colour (3,) of that name, lighter or darker, more or less grey."""
    colour = floats(HUES[hue]) * np.float32(rng.uniform(0.65, 1.45))
    colour = colour * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    return colour + np.float32(rng.uniform(0, 0.12)) * (colour.mean() - colour)


def _plain(hue: str, rng: np.random.Generator, place: Array) -> Array:
    """One colour all over, a little cloudy."""
    cloud = 1 + 0.06 * np.sin(9 * place[..., 0] + rng.uniform(0, 6)) * np.sin(7 * place[..., 1] + rng.uniform(0, 6))
    return shade_of(rng, hue) * cloud[..., None]


def _patterned(pattern: Surface, rng: np.random.Generator, place: Array) -> Array:
    """Two colours that stand off one another, the second where `pattern` (h, w) is true."""
    first = second = floats([1])
    while abs(math.log(first.mean() / second.mean())) < 0.7:
        first, second = (shade_of(rng, list(HUES)[i]) for i in rng.choice(len(HUES), 2, replace=False))
    return np.where(pattern(rng, place)[..., None], second, first)


def _stripes(rng: np.random.Generator, place: Array) -> Array:
    """Bands level, upright or aslant."""
    turn = (0.0, math.pi / 2, math.pi / 4, -math.pi / 4)[int(rng.integers(4))]
    along = math.cos(turn) * place[..., 0] + math.sin(turn) * place[..., 1]
    return np.mod(along / rng.uniform(0.17, 0.25) + rng.uniform(0, 1), 1) < rng.uniform(0.4, 0.6)


def _dots(rng: np.random.Generator, place: Array) -> Array:
    """Round spots in rows, every other row shifted."""
    period = rng.uniform(0.2, 0.28)
    u, v = place[..., 0] / period + rng.uniform(0, 1), place[..., 1] / period + rng.uniform(0, 1)
    u = u + 0.5 * np.mod(np.floor(v), 2)
    return np.hypot(np.mod(u, 1) - 0.5, np.mod(v, 1) - 0.5) < rng.uniform(0.27, 0.34)


def _checks(rng: np.random.Generator, place: Array) -> Array:
    """A chequer board."""
    cells = np.floor(place / rng.uniform(0.15, 0.22) + rng.uniform(0, 1, 2))
    return np.mod(cells.sum(-1), 2) < 1


SURFACES: dict[str, Surface] = {
    "red": partial(_plain, "red"), "blue": partial(_plain, "blue"),
    "striped": partial(_patterned, _stripes), "dotted": partial(_patterned, _dots),
    "checked": partial(_patterned, _checks),
}  # fmt: skip
OTHER_SURFACES: dict[str, Surface] = {hue: partial(_plain, hue) for hue in HUES if hue not in SURFACES}
EVERY_FORM = {**FORMS, **OTHER_FORMS}
EVERY_SURFACE = {**SURFACES, **OTHER_SURFACES}
NAMES = tuple(f"{surface}_{form}" for form in FORMS for surface in SURFACES)  # in the order of the labels


def other_name(rng: np.random.Generator) -> str:
    """Something that is in no class: another form in any surface, or one of the forms in another colour."""
    forms, surfaces = (OTHER_FORMS, EVERY_SURFACE) if rng.random() < 0.5 else (EVERY_FORM, OTHER_SURFACES)
    return f"{rng.choice(list(surfaces))}_{rng.choice(list(forms))}"


def draw_object(rng: np.random.Generator, name: str, side: float) -> Sprite:
    """An object whose longer side is `side` dots, on a grid that just holds it. name: `surface_form`.

    Half of them are mirrored. Source of the names: EVERY_SURFACE and EVERY_FORM.
    """
    surface, _, form = name.partition("_")
    parts = EVERY_FORM[form](rng)
    left, bottom, right, top = around(parts)
    unit = max(right - left, top - bottom) / side  # of the frame, a dot
    columns, rows = math.ceil((right - left) / unit) + 1, math.ceil((top - bottom) / unit) + 1
    x, y = np.meshgrid(left + unit * np.arange(columns), top - unit * np.arange(rows))
    x, y = x.astype(np.float32), y.astype(np.float32)
    inside, bare, tone = np.zeros(x.shape, bool), np.zeros(x.shape, bool), np.ones(x.shape, np.float32)
    normal, place = np.zeros((*x.shape, 3), np.float32), np.zeros((*x.shape, 2), np.float32)
    for part in parts:
        face = part.face(x, y)
        inside |= face.inside
        normal[face.inside] = face.normal[face.inside]
        place[face.inside] = face.place[face.inside] / (
            side * unit
        )  # patterns are as coarse on small forms as on large
        bare[face.inside], tone[face.inside] = part.bare, part.tone
    colour = EVERY_SURFACE[surface](rng, place)
    plain = shade_of(rng, ("grey", "brown", "yellow", "white")[int(rng.integers(4))])
    drawn = Sprite(inside, normal, np.where(bare[..., None], plain, colour) * tone[..., None])
    if rng.random() < 0.5:
        return drawn
    flipped = Sprite(*(array[:, ::-1] for array in drawn))
    return flipped._replace(normal=flipped.normal * floats([-1, 1, 1]))
