"""Parts of the objects on the synthetic shelf: bodies turned on a wheel, rings, limbs, spheres, panels, seen from the front.

A part stands in a frame of its own: x to the right, y up from the board, z to the eye, in any unit. Each tells which
places of a grid it covers, which way it faces there, and where on its surface a place lies, so that a pattern follows
the form. The eye is a little above: what is nearer appears lower, by TILT of its depth. numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array

TILT = 0.2  # tangent of the angle at which the eye looks down
Point = tuple[float, float]  # x, y
Extent = tuple[float, float, float, float]  # left, bottom, right, top


class PartFace(NamedTuple):
    """Covered places (h, w); unit normals (h, w, 3); places on the surface (h, w, 2), in the unit of the frame."""

    inside: NDArray[np.bool_]
    normal: Array
    place: Array


class Part(NamedTuple):
    """A part: the extent of all that it covers, and what is seen of it on a grid of places, x and y (h, w).

    `bare` ones do not take the surface of the object but have a colour of their own; `tone` multiplies the colour.
    """

    extent: Extent
    face: Callable[[Array, Array], PartFace]
    bare: bool = False
    tone: float = 1.0


def lathe(profile: tuple[Point, ...], *, bare: bool = False) -> Part:
    """A body of revolution about x = 0; profile: (height, half width) from the bottom up.

    The front of the bottom edge hangs below its height: lines of equal height are seen as the front half of an ellipse.
    """
    heights, halves = np.array(profile, np.float32).T

    def face(x: Array, y: Array) -> PartFace:
        near = np.sqrt(np.maximum(np.interp(y, heights, halves) ** 2 - x**2, 0))
        height = y + TILT * near
        half = np.maximum(np.interp(height, heights, halves), 1e-3)
        across = np.clip(x / half, -1, 1)
        inside = (np.abs(x) < half) & (height >= heights[0]) & (height <= heights[-1])
        slope = np.interp(height, (heights[1:] + heights[:-1]) / 2, np.diff(halves) / np.diff(heights))
        normal = _unit(across, -slope, np.sqrt(1 - across**2))
        return PartFace(inside, normal, _pair(np.arcsin(across) * halves.max(), height))

    half = max(width for _, width in profile)
    return Part((-half, profile[0][0] - TILT * profile[0][1], half, profile[-1][0]), face, bare)


def mouth(height: float, half: float, *, bare: bool = False, tone: float = 0.45) -> Part:
    """An opening or a flat top at a height, as an ellipse that faces up."""

    def face(x: Array, y: Array) -> PartFace:
        deep = (y - height) / TILT
        return PartFace(np.hypot(x, deep) < half, _flat(x, (0.0, 0.8, 0.6)), _pair(x, deep))

    return Part((-half, height - TILT * half, half, height + TILT * half), face, bare, tone)


def ring(centre: Point, radii: Point, thick: float, *, upper: bool = False, tone: float = 1.0) -> Part:
    """A bent round rod: an ellipse about a centre, or its upper half."""

    def face(x: Array, y: Array) -> PartFace:
        u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
        reach, size = np.maximum(np.hypot(u, v), 1e-3), sum(radii) / 2
        across = (reach - 1) * size / (thick / 2)
        inside = (np.abs(across) < 1) & ((v > 0) | (not upper))
        q = np.clip(across, -1, 1)
        normal = _unit(q * u / reach, q * v / reach, np.sqrt(1 - q**2))
        return PartFace(inside, normal, _pair(np.arctan2(v, u) * size, q * thick / 2))

    (x, y), (a, b), half = centre, radii, thick / 2
    return Part((x - a - half, y if upper else y - b - half, x + a + half, y + b + half), face, tone=tone)


def limb(start: Point, end: Point, radii: Point, *, bare: bool = False, tone: float = 1.0) -> Part:
    """A straight round rod from one point to another, with a radius at each."""
    along = (end[0] - start[0], end[1] - start[1])
    length = math.hypot(*along)
    c, s = along[0] / length, along[1] / length

    def face(x: Array, y: Array) -> PartFace:
        dx, dy = x - start[0], y - start[1]
        fraction = np.clip((dx * c + dy * s) / length, 0, 1)
        radius = radii[0] + fraction * (radii[1] - radii[0])
        ox, oy = (dx - fraction * along[0]) / radius, (dy - fraction * along[1]) / radius
        off = np.hypot(ox, oy)
        normal = _unit(ox, oy, np.sqrt(np.maximum(1 - off**2, 0)))
        return PartFace(off < 1, normal, _pair(fraction * length, (oy * c - ox * s) * radius))

    circles = [(x - r, y - r, x + r, y + r) for (x, y), r in zip((start, end), radii, strict=True)]
    return Part(_union(circles), face, bare, tone)


def sphere(centre: Point, radius: float, axis: Point = (0.0, 0.0)) -> Part:
    """A sphere; `axis` is the angle by which its poles lean, in the image and to the eye.

    Places are longitude and latitude, as lengths.
    """

    def face(x: Array, y: Array) -> PartFace:
        u, v = (x - centre[0]) / radius, (y - centre[1]) / radius
        w = np.sqrt(np.maximum(1 - u**2 - v**2, 0))
        (c, s), (d, t) = ((math.cos(angle), math.sin(angle)) for angle in axis)
        a, b = u * c + v * s, v * c - u * s
        b, e = b * d + w * t, w * d - b * t
        place = _pair(np.arctan2(a, e) * radius, np.arcsin(np.clip(b, -1, 1)) * radius)
        return PartFace(u**2 + v**2 < 1, _unit(u, v, w), place)

    (x, y), r = centre, radius
    return Part((x - r, y - r, x + r, y + r), face)


def panel(
    corner: Point, right: Point, up: Point, size: Point, normal: tuple[float, float, float],
    *, bare: bool = False, tone: float = 1.0,
) -> Part:  # fmt: skip
    """A flat face: a parallelogram from a corner along two edges, its true size, and the way it faces.

    Places are measured from the corner, along the edges.
    """

    def face(x: Array, y: Array) -> PartFace:
        dx, dy = x - corner[0], y - corner[1]
        cross = right[0] * up[1] - right[1] * up[0]
        a, b = (dx * up[1] - dy * up[0]) / cross, (dy * right[0] - dx * right[1]) / cross
        inside = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
        return PartFace(inside, _flat(x, normal), _pair(a * size[0], b * size[1]))

    corners = [[corner[i] + a * right[i] + b * up[i] for i in (0, 1)] * 2 for a in (0, 1) for b in (0, 1)]
    return Part(_union(corners), face, bare, tone)


def around(parts: tuple[Part, ...]) -> Extent:
    """The extent of several parts together."""
    return _union([part.extent for part in parts])


def _union(extents: Sequence[Sequence[float]]) -> Extent:
    left, bottom, right, top = zip(*extents, strict=True)
    return min(left), min(bottom), max(right), max(top)


def _unit(x: Array, y: Array, z: Array) -> Array:
    normal = np.stack([x, y, z], -1)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)


def _flat(grid: Array, normal: tuple[float, float, float]) -> Array:
    unit = np.asarray(normal, np.float32) / math.hypot(*normal)
    return np.broadcast_to(unit, (*grid.shape, 3))


def _pair(s: Array, t: Array) -> Array:
    return np.stack([s, t], -1)
