"""Light by hand, and what day and night must have in common and must not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.synthetic.render.camera import SUPERSAMPLE, floats
from data.synthetic.render.lighting import (
    Exposure,
    _edges,
    _lit_by,
    _shadow,
    day,
    encode,
    expose,
    luminance,
    night,
    night_exposure,
    night_light,
    shrink,
)
from data.synthetic.render.primitives import Lamp
from data.synthetic.render.rasterizer import Caster
from data.synthetic.street.scene import Frame, draw, make_street


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [draw(make_street(seed, (96, 72))) for seed in range(4)]


@pytest.mark.parametrize(
    ("linear", "shown"),
    [(0.0, 0.0), (0.002, 0.02584), (0.2158605, 128 / 255), (1.0, 1.0), (7.0, 1.0), (-1.0, 0.0)],
)
def test_encode_is_the_srgb_curve(linear, shown):
    """12.92 * 0.002 = 0.02584; 1.055 * 0.2158605 ** (1 / 2.4) - 0.055 = 128 / 255."""
    assert encode(floats([linear]))[0] == pytest.approx(shown, abs=1e-5)


def test_the_toe_darkens_shadows_and_spares_lights():
    """At 0.01 with toe 1 the light is multiplied by 0.03 / 0.05 = 0.6; at 1 by 1.02 / 1.04."""
    assert encode(floats([0.01]), toe=1.0)[0] == pytest.approx(encode(floats([0.006]))[0], abs=1e-5)
    assert encode(floats([1.0]), toe=1.0)[0] == pytest.approx(encode(floats([1.02 / 1.04]))[0], abs=1e-5)


def test_luminance_weighs_green_most():
    assert luminance(floats([1, 0, 0])) == pytest.approx(0.2126)
    assert luminance(floats([1, 1, 1])) == pytest.approx(1.0)


def test_shrink_averages_linear_light():
    fine = np.zeros((4, 4, 3), np.float32)
    fine[:2, :2] = [[1.0], [0.0]]
    assert shrink(fine)[0, 0] == pytest.approx([0.5] * 3)
    assert shrink(fine)[1, 1] == pytest.approx([0.0] * 3)


def test_expose_without_noise_is_the_tone_curve():
    light = np.full((8, 8, 3), 0.2158605 / 4, np.float32)
    assert (expose(light, Exposure(4.0, 1e9, 0.0, (1.0, 1.0, 1.0), 0.0), [0]) == 128).all()


@pytest.mark.parametrize(("level", "electrons", "read"), [(0.5, 400.0, 0.0), (0.3, 400.0, 8.0), (0.6, 100.0, 3.0)])
def test_noise_has_the_variance_of_counts(level, electrons, read):
    """Variance of the signal = level / electrons + (read / electrons)^2, before demosaicing blurs it.

    A 3 x 3 Gaussian of deviation 0.55 leaves the share (sum of squared weights)^2 of it.
    """
    light = np.full((200, 200, 3), level, np.float32)
    shown = expose(light, Exposure(1.0, electrons, read, (1.0, 1.0, 1.0), 0.0), [3]).astype(np.float64) / 255
    signal = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    weights = cv2.getGaussianKernel(2 * round(0.55 * 4 + 0.5) + 1, 0.55)
    expected = (level / electrons + (read / electrons) ** 2) * float((weights**2).sum()) ** 2
    assert signal.var() == pytest.approx(expected, rel=0.12)
    assert signal.mean() == pytest.approx(level, rel=0.02)


def test_white_balance_multiplies_light():
    light = np.full((4, 4, 3), 0.2, np.float32)
    shown = expose(light, Exposure(1.0, 1e9, 0.0, (2.0, 1.0, 0.5), 0.0), [0])[0, 0]
    assert shown == pytest.approx(255 * encode(floats([0.4, 0.2, 0.1])), abs=1)


@pytest.mark.parametrize(("height", "relative"), [(1.0, 1.0), (2.0, 0.25), (4.0, 0.0625)])
def test_light_falls_with_the_square_of_the_distance(height, relative):
    """A lamp straight above level ground: power / height^2, plus 0.008 bounced (over the square, at least 6)."""
    lamp = Lamp((0.0, height, 5.0), (1.0, 1.0, 1.0), 10.0)
    ground = floats([[0.0, 0.0, 5.0]])
    got = _lit_by(lamp, ground, (ground**2).sum(1), floats([height]))
    assert got[0] == pytest.approx(10 * relative + 10 * 0.008 / max(height**2, 6), rel=1e-4)


def test_a_beam_lights_ahead_only():
    """Along the axis all of it; 60 degrees off with focus 2: cos^2 = 1/4; behind: only what bounces."""
    lamp = Lamp((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0, (0.0, 0.0, 1.0), 2.0)
    half = 3**0.5 / 2
    places = floats([[0, 0, 3], [3 * half, 0, 1.5], [0, 0, -3]])
    facing = floats([3.0, 3.0, 3.0])  # each surface looks at the lamp, 3 m away
    got = _lit_by(lamp, places, (places**2).sum(1), facing) - 0.008 / 9
    assert got == pytest.approx([1 / 9, 1 / 36, 0.0], abs=1e-5)


def test_a_surface_turned_away_gets_no_direct_light():
    lamp = Lamp((0.0, 2.0, 5.0), (1.0, 1.0, 1.0), 10.0)
    got = _lit_by(lamp, floats([[0, 0, 5]]), floats([25.0]), floats([-2.0]))
    assert got[0] == pytest.approx(10 * 0.008 / 6, rel=1e-4)


def test_shadow_of_the_sun_lies_where_the_rays_lead(frames):
    """Sun at 45 degrees behind a 1 m square held level at 2 m: its shadow lies 2 m nearer to the camera."""
    frame = frames[0]
    square = floats([(-0.5, 2, 9.5), (0.5, 2, 9.5), (0.5, 2, 10.5), (-0.5, 2, 10.5)])
    sun = floats([0, 0.5**0.5, 0.5**0.5])
    dark = _shadow([Caster(square, 0.0, 0)], sun, frame, directional=True) < 0.5
    rows, columns = np.nonzero(dark)
    camera = frame.camera
    middle = camera.project(floats([0.0, 0.0, 8.0]))
    assert columns.mean() == pytest.approx(middle[0], abs=2)
    assert rows.mean() == pytest.approx(middle[1], abs=3)


def test_a_lamp_s_shadow_grows_with_the_height_of_the_thing(frames):
    """Under a lamp at 6 m, a plate at 3 m throws a shadow twice as wide; one at 1.5 m, 4/3 as wide."""
    lamp = floats([0, 6, 8])
    sizes = []
    for height in (0.1, 3.0):
        plate = floats([(x, height, 8 + z) for x, z in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))])
        sizes.append(float((1 - _shadow([Caster(plate, 0.0, 0)], lamp, frames[0], directional=False)).sum()))
    assert sizes[1] / sizes[0] == pytest.approx((2 / (6 / 5.9)) ** 2, rel=0.25)


def test_day_is_bright_and_night_is_dark(frames):
    for seed, frame in enumerate(frames):
        light, dark = day(frame, seed), night(frame, seed)
        assert light.shape == dark.shape == (72, 96, 3)
        assert light.dtype == dark.dtype == np.uint8
        assert 85 < light.mean() < 160
        assert 12 < dark.mean() < 50


def test_night_is_no_tone_curve_of_day(frames):
    """Were it one, equal greys by day would be equal by night; yet lamps make some of them bright and leave others black."""
    for seed, frame in enumerate(frames):
        light, dark = day(frame, seed).mean(2).ravel(), night(frame, seed).mean(2).ravel()
        middle = np.abs(light - np.median(light)) < 8
        assert dark[middle].std() > 0.25 * dark[middle].mean()


def test_a_seed_is_an_image_and_a_shot_is_its_noise(frames):
    frame = frames[1]
    assert (day(frame, 1) == day(frame, 1)).all()
    assert (night(frame, 1) == night(frame, 1)).all()
    assert (night(frame, 1) != night(frame, 1, shot=1)).any()
    first, second = (cv2.blur(night(frame, 1, shot=k), (9, 9)).astype(int) for k in (0, 1))
    assert np.abs(first - second).mean() < 2  # the same image under the noise


def test_lamps_are_what_lights_the_night(frames):
    frame = frames[2]
    without = night_light(Frame(frame.camera, frame.buffers, (), frame.casters, frame.labels, frame.actors), 2)
    assert night_light(frame, 2).sum() > without.sum()
    assert (night_light(frame, 2) >= without - 1e-5).all()


@pytest.mark.parametrize("mean", [15.0, 34.0])
def test_exposure_reaches_the_mean_it_aims_at(frames, mean):
    light = night_light(frames[0], 0)
    exposure = night_exposure(light, 0, mean=mean)
    shown = encode(light * exposure.gain * floats(exposure.balance), exposure.toe)
    assert 255 * float(luminance(shown).mean()) == pytest.approx(mean, rel=0.15)


def test_fine_pixels_where_faces_meet_are_lit_one_by_one(frames):
    """At 2 x 2 fine pixels per image pixel, those of one face share their light, those of others have their own."""
    edge = _edges(frames[0].buffers.faces)
    assert not edge[::SUPERSAMPLE, ::SUPERSAMPLE].any()
    assert 0.005 < edge.mean() < 0.5
