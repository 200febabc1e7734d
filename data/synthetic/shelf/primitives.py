"""Parts of the things on the synthetic shelf: bodies turned on a wheel, rings, limbs, balls, panels, seen from the front.

A part stands in a frame of its own: x to the right, y up from the board, z to the eye, in any unit. Each tells which
places of a grid it covers, which way it faces there, and where on its surface a place lies, so that a pattern follows
the form. The eye is a little above: what is nearer appears lower, by TILT of its depth. numpy only.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

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


class Part(Protocol):
    """A part; `bare` ones do not take the surface of the thing, `tone` makes them lighter or darker."""

    @property
    def bare(self) -> bool:
        """Whether it keeps a colour of its own."""

    @property
    def tone(self) -> float:
        """What its colour is multiplied by."""

    @property
    def extent(self) -> Extent:
        """Around all that it covers."""

    def face(self, x: Array, y: Array) -> PartFace:
        """What is seen of it on a grid of places, x and y (h, w)."""


class Lathe(NamedTuple):
    """A body of revolution about x = 0; profile: (height, half width) from the bottom up."""

    profile: tuple[Point, ...]
    bare: bool = False
    tone: float = 1.0

    @property
    def extent(self) -> Extent:
        """The front of the bottom edge hangs below its height."""
        half = max(width for _, width in self.profile)
        return -half, self.profile[0][0] - TILT * self.profile[0][1], half, self.profile[-1][0]

    def face(self, x: Array, y: Array) -> PartFace:
        """Lines of equal height are seen as the front half of an ellipse."""
        heights, halves = np.array(self.profile, np.float32).T
        near = np.sqrt(np.maximum(np.interp(y, heights, halves) ** 2 - x**2, 0))
        height = y + TILT * near
        half = np.maximum(np.interp(height, heights, halves), 1e-3)
        across = np.clip(x / half, -1, 1)
        inside = (np.abs(x) < half) & (height >= heights[0]) & (height <= heights[-1])
        slope = np.interp(height, (heights[1:] + heights[:-1]) / 2, np.diff(halves) / np.diff(heights))
        normal = _unit(across, -slope, np.sqrt(1 - across**2))
        return PartFace(inside, normal, _pair(np.arcsin(across) * halves.max(), height))


class Mouth(NamedTuple):
    """An opening or a flat top at a height, as an ellipse."""

    height: float
    half: float
    bare: bool = False
    tone: float = 0.45

    @property
    def extent(self) -> Extent:
        """Ends of the ellipse."""
        return -self.half, self.height - TILT * self.half, self.half, self.height + TILT * self.half

    def face(self, x: Array, y: Array) -> PartFace:
        """It faces up."""
        deep = (y - self.height) / TILT
        return PartFace(np.hypot(x, deep) < self.half, _flat(x, (0.0, 0.8, 0.6)), _pair(x, deep))


class Ring(NamedTuple):
    """A bent rod: an ellipse about a centre, or its upper half."""

    centre: Point
    radii: Point
    thick: float
    upper: bool = False
    bare: bool = False
    tone: float = 1.0

    @property
    def extent(self) -> Extent:
        """Of the whole ring, or of its upper half."""
        (x, y), (a, b), half = self.centre, self.radii, self.thick / 2
        return x - a - half, y if self.upper else y - b - half, x + a + half, y + b + half

    def face(self, x: Array, y: Array) -> PartFace:
        """Round across the rod."""
        u, v = (x - self.centre[0]) / self.radii[0], (y - self.centre[1]) / self.radii[1]
        reach, size = np.maximum(np.hypot(u, v), 1e-3), sum(self.radii) / 2
        across = (reach - 1) * size / (self.thick / 2)
        inside = (np.abs(across) < 1) & ((v > 0) | (not self.upper))
        q = np.clip(across, -1, 1)
        normal = _unit(q * u / reach, q * v / reach, np.sqrt(1 - q**2))
        return PartFace(inside, normal, _pair(np.arctan2(v, u) * size, q * self.thick / 2))


class Limb(NamedTuple):
    """A straight rod from one point to another, with a radius at each."""

    start: Point
    end: Point
    radii: Point
    bare: bool = False
    tone: float = 1.0

    @property
    def extent(self) -> Extent:
        """Around both round ends."""
        ends = ((*self.start, self.radii[0]), (*self.end, self.radii[1]))
        low, high = ([(x + sign * r, y + sign * r) for x, y, r in ends] for sign in (-1, 1))
        return min(x for x, _ in low), min(y for _, y in low), max(x for x, _ in high), max(y for _, y in high)

    def face(self, x: Array, y: Array) -> PartFace:
        """Round across the rod."""
        along = (self.end[0] - self.start[0], self.end[1] - self.start[1])
        length = math.hypot(*along)
        c, s = along[0] / length, along[1] / length
        dx, dy = x - self.start[0], y - self.start[1]
        fraction = np.clip((dx * c + dy * s) / length, 0, 1)
        radius = self.radii[0] + fraction * (self.radii[1] - self.radii[0])
        ox, oy = (dx - fraction * along[0]) / radius, (dy - fraction * along[1]) / radius
        off = np.hypot(ox, oy)
        normal = _unit(ox, oy, np.sqrt(np.maximum(1 - off**2, 0)))
        return PartFace(off < 1, normal, _pair(fraction * length, (oy * c - ox * s) * radius))


class Ball(NamedTuple):
    """A ball; `axis` is the angle by which its poles lean, in the image and to the eye."""

    centre: Point
    radius: float
    axis: Point = (0.0, 0.0)
    bare: bool = False
    tone: float = 1.0

    @property
    def extent(self) -> Extent:
        """Of the circle."""
        (x, y), r = self.centre, self.radius
        return x - r, y - r, x + r, y + r

    def face(self, x: Array, y: Array) -> PartFace:
        """Places are longitude and latitude, as lengths."""
        u, v = (x - self.centre[0]) / self.radius, (y - self.centre[1]) / self.radius
        w = np.sqrt(np.maximum(1 - u**2 - v**2, 0))
        (c, s), (d, t) = ((math.cos(angle), math.sin(angle)) for angle in self.axis)
        a, b = u * c + v * s, v * c - u * s
        b, e = b * d + w * t, w * d - b * t
        place = _pair(np.arctan2(a, e) * self.radius, np.arcsin(np.clip(b, -1, 1)) * self.radius)
        return PartFace(u**2 + v**2 < 1, _unit(u, v, w), place)


class Panel(NamedTuple):
    """A flat face: a parallelogram from a corner along two edges, its true size, and the way it faces."""

    corner: Point
    right: Point
    up: Point
    size: Point
    normal: tuple[float, float, float]
    bare: bool = False
    tone: float = 1.0

    @property
    def extent(self) -> Extent:
        """Around the four corners."""
        xs = [self.corner[0] + a * self.right[0] + b * self.up[0] for a in (0, 1) for b in (0, 1)]
        ys = [self.corner[1] + a * self.right[1] + b * self.up[1] for a in (0, 1) for b in (0, 1)]
        return min(xs), min(ys), max(xs), max(ys)

    def face(self, x: Array, y: Array) -> PartFace:
        """Places are measured from the corner, along the edges."""
        dx, dy = x - self.corner[0], y - self.corner[1]
        cross = self.right[0] * self.up[1] - self.right[1] * self.up[0]
        a, b = (dx * self.up[1] - dy * self.up[0]) / cross, (dy * self.right[0] - dx * self.right[1]) / cross
        inside = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
        return PartFace(inside, _flat(x, self.normal), _pair(a * self.size[0], b * self.size[1]))


def around(parts: tuple[Part, ...]) -> Extent:
    """The extent of several parts together."""
    left, bottom, right, top = zip(*(part.extent for part in parts), strict=True)
    return min(left), min(bottom), max(right), max(top)


def _unit(x: Array, y: Array, z: Array) -> Array:
    normal = np.stack([x, y, z], -1)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)


def _flat(grid: Array, normal: tuple[float, float, float]) -> Array:
    unit = np.asarray(normal, np.float32) / math.hypot(*normal)
    return np.broadcast_to(unit, (*grid.shape, 3))


def _pair(s: Array, t: Array) -> Array:
    return np.stack([s, t], -1)
