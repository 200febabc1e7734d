"""What lies on the synthetic sea floor: the four animals of URPC, and the stones and weed that are mistaken for them.

Each is drawn on a grid of places (u, v) in half lengths, u along the object, the middle at 0, and tells which places it
covers, how high it rises there and of what colour it is. numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array, floats
from data.synthetic.render.primitives import Colour


class Patch(NamedTuple):
    """A drawn object: covered places (h, w), height (h, w) in half lengths, linear reflectance (h, w, 3)."""

    inside: NDArray[np.bool_]
    height: Array
    colour: Array


Draw = Callable[[np.random.Generator, Array, Array], Patch]


class Kind(NamedTuple):
    """A class of animal: its length in metres, how round it looks from the side (0 flat, 1 a ball), how to draw it."""

    length: tuple[float, float]
    thickness: float
    draw: Draw


SPINES = ((0.020, 0.014, 0.018), (0.035, 0.020, 0.030), (0.045, 0.018, 0.016), (0.030, 0.026, 0.016))
SKINS = ((0.11, 0.065, 0.030), (0.16, 0.10, 0.045), (0.085, 0.075, 0.035), (0.07, 0.045, 0.032))
SHELLS = ((0.50, 0.36, 0.26), (0.42, 0.20, 0.14), (0.58, 0.50, 0.40), (0.33, 0.21, 0.15))
ARMS = ((0.55, 0.16, 0.05), (0.42, 0.25, 0.08), (0.13, 0.10, 0.22), (0.50, 0.33, 0.16), (0.38, 0.07, 0.05))
STONES = ((0.20, 0.19, 0.17), (0.11, 0.10, 0.10), (0.32, 0.28, 0.23), (0.045, 0.042, 0.045), (0.42, 0.38, 0.32))


def pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Array:
    """One of the colours (3,), a little lighter or darker."""
    return floats(colours[int(rng.integers(len(colours)))]) * np.float32(rng.uniform(0.8, 1.25))


def polar(u: Array, v: Array) -> tuple[Array, Array]:
    """Distance from the middle and angle in [0, 2 pi)."""
    return np.hypot(u, v), np.mod(np.arctan2(v, u), 2 * math.pi)


def echinus(rng: np.random.Generator, u: Array, v: Array) -> Patch:
    """A sea urchin: a dark ball, spines all round it and on it."""
    radius, angle = polar(u, v)
    body = rng.uniform(0.5, 0.62)
    dark = pick(rng, SPINES)
    rim = _spines(rng, radius, angle, int(rng.integers(24, 34)), 0.0, (0.78, 1.0))
    top = _spines(rng, radius, angle, int(rng.integers(15, 22)), 0.12, (0.5, 0.85))
    ball = np.sqrt(np.maximum(1 - (radius / body) ** 2, 0))
    height = body * ball + np.where(rim | top, 0.16 * np.clip(1.1 - radius, 0, 1), 0)
    colour = dark * (1 + 0.9 * ball[..., None])
    colour[top] = colour[top] * 2.4 + 0.012
    return Patch((radius < body) | rim | top, height, colour)


def _spines(
    rng: np.random.Generator, radius: Array, angle: Array, count: int, start: float, reach: tuple[float, float]
) -> NDArray[np.bool_]:
    """Needles from `start` outwards, each of its own length, thinner towards the tip."""
    turn = angle * (count / (2 * math.pi))
    which = np.minimum(turn.astype(np.int32), count - 1)
    middle = 0.5 + rng.uniform(-0.25, 0.25, count).astype(np.float32)
    tip = rng.uniform(*reach, count).astype(np.float32)[which]
    off = np.abs(turn - which - middle[which]) * (2 * math.pi / count) * radius
    return (radius > start) & (radius < tip) & (off < 0.045 * (1.25 - radius / tip))


def holothurian(rng: np.random.Generator, u: Array, v: Array) -> Patch:
    """A sea cucumber: a bent brown roll with rows of warts."""
    bent = v - rng.uniform(-0.25, 0.25) * (u**2 - 0.35) - rng.uniform(-0.08, 0.08) * u**3
    half = rng.uniform(0.19, 0.28) * np.maximum(1 - np.abs(u) ** 3.5, 0) ** 0.5
    across = bent / np.maximum(half, 1e-3)
    inside = (np.abs(u) < 1) & (np.abs(across) < 1)
    round_ = np.sqrt(np.maximum(1 - across**2, 0))
    lumps = np.sin(rng.uniform(14, 22) * u + 2 * across) * np.sin(rng.uniform(5, 8) * across + 1)
    warts = np.clip(lumps - 0.35, 0, 1) * 1.5
    colour = pick(rng, SKINS) * (0.75 + 0.35 * round_ + rng.uniform(0.3, 1.4) * warts)[..., None]
    return Patch(inside, half * round_ + 0.05 * warts * round_, colour)


def scallop(rng: np.random.Generator, u: Array, v: Array) -> Patch:
    """A fan with ribs and growth rings, and two ears at the hinge."""
    along = u + 0.92
    radius, angle = np.hypot(along, v), np.arctan2(v, along)
    ribs = np.cos(angle * rng.uniform(15, 21))
    fan = (np.abs(angle) < 1.12) & (np.hypot(1.02 * (u - 0.1), v) < 0.88 + 0.025 * ribs)
    ears = (along > 0.02) & (along < 0.34) & (np.abs(v) < 0.42 - 0.3 * along)
    rings = np.cos(radius * rng.uniform(12, 20) + rng.uniform(0, 6))
    dome = np.sqrt(np.maximum(1 - (1.05 * (u - 0.1)) ** 2 - v**2, 0))
    shade = (0.85 + 0.22 * ribs * np.clip(radius, 0, 1) + rng.uniform(0.05, 0.22) * rings) * (0.8 + 0.25 * radius)
    height = 0.34 * dome + 0.02 * ribs * np.clip(radius, 0, 1)
    return Patch(fan | ears, height, pick(rng, SHELLS) * shade[..., None])


def starfish(rng: np.random.Generator, u: Array, v: Array) -> Patch:
    """Five arms, some bent, with a ridge along each, and often pale dots."""
    radius, angle = polar(u, v)
    turned = np.mod(angle + rng.uniform(-0.35, 0.35) * radius, 2 * math.pi) * (5 / (2 * math.pi))
    which = np.minimum(turned.astype(np.int32), 4)
    tip = rng.uniform(0.86, 1.0, 5).astype(np.float32)[which]
    core, power = rng.uniform(0.26, 0.36), rng.uniform(1.2, 2.0)
    crest = (1 - np.abs(2 * (turned - which) - 1)) ** power  # 1 along the middle of an arm, 0 between two
    limit = tip * (core + (1 - core) * crest)
    inner = np.clip(1 - radius / np.maximum(limit, 1e-3), 0, 1)
    dots = (np.sin(26 * u + 1) * np.sin(26 * v + 2) > 0.45) & (inner > 0.12)
    colour = pick(rng, ARMS) * (0.65 + 0.55 * inner**0.5)[..., None]
    colour[dots] *= rng.uniform(1.0, 1.9)
    return Patch(radius < limit, 0.26 * inner**0.5 * (1.2 - 0.6 * radius), colour)


def stone(rng: np.random.Generator, u: Array, v: Array) -> Patch:
    """A pebble or boulder: a lumpy outline, mottled, rounded on top."""
    radius, angle = polar(u, v / rng.uniform(0.55, 0.95))
    limit = np.full_like(radius, 0.86)
    for order in (2, 3, 5, 8):
        limit += rng.normal(0, 0.16 / order) * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
    limit = np.minimum(limit, 1.0)
    dome = np.maximum(1 - (radius / limit) ** 2, 0) ** rng.uniform(0.35, 0.7)
    mottle = 1 + 0.25 * np.sin(rng.uniform(4, 9) * u + 2 * v) * np.sin(rng.uniform(4, 9) * v - u)
    return Patch(radius < limit, rng.uniform(0.3, 0.6) * dome, pick(rng, STONES) * mottle[..., None])


KINDS: dict[str, Kind] = {  # in the order of the labels
    "echinus": Kind((0.07, 0.14), 0.6, echinus),
    "holothurian": Kind((0.13, 0.25), 0.3, holothurian),
    "scallop": Kind((0.065, 0.12), 0.25, scallop),
    "starfish": Kind((0.09, 0.19), 0.15, starfish),
}
