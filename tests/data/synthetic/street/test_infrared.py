"""A night camera with an infrared lamp: grey, bright near by, dark far away."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.clips import clip_frames
from data.synthetic.registry import SYNTHETIC
from data.synthetic.render.camera import SUPERSAMPLE
from data.synthetic.street.fog import distance
from data.synthetic.street.infrared import InfraredLamp, draw_lamp, infrared, infrared_light
from data.synthetic.street.scene import draw, make_street
from engine.streams.watchdog import Watchdog

LAMP = InfraredLamp(60.0, 0.5, 0.0, 80.0)


@pytest.fixture(scope="module")
def frame():
    return draw(make_street(3, (160, 120)))


def test_it_is_grey_and_exposed_for_its_mean(frame):
    image = infrared(frame, 3, lamp=LAMP)
    assert image.shape == (120, 160, 3) and image.dtype == np.uint8
    assert (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()
    assert 55 < image.mean() < 100
    assert np.array_equal(image, infrared(frame, 3, lamp=LAMP))
    other = infrared(frame, 3, lamp=LAMP, shot=1)
    assert 0 < np.abs(image.astype(int) - other).mean() < 12  # another draw of the same noise


def test_light_falls_with_the_square_of_the_distance(frame):
    """On the ground straight ahead, where the angle changes with the distance too: h / d^3 in all."""
    wide = LAMP._replace(beam=1e6)
    light = infrared_light(frame, wide, 3)
    metres = distance(frame)[::SUPERSAMPLE, ::SUPERSAMPLE]
    near, far = light[(metres > 3) & (metres < 5)].mean(), light[(metres > 12) & (metres < 20)].mean()
    assert 3 < near / far < 120
    assert light[metres > 200].mean() < near / 1000


def test_the_beam_has_an_edge_and_the_sky_is_black(frame):
    wide, narrow = (infrared_light(frame, LAMP._replace(beam=beam), 3) for beam in (1e6, 0.3))
    assert narrow[100, 80] / wide[100, 80] > 2 * narrow[110, 4] / wide[110, 4]
    assert wide[0, 80] == 0


def test_near_things_are_overexposed():
    bright = []
    for seed in range(3, 9):
        image = infrared(draw(make_street(seed, (96, 72))), seed)
        bright.append((image > 245).mean())
    assert max(bright) > 0.02 and min(bright) < 0.02


def test_lamps_are_drawn_from_the_seed():
    assert (
        draw_lamp(np.random.default_rng(1))
        == draw_lamp(np.random.default_rng(1))
        != draw_lamp(np.random.default_rng(2))
    )


def test_the_set_has_the_labels_of_the_day():
    looks, labels = SYNTHETIC["demo-infrared"].scene(5, (96, 72), {"day", "infrared"})
    _, same = SYNTHETIC["demo-infrared"].scene(5, (96, 72), {"day"})
    assert set(looks) == {"day", "infrared"} and np.array_equal(labels, same)


def test_a_film_of_it_raises_no_alarm():
    """Grey, dark in places and with hardly any motion: an ordinary case for the watchdog."""
    times = [number / 10 for number in range(6)]
    frames = clip_frames("infrared", 5, (64, 64), times, list(range(6)))
    dog = Watchdog(after=5.0)
    for number in range(150):
        dog.see(frames[number % 6].image, number + 1, 1.0 + number / 10)
    assert dog.alarms(dog.last) == ()
    assert all((found.image[..., 0] == found.image[..., 2]).all() for found in frames)
