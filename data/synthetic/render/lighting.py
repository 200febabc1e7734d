"""Light for drawn scenes: a day of sun and sky, a night of lamps, and the camera that turns light into 8 bits.

All sums are in linear light (float32), in units where 1 is white paper in full daylight (day) or white ground lit by a
lamp of power 1 at 1 m (night). Day and night read the same buffers, so their images are registered exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data.synthetic.render.camera import SUPERSAMPLE, Array, Camera, floats, triple
from data.synthetic.render.primitives import Lamp
from data.synthetic.render.rasterizer import Caster, noise_tile
from data.synthetic.street.scene import Frame

REACH = 45.0  # metres; lamps farther away shine but light nothing


class Exposure(NamedTuple):
    """How the camera turns light into an image.

    `gain` lifts light to the sensor's white at 1.0, which holds `electrons` of charge; `read` is the read noise in
    electrons; `balance` multiplies RGB; `toe` darkens shadows in the tone curve (0 = plain sRGB).
    """

    gain: float
    electrons: float
    read: float
    balance: tuple[float, float, float]
    toe: float


def luminance(image: Array) -> Array:
    """(..., 3) linear RGB -> (...) relative luminance (BT.709)."""
    return image @ np.array([0.2126, 0.7152, 0.0722], np.float32)


def encode(linear: Array, toe: float = 0.0) -> Array:
    """Linear light -> display values in [0, 1]: the sRGB curve, after a toe that presses shadows down."""
    x = np.clip(linear, 0, 1)
    if toe:
        x = x * (x + toe * 0.02) / (x + toe * 0.04)
    coded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-8), 1 / 2.4) - 0.055)
    return coded.astype(np.float32)


def shrink(fine: Array, times: int = SUPERSAMPLE) -> Array:
    """Average an image that is `times` times finer down to the image's own pixels."""
    height, width = fine.shape[:2]
    return cv2.resize(fine, (width // times, height // times), interpolation=cv2.INTER_AREA)


def expose(light: Array, exposure: Exposure, seed: Sequence[int]) -> NDArray[np.uint8]:
    """Light (H, W, 3) -> an 8-bit RGB image, with shot noise (variance = charge) and read noise."""
    rng = np.random.default_rng(list(seed))
    signal = np.minimum(light * exposure.gain, 1.2)
    deviation = np.sqrt(signal / exposure.electrons + (exposure.read / exposure.electrons) ** 2)
    noisy = signal + deviation * rng.standard_normal(light.shape, dtype=np.float32)
    mixed: Array = cv2.GaussianBlur(noisy, (0, 0), 0.55)  # demosaicing mixes neighbours
    balanced = mixed * floats(exposure.balance)
    return (encode(balanced, exposure.toe) * 255 + 0.5).astype(np.uint8)


def _shadow(casters: Sequence[Caster], light: Array, frame: Frame, directional: bool) -> Array:
    """Fraction of light (H, W) that reaches the ground: 0 inside shadows, with soft edges.

    `light` (3,) is the direction towards the sun, or a lamp's place. Each corner goes along its ray to the ground.
    """
    mask = np.zeros(frame.buffers.faces.shape, np.uint8)
    points = [_grown(caster.points, caster.radius) for caster in casters]
    ends = np.cumsum([len(p) for p in points])
    corners = np.concatenate(points)
    if directional:
        ground = corners - light * (corners[:, 1:2] / light[1])
    else:
        ground = light + (corners - light) * (light[1] / np.maximum(light[1] - corners[:, 1:2], 0.3))
    _fill_hulls(mask, ground, ends, frame.camera)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.2 * SUPERSAMPLE)
    return 1 - soft.astype(np.float32) / 255


def _grown(points: Array, radius: float) -> Array:
    """Corners (n, 3), each replaced by a level ring of this radius unless it is 0."""
    return (points[:, None] + radius * _RIM).reshape(-1, 3) if radius else points


_RIM = np.array([(np.cos(a), 0, np.sin(a)) for a in np.arange(8) * np.pi / 4], np.float32)


def _fill_hulls(mask: NDArray[np.uint8], ground: Array, ends: NDArray[np.intp], camera: Camera) -> None:
    """Paint the convex hull of each run of ground points (n, 3), if it is before the camera; runs end at `ends`."""
    depth = ground[:, 2]
    pixels = camera.project(np.where(depth[:, None] < 1, floats([0, 0, 1]), ground).astype(np.float32))
    fixed = np.round(np.clip(pixels, -8000, 8000)).astype(np.int32)
    height, width = mask.shape
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        part = fixed[start:end]
        low, high = part.min(0), part.max(0)
        if depth[start:end].min() >= 1 and high[0] > 0 and high[1] > 0 and low[0] < width and low[1] < height:
            cv2.fillConvexPoly(mask, cv2.convexHull(part), 255)


def _contact(frame: Frame) -> Array:
    """Fraction of sky light (H, W) that reaches the ground: less right under objects."""
    mask = np.zeros(frame.buffers.faces.shape, np.uint8)
    lows = [(c, c.points[c.points[:, 1] < 0.45]) for c in frame.casters if c.owner >= 0]
    rings = [_grown(low * floats([1, 0, 1]), max(caster.radius, 0.12)) for caster, low in lows if len(low)]
    if rings:
        _fill_hulls(mask, np.concatenate(rings), np.cumsum([len(r) for r in rings]), frame.camera)
    return 1 - 0.75 / 255 * _blurred(mask.astype(np.float32), 3.0 * SUPERSAMPLE)


def day(frame: Frame, seed: int) -> NDArray[np.uint8]:
    """The scene by day: sun with shadows, sky light, haze; (H, W, 3) RGB, 8 bits."""
    rng = np.random.default_rng([seed, 21])
    overcast = rng.random() < 0.3
    height, turn = np.radians(rng.uniform(25, 60)), rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(height) * np.cos(turn), np.sin(height), np.cos(height) * np.sin(turn)], np.float32)
    warm = np.array([1.0, 0.95, 0.86], np.float32) * (0.12 if overcast else 0.85)
    sky = np.array([0.72, 0.85, 1.0], np.float32) * (0.55 if overcast else 0.34)
    light = sunlit(frame, sun, warm, sky)
    haze = 1 - np.exp(frame.buffers.depth * (-1 / rng.uniform(250, 700)))[..., None]
    light += haze * (sky * 1.3 - light)
    above = int(frame.camera.horizon * SUPERSAMPLE)
    is_sky = frame.buffers.faces[:above] == 0
    light[:above][is_sky] = _day_sky(is_sky.shape, sky, overcast, rng)[is_sky]
    light = shrink(light)
    return expose(light, day_exposure(light, rng), (seed, 22))


def sunlit(frame: Frame, sun: Array, warm: Array, sky: Array) -> Array:
    """Light (H, W, 3) that surfaces send out under a sun of colour `warm` and a sky of colour `sky`."""
    buffers = frame.buffers
    direct = np.maximum(buffers.normals @ sun, 0)[:, None] * warm  # (F, 3)
    ambient = (0.62 + 0.38 * buffers.normals[:, 1:2]) * sky
    sent = buffers.colour * (direct + ambient) + buffers.gloss[:, None] * sky * 1.1
    light = np.take(sent, buffers.faces, axis=0) * buffers.grain[..., None]
    shadow, contact = _shadow(frame.casters, sun, frame, True), _contact(frame)
    from_sun, from_sky = sun[1] * warm, sky  # what the level ground gets of each
    below = slice(int(frame.camera.horizon * SUPERSAMPLE), None)
    ground = buffers.ground[below]
    fraction = shadow[below][ground][:, None] * from_sun + contact[below][ground][:, None] * from_sky
    light[below][ground] *= fraction / (from_sun + from_sky)
    return light


def _day_sky(shape: tuple[int, ...], sky: Array, overcast: bool, rng: np.random.Generator) -> Array:
    """Sky light (H, W, 3) down to the horizon: pale there, bluer above, with clouds."""
    height, width = shape
    up = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    grey = float(luminance(sky))
    blue = grey * np.array([0.55, 0.85, 1.35], np.float32) * (1 - 0.35 * up) * 1.7
    pale = np.full(3, grey * 1.9, np.float32)
    tile = np.roll(noise_tile(), rng.integers(0, 256, 2), (0, 1))[:96, :96]
    clouds = cv2.resize(cv2.GaussianBlur(tile, (0, 0), 1), (width, height), interpolation=cv2.INTER_CUBIC)
    cover = np.clip(clouds * 0.5 + (0.9 if overcast else rng.uniform(-0.3, 0.5)), 0, 1)[..., None]
    clear = pale + (blue - pale) * np.minimum(1, 1.6 * up)
    return clear * (1 - cover) + cover * pale * (0.85 + 0.15 * up)


Range = tuple[float, float]


def day_exposure(
    light: Array, rng: np.random.Generator, grey: Range = (0.19, 0.27), cast: Range = (0.95, 1.05),
    electrons: Range = (6000.0, 6000.0),
) -> Exposure:  # fmt: skip
    """For the middle of the image: its mean, the error of each colour's white balance and the charge of white are drawn."""
    gain, balance = rng.uniform(*grey) / float(luminance(light).mean()), triple(rng.uniform(*cast, 3))
    return Exposure(gain, rng.uniform(*electrons), 4.0, balance, 0.0)


def night_light(frame: Frame, seed: int) -> Array:
    """Linear light (H, W, 3) of the scene at night, in lamp units: sky glow, every lamp, and what shines itself."""
    rng = np.random.default_rng([seed, 31])
    buffers = frame.buffers
    glow = floats([(0.55, 0.75, 1.25), (1.1, 0.85, 0.65)][int(rng.random() < 0.5)]) * rng.uniform(0.006, 0.02)
    ambient = (0.6 + 0.4 * buffers.normals[:, 1:2]) * glow
    light = np.take(ambient, buffers.faces, axis=0)
    light[buffers.ground] *= np.take(_contact(frame), np.flatnonzero(buffers.ground))[:, None]
    light += _lamplight(frame)
    light *= np.take(buffers.colour, buffers.faces, axis=0)
    light *= buffers.grain[..., None]
    light += np.take(buffers.emission, buffers.faces, axis=0)
    up = np.clip(1 - np.arange(len(light), dtype=np.float32) / (frame.camera.horizon * SUPERSAMPLE), 0, 1)
    rows, columns = np.nonzero(buffers.faces == 0)
    light[rows, columns] = glow * (1.1 - 0.7 * up[rows, None])
    return _veil(shrink(light))


def _lamplight(frame: Frame) -> Array:
    """The lamps' light that falls on every surface (H, W, 3).

    Computed once per image pixel, and once a fine pixel only where faces meet: elsewhere neighbours get the same.
    """
    buffers = frame.buffers
    lamps = [lamp for lamp in frame.lamps if lamp.place[2] > -9 and np.linalg.norm(lamp.place) < REACH]
    edge = _edges(buffers.faces)
    wanted = edge.copy()
    wanted[::SUPERSAMPLE, ::SUPERSAMPLE] = True
    order = np.flatnonzero(wanted & (buffers.depth < 1.6 * REACH))
    depth = (np.take(buffers.depth, order) * 100).astype(np.uint16)  # cm
    rank = np.argsort(depth, kind="stable")  # so that the pixels at some depth are one slice; radix sort
    order, depth = order[rank], depth[rank]
    received = np.zeros((*buffers.faces.shape, 3), np.float32)
    received.reshape(-1, 3)[order] = _received(lamps, frame, order, depth)
    whole = received[::SUPERSAMPLE, ::SUPERSAMPLE].repeat(SUPERSAMPLE, 0).repeat(SUPERSAMPLE, 1)
    whole[edge] = received[edge]
    return whole


def _edges(faces: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Fine pixels (H, W) that show another face than the first fine pixel of their image pixel."""
    first = faces[::SUPERSAMPLE, ::SUPERSAMPLE].repeat(SUPERSAMPLE, 0).repeat(SUPERSAMPLE, 1)
    return faces != first


def _received(lamps: Sequence[Lamp], frame: Frame, order: NDArray[np.intp], depth: NDArray[np.uint16]) -> Array:
    """Light (N, 3) on the fine pixels numbered `order`, which lie at `depth` cm, rising."""
    buffers = frame.buffers
    place = np.take(buffers.position.reshape(-1, 3), order, axis=0)  # (N, 3)
    faces, ground = np.take(buffers.faces, order), np.take(buffers.ground, order)
    square = np.einsum("nc,nc->n", place, place)
    across = np.einsum("nc,nc->n", np.take(buffers.normals, faces, axis=0), place)  # normal . position
    by_colour = {lamp.colour: np.zeros(len(order), np.float32) for lamp in lamps}
    for lamp in lamps:
        is_street_lamp = lamp.focus > 0 and lamp.place[1] > 4
        reach = 24.0 if is_street_lamp else min((lamp.power / 0.02) ** 0.5, REACH)  # m; beyond it drowns in the others'
        ends = [max(0, int(100 * (lamp.place[2] + sign * reach))) for sign in (-1, 1)]
        near = slice(*np.searchsorted(depth, np.array(ends).clip(0, 65535).astype(np.uint16)))
        toward = np.take(buffers.normals @ floats(lamp.place), faces[near]) - across[near]
        got = _lit_by(lamp, place[near], square[near], toward)
        if is_street_lamp:
            got *= np.where(ground[near], np.take(_lamp_shadow(lamp, frame), order[near]), 1)
        by_colour[lamp.colour][near] += got
    total = np.zeros((len(order), 3), np.float32)
    for colour, got in by_colour.items():
        total += got[:, None] * floats(colour)
    return total


def _lit_by(lamp: Lamp, place: Array, square: Array, toward: Array) -> Array:
    """One lamp's light (N,) at `place` (N, 3): power * facing * beam / distance squared, and a little bounced light.

    square: |place|^2; toward: normal . (lamp - place).
    """
    spot = floats(lamp.place)
    square = np.maximum(square - 2 * (place @ spot) + spot @ spot, 0.09)  # |lamp - place|^2
    inverse = 1 / np.sqrt(square)
    fraction = np.clip(0.85 * toward * inverse + 0.15, 0, 1)  # no lamp is a point: light wraps a little around edges
    if lamp.aim is not None:
        aim = floats(lamp.aim)
        fraction *= np.maximum((place @ aim - spot @ aim) * inverse, 0) ** lamp.focus
    return lamp.power * (fraction / square + 0.008 / np.maximum(square, 6))


def _lamp_shadow(lamp: Lamp, frame: Frame) -> Array:
    """Fraction (H, W) of a street lamp's light that reaches the ground past the actors near it."""
    place = floats(lamp.place)
    near = [c for c in frame.casters if c.owner >= 0 and np.linalg.norm(c.points[0] - place) < 14]
    return 0.1 + 0.9 * _shadow(near, place, frame, False) if near else np.ones(frame.buffers.faces.shape, np.float32)


def _veil(light: Array) -> Array:
    """Glare of the lens: a fraction of all light is spread widely, so lamps wear a halo."""
    scale = light.shape[1] / 320
    capped = np.minimum(light, 60.0)
    total = light * 0.93
    for sigma, fraction in ((1.2, 0.035), (4.0, 0.020), (14.0, 0.012)):
        total += fraction * _blurred(capped, sigma * scale)
    return total


def _blurred(image: Array, sigma: float) -> Array:
    """Gaussian blur; a wide one is done on a reduced image, which nobody can tell."""
    step = 2 ** max(0, int(np.log2(max(sigma, 1) / 2)))
    if step == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    height, width = image.shape[:2]
    small = cv2.resize(image, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / step), (width, height), interpolation=cv2.INTER_LINEAR)


def night_exposure(light: Array, seed: int, mean: float | None = None) -> Exposure:
    """What an automatic camera picks at night: much gain, few electrons, a colour cast.

    mean: the image's mean grey of 255 to aim at; left out, one between 19 and 42 is drawn.
    """
    rng = np.random.default_rng([seed, 32])
    drawn, toe = rng.uniform(19, 42), rng.uniform(0.0, 0.6)
    target = drawn if mean is None else mean
    average = light.reshape(-1, 3).mean(0)
    grey = average.mean() / np.maximum(average, 1e-6)
    balance = grey ** rng.uniform(0.2, 0.7)  # the camera corrects only part of the lamps' colour
    balance = triple(balance / balance[1])
    sample = light[::4, ::4] * np.array(balance, np.float32)
    low, high = 1e-3, 1e3
    for _ in range(18):  # bisection: the mean grows with the gain
        gain = (low * high) ** 0.5
        found = float(luminance(encode(sample * gain, toe)).mean()) * 255
        low, high = (gain, high) if found < target else (low, gain)
    return Exposure(gain, rng.uniform(350, 1600), rng.uniform(1.5, 4.0), balance, toe)


def night(frame: Frame, seed: int, *, exposure: Exposure | None = None, shot: int = 0) -> NDArray[np.uint8]:
    """The scene by night, (H, W, 3) RGB, 8 bits. `shot` numbers the frames of a clip: only the noise differs."""
    light = night_light(frame, seed)
    return expose(light, exposure or night_exposure(light, seed), (seed, 33, shot))
