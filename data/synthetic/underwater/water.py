"""The sea between a camera and the floor: what light loses on its way, and the haze that the water adds.

A simplified Jaffe-McGlamery model in linear light, channel by channel: I = J exp(-beta z) + B (1 - exp(-beta z)), z the
true distance in metres; part of the light that arrives was turned aside a little, which blurs what is far; specks of
marine snow drift before everything. Red is lost first.
Sources: McGlamery (SPIE 208, 1980); Jaffe (IEEE JOE 1990); Akkaynak and Treibitz (CVPR 2018) for values and water types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array, floats, triple
from data.synthetic.render.lighting import Exposure, expose, luminance
from data.synthetic.underwater.scene import SeaFloor

Channels = tuple[float, float, float]  # red, green, blue
# Of each type: attenuation relative to green's, colour of the water's own light, colour of the light that comes down.
TYPES: dict[str, tuple[Channels, Channels, Channels]] = {
    "green": ((1.7, 1.0, 1.35), (0.075, 0.23, 0.13), (0.60, 1.0, 0.72)),
    "teal": ((2.3, 1.0, 1.05), (0.035, 0.20, 0.185), (0.45, 1.0, 0.92)),
    "blue": ((3.2, 1.0, 0.85), (0.025, 0.13, 0.23), (0.38, 0.85, 1.0)),
}


@dataclass(frozen=True)
class Water:
    """One image's water.

    attenuation: a metre, of each channel; veil: the water's own light, linear RGB where white paper on the floor is
    about 1; lamp: colour of the light that reaches the floor; waves: contrast (deviation) of the sunlight's ripples;
    aside: blur in px (of an image 320 px wide) of light that crossed one attenuation length; snow: specks an image;
    electrons: of a full pixel.
    """

    attenuation: Channels
    veil: Channels
    lamp: Channels
    waves: float
    aside: float
    snow: int
    electrons: float


def clear_water(rng: np.random.Generator, distance: float) -> Water:
    """A shallow, clean sea on a bright day. distance: metres to the middle of the scene."""
    ratios, veil, lamp = TYPES[("teal", "blue")[int(rng.integers(2))]]
    green = rng.uniform(0.03, 0.10) / distance
    pale = triple(0.55 + 0.45 * floats(lamp))
    waves = rng.uniform(0.05, 0.35)
    return Water(triple(green * floats(ratios)), triple(1.5 * floats(veil)), pale, waves, 0.2, 0, 6000.0)


def murky_water(rng: np.random.Generator, distance: float) -> Water:
    """A deeper, turbid sea. distance: metres to the middle of the scene, 0.35 to 1.15 attenuation lengths of green.

    So what a camera near the floor sees is as veiled as what a distant one sees: divers go as near as they must.
    """
    ratios, veil, lamp = TYPES[tuple(TYPES)[int(rng.integers(len(TYPES)))]]
    green = rng.uniform(0.35, 1.15) / distance
    tint = np.exp(rng.normal(0, 0.12, 3))
    bright, waves, snow = rng.uniform(0.7, 1.3), rng.uniform(0, 0.07), int(rng.integers(10, 120))
    return Water(
        triple(green * floats(ratios)), triple(bright * tint * veil), lamp, waves, rng.uniform(0.4, 0.9), snow,
        rng.uniform(500, 1500),
    )  # fmt: skip


def clear(floor: SeaFloor, seed: int) -> NDArray[np.uint8]:
    """The scene in clear water, (H, W, 3) RGB, 8 bits."""
    return _seen(floor, clear_water, seed, 61)


def murky(floor: SeaFloor, seed: int) -> NDArray[np.uint8]:
    """The scene in murky water, (H, W, 3) RGB, 8 bits."""
    return _seen(floor, murky_water, seed, 63)


def _seen(
    floor: SeaFloor, draw: Callable[[np.random.Generator, float], Water], seed: int, stream: int
) -> NDArray[np.uint8]:
    """Light through the drawn water and into the camera; water and camera have streams of random numbers of their own."""
    water = draw(np.random.default_rng([seed, stream]), float(np.median(floor.distance)))
    stream += 1
    rng = np.random.default_rng([seed, stream])
    lit = floor.reflected * floats(water.lamp) * np.maximum(1 + water.waves * floor.ripple, 0.1)[..., None]
    light = through_water(lit, floor.distance, water)
    if water.snow:
        light += _snow(rng, light.shape[:2], water)
    return _develop(light, water, (seed, stream, 1), rng)


def through_water(lit: Array, distance: Array, water: Water) -> Array:
    """What arrives (H, W, 3) of surfaces that send out `lit` (H, W, 3) from `distance` (H, W) metres, with the haze."""
    fraction = np.exp(-distance[..., None] * floats(water.attenuation))
    lengths = distance * water.attenuation[1]
    return _scattered(lit, lengths, water.aside) * fraction + (1 - fraction) * floats(water.veil)


def _scattered(lit: Array, lengths: Array, aside: float) -> Array:
    """Blur that grows with the attenuation lengths (H, W) that light crossed: two blurred images, mixed by pixel."""
    unit = aside * lit.shape[1] / 320
    soft, softer = (cv2.GaussianBlur(lit, (0, 0), max(0.3, times * unit)) for times in (1.0, 3.0))
    near, far = np.clip(lengths, 0, 1)[..., None], np.clip((lengths - 1) / 2, 0, 1)[..., None]
    mixed = lit + near * (soft - lit)
    return mixed + far * (softer - mixed)


def _snow(rng: np.random.Generator, shape: tuple[int, ...], water: Water) -> Array:
    """Specks of light (H, W, 3): most small, some near the lens, large and faint."""
    unit = shape[1] / 320
    flakes = np.zeros(shape, np.float32)
    for size in rng.gamma(1.2, 0.6, water.snow) * unit + 0.4:
        place = np.round(rng.uniform(0, shape[::-1]) * 16).astype(int)
        glow = rng.exponential(0.06) / max(1.0, size**1.5)
        cv2.circle(flakes, (int(place[0]), int(place[1])), round(size * 16), glow, -1, cv2.LINE_AA, 4)
    pale = 0.5 + 0.5 * floats(water.veil) / max(water.veil)
    return cv2.GaussianBlur(flakes, (0, 0), 0.7 * unit)[..., None] * pale


def _develop(light: Array, water: Water, noise: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Exposed for the middle tones, darker towards the corners, by a camera that corrects only part of the colour."""
    height, width = light.shape[:2]
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = light * (1 - rng.uniform(0.05, 0.22) * (x**2 + y**2))[..., None]
    gain = rng.uniform(0.16, 0.26) / float(luminance(light).mean())
    average = light.reshape(-1, 3).mean(0)
    balance = (average[1] / np.maximum(average, 1e-4)) ** rng.uniform(0.05, 0.4)
    return expose(light, Exposure(gain, water.electrons, 4.0, triple(np.minimum(balance, 2.5)), 0.0), noise)
