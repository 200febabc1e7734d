"""Fog over a drawn street: light fades with the true distance that it crosses, and the fog's own light takes its place.

Koschmieder's law in linear light, at the renderer's fine pixels: I = J t + A (1 - t) with t = exp(-beta d), where d is
the way from the camera to the surface in metres. Under fog there is no sun: what lights the street comes from all
around, so J is drawn anew and is not the day image.
Source: Koschmieder, Theorie der horizontalen Sichtweite (1924); Sakaridis et al., Semantic Foggy Scene Understanding
(IJCV 2018), for the same law on true depth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import Array, floats, triple
from data.synthetic.render.lighting import day_exposure, expose, shrink, sunlit
from data.synthetic.render.rasterizer import noise_tile
from data.synthetic.street.scene import Frame

VISIBILITY = (25.0, 120.0)  # metres
CONTRAST = 0.05  # what is left of a black object's contrast at that distance (the meteorological optical range, WMO)


class Fog(NamedTuple):
    """One image's fog: visibility in metres, colour of its light (linear RGB, mean about 1), and how patchy it is.

    `patches` is the standard deviation of its density along neighbouring lines of sight, relative to the mean.
    """

    visibility: float
    colour: tuple[float, float, float]
    patches: float

    @property
    def beta(self) -> float:
        """Extinction a metre: exp(-beta * visibility) = CONTRAST, so about 3 / visibility."""
        return -math.log(CONTRAST) / self.visibility


def draw_fog(rng: np.random.Generator) -> Fog:
    """Fog of a visibility drawn by its logarithm from VISIBILITY, white to bluish."""
    low, high = VISIBILITY
    warmth = rng.uniform(-0.07, 0.02)
    colour = (1 + warmth, 1.0, 1 - 1.2 * warmth)
    return Fog(low * (high / low) ** rng.random(), triple(floats(colour)), rng.uniform(0.05, 0.2))


def foggy(frame: Frame, seed: int, *, fog: Fog | None = None) -> NDArray[np.uint8]:
    """The street of `frame` in fog, (H, W, 3) RGB, 8 bits. Without `fog` one is drawn from the seed."""
    rng = np.random.default_rng([seed, 41])
    drawn = draw_fog(rng)
    fog = fog or drawn
    clear = sunlit(
        frame, floats([0, 1, 0]), floats([0, 0, 0]), 0.9 * floats(fog.colour)
    )  # all light from above, evenly
    through = transmission(distance(frame), fog, _density(frame, fog, rng))
    up = np.linspace(1.08, 0.92, len(through), dtype=np.float32)[:, None, None]
    airlight = 0.62 * up * floats(fog.colour)  # (H, 1, 3) the fog's own light: a little brighter towards the sky
    through[frame.buffers.faces == 0] = 0  # no sky is seen through fog
    light = _scattered(clear, through, fog) + (1 - through)[..., None] * airlight
    light = shrink(light)
    exposure = day_exposure(light, rng, (0.3, 0.44), (0.97, 1.03), (1200, 3000))  # less light than on a clear day
    return expose(light, exposure, (seed, 42))


def distance(frame: Frame) -> Array:
    """(H, W) metres from the camera to what each fine pixel shows, along its ray."""
    columns, rows = frame.camera.rays()
    return frame.buffers.depth * np.sqrt(1 + columns**2 + rows[:, None] ** 2)


def transmission(metres: Array, fog: Fog, density: Array | float = 1.0) -> Array:
    """Fraction of light, in (0, 1], that crosses `metres` of fog of a relative `density`."""
    through: Array = np.exp(-fog.beta * density * metres).astype(np.float32)
    return through


def _density(frame: Frame, fog: Fog, rng: np.random.Generator) -> Array:
    """(H, W) mean density along each line of sight, about 1: drifting patches, wider than high, thicker low down."""
    height, width = frame.buffers.faces.shape
    tile = np.roll(noise_tile(), rng.integers(0, 256, 2), (0, 1))[:40, :28]
    smooth = cv2.resize(cv2.GaussianBlur(tile, (0, 0), 4), (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = (smooth - smooth.mean()) / smooth.std()
    sinking = rng.uniform(0, 0.15) * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    return np.clip(1 + fog.patches * smooth + sinking, 0.4, 1.6)


def _scattered(clear: Array, through: Array, fog: Fog) -> Array:
    """What arrives of the surfaces' light: through * clear, a part of it turned aside by drops and so blurred."""
    aside = cv2.GaussianBlur(clear, (0, 0), clear.shape[1] / 160)
    fraction = (0.35 * (1 - through))[..., None]
    return (clear + fraction * (aside - clear)) * through[..., None]
