"""Short films of one synthetic person who does one action, by day or under lamps at night, by a camera that stands still.

Flat images: a wall, a floor, props and a body of thick strokes, as reflectances in linear light. The light is a field
over the image, and the camera of render/lighting.py turns it into 8 bits: one exposure a film, other noise in every frame.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data.io.video import frames_in
from data.synthetic.actions.poses import MOTIONS, NAMES, Moment, draw_manner
from data.synthetic.render.camera import Array, floats, triple
from data.synthetic.render.lighting import Exposure, day_exposure, expose, night_exposure
from data.synthetic.render.primitives import Colour, Spot, pick, srgb
from data.synthetic.render.rasterizer import noise_tile
from data.synthetic.street.people import BOTTOMS, HAIR, SKINS, TOPS

Film = NDArray[np.uint8]  # (T, H, W, 3), RGB
FRAMES, RATE = 36, 15  # of a film, and a second
CODEC = "FFV1"  # without loss: what is faint in a night does not survive the others
FINE = 3  # the drawing is this many times finer than the image
HEIGHT = 2.9  # metres that the image shows from bottom to top
FLOOR = 0.62  # metres of floor below the feet
WALLS = [srgb(190, 180, 165), srgb(140, 150, 160), srgb(170, 120, 95), srgb(120, 135, 110), srgb(210, 205, 195)]
FLOORS = [srgb(130, 125, 120), srgb(110, 90, 70), srgb(90, 95, 100), srgb(150, 140, 120)]
LAMPS = [(1.0, 0.78, 0.48), (1.0, 0.9, 0.75), (0.8, 0.95, 1.0), (1.0, 0.62, 0.3)]
STROKES = {  # (joint, joint): (radius in m at an adult's size, part of the dress)
    ("hip", "knee"): (0.095, "bottom"),
    ("knee", "foot"): (0.070, "bottom"),
    ("shoulder", "elbow"): (0.062, "top"),
    ("elbow", "hand"): (0.052, "top"),
}  # fmt: skip


class Person(NamedTuple):
    """Who is filmed, where (metres from the middle of the image), how large, and in what (linear colours)."""

    place: float
    size: float
    bulk: float
    dress: dict[str, Colour]


class Crate(NamedTuple):
    """Width and height in m, colour, and metres from the middle at which it stands when nobody pushes it, or nan: nowhere."""

    wide: float
    high: float
    colour: Colour
    rest: float


def film(seed: int, size: tuple[int, int], looks: Collection[str], frames: int = FRAMES) -> tuple[dict[str, Film], int]:
    """Film number `seed`, of (width, height) px, in each look (`day`, `night`): look -> frames, and the class.

    Classes take turns: film number n is of class n % len(NAMES).
    """
    rng, label = np.random.default_rng([seed, 71]), seed % len(NAMES)
    stage, person, manner = _stage(rng, size), _person(rng), draw_manner(rng, NAMES[label])
    crate = _crate(rng)
    bodies = (MOTIONS[NAMES[label]](number / RATE, manner) for number in range(frames))
    seen = [_frame(stage, person, body, crate, size) for body in bodies]
    return {look: LIGHTS[look](seen, seed) for look in looks}, label


def save_film(path: Path, frames: Film, rate: float = RATE, codec: str = CODEC) -> None:
    """Write RGB frames (T, H, W, 3) as a video. Raises OSError where OpenCV cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (frames.shape[2], frames.shape[1]))
    if not writer.isOpened():
        raise OSError(f"{path} could not be written as {codec}")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    if frames_in(path) < len(frames):
        raise OSError(f"{path} could not be written whole")


def _person(rng: np.random.Generator) -> Person:
    dress = {"skin": pick(rng, SKINS), "hair": pick(rng, HAIR), "top": pick(rng, TOPS), "bottom": pick(rng, BOTTOMS)}
    return Person(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(0.88, 1.08)), float(rng.uniform(1, 1.3)), dress)


def _stage(rng: np.random.Generator, size: tuple[int, int]) -> _Stage:
    """What does not move: wall and floor with texture, and a few flat objects on the wall."""
    width, height = (FINE * side for side in size)
    scale = height / HEIGHT
    edge = height - round((FLOOR + rng.uniform(0.1, 0.5)) * scale)
    ground = np.empty((height, width, 3), np.float32)
    ground[:edge], ground[edge:] = floats(pick(rng, WALLS)), floats(pick(rng, FLOORS))
    for _ in range(int(rng.integers(1, 5))):
        left, top = rng.uniform(0, width), rng.uniform(0, 0.75 * edge)
        right, bottom = left + rng.uniform(0.1, 0.9) * scale, top + rng.uniform(0.2, 1.2) * scale
        colour = pick(rng, TOPS + BOTTOMS)
        cv2.rectangle(ground[:edge], (int(left), int(top)), (int(right), int(bottom)), colour, -1)
    tile = np.roll(noise_tile(), rng.integers(0, 256, 2), (0, 1))
    grain = cv2.resize(tile, (width, height), interpolation=cv2.INTER_LINEAR)
    return _Stage(ground * np.maximum(0.3, 1 + rng.uniform(0.05, 0.15) * grain[..., None]), scale)


def _crate(rng: np.random.Generator) -> Crate:
    """Half of all scenes have one about, pushed or not."""
    place = rng.choice([-1, 1]) * rng.uniform(0.6, 1.3) if rng.random() < 0.5 else math.nan
    return Crate(float(rng.uniform(0.4, 0.6)), float(rng.uniform(1.0, 1.35)), pick(rng, BOTTOMS + FLOORS), float(place))


def _frame(stage: _Stage, person: Person, body: Moment, crate: Crate, size: tuple[int, int]) -> Array:
    """Reflectances (H, W, 3) of one moment, at the image's size."""
    view = stage._replace(image=stage.image.copy())
    forward = math.cos(body.yaw)
    middle = person.place + body.along * (1 if forward >= 0 else -1)
    view.shade(middle, 0.34)
    if body.crate is not None:
        near = middle + math.copysign(person.size * body.crate * abs(forward), forward)
        view.block(near, near + math.copysign(crate.wide, forward), crate)
    elif not math.isnan(crate.rest):
        view.block(crate.rest - crate.wide / 2, crate.rest + crate.wide / 2, crate)
    _body(view, person, body, middle)
    return np.asarray(cv2.resize(view.image, size, interpolation=cv2.INTER_AREA), np.float32)


def _body(view: _Stage, person: Person, body: Moment, middle: float) -> None:
    """The far limbs, the trunk and head, the near limbs."""
    flat = {name: _flat(spot, body.yaw, person.size) for name, spot in body.joints.items()}
    for side, sign in (("left", -1.0), ("right", 1.0)):
        neck = body.joints["neck"]
        flat[f"{side}_shoulder"] = _flat((neck[0], neck[1] - 0.06, 0.2 * sign), body.yaw, person.size)
    order = sorted(("left", "right"), key=lambda side: -flat[f"{side}_shoulder"][2])
    _limbs(view, person, flat, order[0], middle, 0.75)
    _trunk(view, person, flat, middle, from_behind=math.sin(body.yaw) < 0)
    _limbs(view, person, flat, order[1], middle, 1.0)


def _limbs(view: _Stage, person: Person, flat: dict[str, Spot], side: str, middle: float, tone: float) -> None:
    """Leg and arm of one side."""
    for (a, b), (radius, part) in STROKES.items():
        colour = triple(tone * floats(person.dress[part]))
        view.stroke(flat[f"{side}_{a}"], flat[f"{side}_{b}"], middle, radius * person.bulk * person.size, colour)
    hand, foot = flat[f"{side}_hand"], flat[f"{side}_foot"]
    view.stroke(hand, hand, middle, 0.07 * person.size, triple(tone * floats(person.dress["skin"])))
    view.stroke(foot, foot, middle, 0.075 * person.size, triple(tone * floats(person.dress["hair"])))


def _trunk(view: _Stage, person: Person, flat: dict[str, Spot], middle: float, *, from_behind: bool) -> None:
    """Chest, head and hair; the face shows where it is turned to the camera."""
    size, dress = person.size, person.dress
    for side in ("left", "right"):
        low, high = flat[f"{side}_hip"], flat[f"{side}_shoulder"]
        x, y, z = (0.75 * h + 0.25 * n for h, n in zip(high, flat["neck"], strict=True))
        view.stroke(low, (x, y - 0.05, z), middle, 0.115 * person.bulk * size, dress["top"])
    x, y, z = flat["head"]
    view.stroke(flat["neck"], flat["head"], middle, 0.06 * size, dress["skin"])
    view.stroke((x, y + 0.04, z), (x, y + 0.04, z), middle, 0.125 * size, dress["hair"])
    if not from_behind:
        view.stroke((x, y - 0.03, z), (x, y - 0.03, z), middle, 0.10 * size, dress["skin"])


def _flat(spot: Spot, yaw: float, size: float) -> Spot:
    """(forward, up, right) to (to the right of the image, up, away from the camera), metres."""
    forward, up, right = (size * part for part in spot)
    return forward * math.cos(yaw) + right * math.sin(yaw), up, -forward * math.sin(yaw) + right * math.cos(yaw)


class _Stage(NamedTuple):
    """Reflectance (H, W, 3) at FINE times the image's size, and px a metre there; x is 0 in its middle, y 0 on the floor."""

    image: Array
    scale: float

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        """In sixteenths of a pixel."""
        column, row = self.image.shape[1] / 2, self.image.shape[0] - FLOOR * self.scale
        return round(16 * (column + x * self.scale)), round(16 * (row - y * self.scale))

    def stroke(self, a: Spot, b: Spot, middle: float, radius: float, colour: Colour) -> None:
        """A thick line with round ends, lighter along its middle."""
        ends = self._pixel(middle + a[0], a[1]), self._pixel(middle + b[0], b[1])
        for fraction, tone in ((1.0, 0.8), (0.6, 1.15)):
            thickness = max(1, round(2 * fraction * radius * self.scale))
            cv2.line(self.image, *ends, triple(tone * floats(colour)), thickness, cv2.LINE_AA, 4)

    def block(self, x1: float, x2: float, crate: Crate) -> None:
        """A crate with an edge, from x1 to x2."""
        low, high = (tuple(v // 16 for v in self._pixel(*spot)) for spot in ((x1, -0.05), (x2, crate.high)))
        cv2.rectangle(self.image, low, high, crate.colour, -1)
        cv2.rectangle(self.image, low, high, triple(0.6 * floats(crate.colour)), FINE)

    def shade(self, x: float, half: float) -> None:
        """Contact shadow on the floor."""
        centre = tuple(v // 16 for v in self._pixel(x, -0.04))
        mask = np.zeros(self.image.shape[:2], np.float32)
        cv2.ellipse(mask, centre, (round(half * self.scale), round(0.25 * half * self.scale)), 0, 0, 360, 1.0, -1)
        self.image[:] *= 1 - 0.5 * cv2.blur(mask, (2 * FINE + 1, 2 * FINE + 1))[..., None]


def _by_day(seen: list[Array], seed: int) -> Film:
    """Even light, a little stronger from one side."""
    rng = np.random.default_rng([seed, 72])
    slope, (height, width) = rng.uniform(-0.35, 0.35, 2), seen[0].shape[:2]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    field = (1 + slope[0] * rows + slope[1] * columns)[..., None] * np.array(triple(rng.uniform(0.93, 1.07, 3)))
    camera = day_exposure((seen[0] * field).astype(np.float32), rng)
    return _exposed(seen, field.astype(np.float32), camera, (seed, 73))


def _by_night(seen: list[Array], seed: int) -> Film:
    """One or two lamps before the wall, and a little glow of the sky."""
    rng = np.random.default_rng([seed, 74])
    height, width = seen[0].shape[:2]
    rows, columns = np.linspace(0, HEIGHT, height)[:, None], np.linspace(0, HEIGHT * width / height, width)[None]
    field = np.full((height, width, 3), rng.uniform(0.01, 0.05)) * (0.6, 0.8, 1.2)
    for _ in range(int(rng.integers(1, 3))):
        row, column, depth = rng.uniform(-0.3, 0.8), rng.uniform(-0.2, 1.2) * columns.max(), rng.uniform(0.5, 1.3)
        square = (rows - row) ** 2 + (columns - column) ** 2 + depth**2
        field += rng.uniform(0.5, 1.5) * (depth / square**1.5)[..., None] * LAMPS[int(rng.integers(len(LAMPS)))]
    light = field.astype(np.float32)
    return _exposed(seen, light, night_exposure(seen[0] * light, seed), (seed, 75))


LIGHTS = {"day": _by_day, "night": _by_night}


def _exposed(seen: list[Array], field: Array, camera: Exposure, seed: tuple[int, int]) -> Film:
    return np.stack([expose(frame * field, camera, (*seed, shot)) for shot, frame in enumerate(seen)])
