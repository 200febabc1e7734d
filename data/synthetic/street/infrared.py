"""The street as a camera with an infrared lamp beside its lens shows it at night: grey, near things overexposed, far ones dark.

The lamp's light falls with the square of the true distance, with the angle to the surface and towards the beam's edge. Street
lamps and headlights are seen too, as they shine in infrared. The exposure aims at the image's mean, so that a person close to
the camera makes the rest dark. What throws light straight back (eyes, number plates) is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array, triple
from data.synthetic.render.lighting import Exposure, expose, luminance, night_exposure, night_light, shrink
from data.synthetic.street.scene import Frame

NEAREST = 0.5  # metres; nothing is lit as if it were nearer


class InfraredLamp(NamedTuple):
    """power: light on a surface that faces it at 1 m, in the night's units. beam: slope at which it has lost 40 %.

    lamps: fraction of street lamps' and headlights' light that is infrared. mean: grey of 255 that the camera aims at.
    """

    power: float
    beam: float
    lamps: float
    mean: float


def draw_lamp(rng: np.random.Generator) -> InfraredLamp:
    """A lamp and a camera of the kind that hangs at a house."""
    return InfraredLamp(rng.uniform(25, 90), rng.uniform(0.35, 0.7), rng.uniform(0.05, 0.3), rng.uniform(55, 95))


def infrared_light(frame: Frame, lamp: InfraredLamp, seed: int) -> Array:
    """Light (H, W) that reaches the camera, in the night's units."""
    buffers = frame.buffers
    columns, rows = frame.camera.rays()
    towards = np.sqrt(1 + columns**2 + rows[:, None] ** 2)  # (H, W) length of the ray at depth 1
    metres = np.maximum(buffers.depth * towards, NEAREST)
    normals = np.take(buffers.normals, buffers.faces, axis=0)  # (H, W, 3)
    facing = -(normals[..., 0] * columns + normals[..., 1] * rows[:, None] + normals[..., 2]) / towards
    beam = np.exp(-(columns**2 + rows[:, None] ** 2) / (2 * lamp.beam**2))
    surface = np.take(buffers.colour.mean(1), buffers.faces) * buffers.grain
    lit = lamp.power * surface * beam * (0.15 + 0.85 * np.clip(facing, 0, 1)) / metres**2
    lit[buffers.faces == 0] = 0  # the sky sends nothing back
    return shrink(lit.astype(np.float32)) + lamp.lamps * luminance(night_light(frame, seed))


def infrared_exposure(light: Array, lamp: InfraredLamp, seed: int) -> Exposure:
    """What the camera picks for light (H, W): its mean, with little charge per pixel."""
    return night_exposure(_three(light), seed, mean=lamp.mean)._replace(balance=triple(np.ones(3)))


def infrared(
    frame: Frame, seed: int, *, lamp: InfraredLamp | None = None, exposure: Exposure | None = None, shot: int = 0
) -> NDArray[np.uint8]:
    """The scene, (H, W, 3) of equal channels, 8 bits. `shot` numbers the frames of a clip: only the noise differs."""
    lamp = lamp or draw_lamp(np.random.default_rng([seed, 51]))
    light = infrared_light(frame, lamp, seed)
    exposed = expose(_three(light), exposure or infrared_exposure(light, lamp, seed), (seed, 52, shot))
    return np.repeat(exposed[..., 1:2], 3, axis=2)


def _three(light: Array) -> Array:
    """Light (H, W) as (H, W, 3)."""
    return np.repeat(light[..., None], 3, axis=2)
