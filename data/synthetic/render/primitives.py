"""Building blocks of synthetic objects: colours, extruded bodies with painted faces, wheels and limbs, and moving lamps.

A model stands in its own frame: (forward, up, right) in metres, its middle over the origin, the ground at up = 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from data.synthetic.render.camera import Array, floats, triple
from data.synthetic.render.rasterizer import Material, Shape, Solid, Tube

Colour = tuple[float, float, float]
Spot = tuple[float, float, float]


class Face(NamedTuple):
    """A flat convex polygon (n, 3) and what is painted on it."""

    points: Array
    material: Material
    decals: tuple[Face, ...] = ()


class Lamp(NamedTuple):
    """A point light of a model. `power` is its intensity in units of 'white ground lit at 1 m'.

    Without `aim` it shines all ways; with it, along that (forward, up, right) as the cosine to the power `focus`.
    """

    place: Spot
    colour: Colour
    power: float
    aim: Spot | None = None
    focus: float = 0.0


class Model(NamedTuple):
    """Shapes of an object, drawn as listed, or far to near where `sort`. `size`: (length, height, width) in metres."""

    shapes: tuple[Shape, ...]
    size: tuple[float, float, float]
    lamps: tuple[Lamp, ...] = ()
    sort: bool = False


def srgb(red: int, green: int, blue: int) -> Colour:
    """Linear light of an 8-bit sRGB colour.

    >>> [round(v, 3) for v in srgb(255, 188, 0)]
    [1.0, 0.503, 0.0]
    """
    values = (v / 255 for v in (red, green, blue))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return linear[0], linear[1], linear[2]


def times(colour: Colour, factor: float) -> Colour:
    """A colour made brighter or darker."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def pick(rng: np.random.Generator, choices: Sequence[Colour]) -> Colour:
    """One of the colours, a little varied in brightness and hue."""
    base = np.array(choices[int(rng.integers(len(choices)))])
    varied = np.clip(base * rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3), 0.01, 0.9)
    return triple(varied)


def solid(faces: Sequence[Face]) -> Solid:
    """A convex body of faces with their decals, in drawing order."""
    flat: list[tuple[Face, int]] = []
    for face in faces:
        number = len(flat)
        flat.append((face, -1))
        flat += [(decal, number) for decal in _nested(face.decals)]
    starts = np.cumsum([0, *(len(face.points) for face, _ in flat)])
    points = np.concatenate([face.points for face, _ in flat]).astype(np.float32)
    return Solid(points, starts, np.array([parent for _, parent in flat]), tuple(face.material for face, _ in flat))


def _nested(decals: Sequence[Face]) -> list[Face]:
    return [face for decal in decals for face in (decal, *_nested(decal.decals))]


def extrude(
    profile: Sequence[tuple[float, float, float]],
    material: Material,
    *,
    edges: Mapping[int, Material] | None = None,
    side: Sequence[Face] = (),
    painted: Mapping[int, Sequence[Face]] | None = None,
    shift: float = 0.0,
    paint_sides: Sequence[float] = (-1.0, 1.0),
) -> Solid:
    """A convex body from its side view: (forward, up, half width) corners in order, mirrored about right = `shift`.

    `edges` gives edge i (corner i to i + 1) another material; `painted` gives it decals, made by `on_edge`. `side`
    holds decals with points (forward, up, 0), laid on the sides in `paint_sides` (-1 left, 1 right).
    """
    corners = np.array(profile, np.float32)  # (n, 3)
    decals = list(_nested(side))
    faces = []
    for sign in (-1.0, 1.0):
        laid = _on_side(decals, corners, sign, shift) if sign in paint_sides else ()
        faces.append(Face(corners * floats([1, 1, sign]) + floats([0, 0, shift]), material, laid))
    mirror = floats([1, 1, -1])
    for i, here in enumerate(corners):
        there = corners[(i + 1) % len(corners)]
        quad = np.stack([here, there, there * mirror, here * mirror]) + floats([0, 0, shift])
        faces.append(Face(quad, (edges or {}).get(i, material), tuple((painted or {}).get(i, ()))))
    return solid(faces)


def _on_side(decals: Sequence[Face], corners: Array, sign: float, shift: float) -> tuple[Face, ...]:
    """Lay decals on a side that leans: the half width is interpolated over height."""
    if not decals:
        return ()
    order = np.argsort(corners[:, 1], kind="stable")
    points = np.concatenate([decal.points for decal in decals])
    points[:, 2] = sign * np.interp(points[:, 1], corners[order, 1], corners[order, 2]) + shift
    parts = np.split(points, np.cumsum([len(decal.points) for decal in decals])[:-1])
    return tuple(Face(part, decal.material) for part, decal in zip(parts, decals, strict=True))


def on_edge(
    profile: Sequence[tuple[float, float, float]],
    edge: int,
    across: tuple[float, float],
    along: tuple[float, float],
    material: Material,
) -> Face:
    """A rectangle on edge `edge` of an extruded body: `across` in [-1, 1] from left to right, `along` in [0, 1]."""
    here, there = np.array(profile[edge]), np.array(profile[(edge + 1) % len(profile)])
    corners = ((across[0], along[0]), (across[1], along[0]), (across[1], along[1]), (across[0], along[1]))
    points = [(here + t * (there - here)) * (1, 1, s) for s, t in corners]
    return Face(np.array(points, np.float32), material)


def patch(corners: Sequence[tuple[float, float]], material: Material) -> Face:
    """A decal for the side of an extruded body from (forward, up) corners."""
    return Face(np.array([(f, u, 0.0) for f, u in corners], np.float32), material)


def panel(low: float, high: float, bottom: float, top: float, material: Material) -> Face:
    """A rectangular side decal from forward `low` to `high`, up `bottom` to `top`."""
    return patch([(low, bottom), (high, bottom), (high, top), (low, top)], material)


def disc(forward: float, up: float, radius: float, material: Material, corners: int = 14) -> Face:
    """A round side decal."""
    return patch(_circle(forward, up, radius, corners), material)


def _circle(forward: float, up: float, radius: float, corners: int = 14) -> list[tuple[float, float]]:
    """Corners (forward, up) of a circle."""
    turn = [2 * math.pi * i / corners for i in range(corners)]
    return [(forward + radius * math.cos(a), up + radius * math.sin(a)) for a in turn]


def box(
    low: Spot, high: Spot, material: Material, edges: Mapping[int, Material] | None = None, side: Sequence[Face] = ()
) -> Solid:
    """An upright box between two corners (forward, up, right). Edges: 0 rear, 1 top, 2 front, 3 bottom."""
    half, shift = (high[2] - low[2]) / 2, (high[2] + low[2]) / 2
    profile = [(low[0], low[1], half), (low[0], high[1], half), (high[0], high[1], half), (high[0], low[1], half)]
    return extrude(profile, material, edges=edges, side=side, shift=shift)


def wheel(forward: float, radius: float, half: float, rubber: Material, rim: Material, shift: float = 0.0) -> Solid:
    """A standing wheel with a rim on both sides."""
    profile = [(*spot, half) for spot in _circle(forward, radius, radius)]
    return extrude(profile, rubber, side=[disc(forward, radius, 0.62 * radius, rim)], shift=shift)


def ring(forward: float, radius: float, thickness: float, material: Material, parts: int = 14) -> list[Tube]:
    """A thin tyre (bicycle) as tubes in a circle that stands on the ground."""
    spots = [(*spot, 0.0) for spot in _circle(forward, radius + thickness, radius, parts)]
    return limb([*spots, spots[0]], thickness, material)


def ball(centre: Spot, radius: float, material: Material) -> Tube:
    """A sphere."""
    return Tube(centre, centre, radius, radius, material)


def limb(spots: Sequence[Spot], radii: float | Sequence[float], material: Material) -> list[Tube]:
    """Tubes through `spots` with a radius at each, or one radius."""
    radii = [radii] * len(spots) if isinstance(radii, (int, float)) else radii
    return [Tube(a, b, ra, rb, material) for (a, b), (ra, rb) in zip(pairwise(spots), pairwise(radii), strict=True)]
