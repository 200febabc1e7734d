"""Fog by hand, and what a street in fog and the same street by day have in common."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.config import load_data
from data.synthetic.registry import SYNTHETIC
from data.synthetic.render.lighting import day, luminance
from data.synthetic.street.fog import (
    CONTRAST,
    VISIBILITY,
    Fog,
    _density,
    _scattered,
    distance,
    draw_fog,
    foggy,
    transmission,
)
from data.synthetic.street.scene import NAMES, Frame, draw, make_street

WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [draw(make_street(seed, (96, 72))) for seed in range(3)]


@pytest.mark.parametrize(
    ("visibility", "metres", "left"),
    [
        (60.0, 0.0, 1.0),
        (60.0, 60.0, 0.05),  # the definition of visibility
        (60.0, 120.0, 0.0025),  # twice as far: 0.05 * 0.05
        (60.0, 30.0, math.sqrt(0.05)),  # half as far
        (25.0, 30.0, 0.05**1.2),
    ],
)
def test_transmission_by_hand(visibility, metres, left):
    """t = exp(-beta d) with beta = -ln 0.05 / visibility, which is 0.05 ** (d / visibility)."""
    found = transmission(np.array([metres], np.float32), Fog(visibility, WHITE, 0.0))
    assert found[0] == pytest.approx(left, rel=1e-5)


def test_beta_is_about_three_over_the_visibility():
    assert Fog(30.0, WHITE, 0.0).beta == pytest.approx(math.log(20) / 30)
    assert Fog(30.0, WHITE, 0.0).beta * 30 == pytest.approx(3, rel=2e-3)


def test_denser_fog_is_longer_fog():
    """Half again as dense over 20 m is what 30 m are."""
    fog, metres = Fog(40.0, WHITE, 0.0), np.array([20.0], np.float32)
    assert transmission(metres, fog, 1.5) == pytest.approx(transmission(metres * 1.5, fog))


def test_visibility_is_drawn_by_its_logarithm():
    """25 to 120 m; the median lies at sqrt(25 * 120) = 54.8 m."""
    fogs = [draw_fog(np.random.default_rng(seed)) for seed in range(400)]
    seen = np.array([fog.visibility for fog in fogs])
    assert VISIBILITY[0] <= seen.min() < 27 and 112 < seen.max() <= VISIBILITY[1]
    assert np.median(seen) == pytest.approx(54.8, rel=0.1)
    assert all(fog.colour[2] >= 0.97 and 0.05 <= fog.patches <= 0.2 for fog in fogs)
    assert CONTRAST == 0.05


def test_distance_runs_along_the_ray(frames):
    """The length of the position that the renderer keeps, taken from the camera's own height."""
    frame = frames[0]
    there = frame.buffers.faces > 0
    from_camera = frame.buffers.position - np.array([0, frame.camera.y, 0], np.float32)
    np.testing.assert_allclose(distance(frame)[there], np.linalg.norm(from_camera, axis=-1)[there], rtol=1e-3)


def test_density_is_patchy_about_one(frames):
    fog = Fog(50.0, WHITE, 0.1)
    density = _density(frames[0], fog, np.random.default_rng(0))
    assert density.shape == frames[0].buffers.faces.shape
    assert density.mean() == pytest.approx(1, abs=0.03) and 0.08 < density.std() < 0.16
    assert np.abs(np.diff(density, axis=1)).max() < 0.05, "it drifts, it has no edges"


def test_light_that_is_turned_aside_is_not_lost():
    """A level surface looks the same blurred: 0.4 of its 0.5 arrives everywhere."""
    arrived = _scattered(np.full((24, 32, 3), 0.5, np.float32), np.full((24, 32), 0.4, np.float32), Fog(50, WHITE, 0))
    np.testing.assert_allclose(arrived, 0.2, rtol=1e-5)


def test_the_same_seed_gives_the_same_image(frames):
    one, again, other = foggy(frames[1], 1), foggy(frames[1], 1), foggy(frames[1], 2)
    assert one.shape == (72, 96, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_what_is_far_turns_grey_and_what_is_near_stays(frames):
    """In fog of 25 m, rows of the sky hold no contrast or colour; the day has both."""
    for seed, frame in enumerate(frames):
        thick = foggy(frame, seed, fog=Fog(25.0, WHITE, 0.05)).astype(float)
        fair = day(frame, seed).astype(float)
        assert (
            np.ptp(thick[:18], axis=2).mean() < 20
            and np.ptp(thick[:18], axis=2).mean() < np.ptp(fair[:18], axis=2).mean()
        )
        assert thick[:18].mean((0, 1)).std() < 12
        assert thick.std() < 0.75 * fair.std()


def test_thicker_fog_leaves_less_contrast(frames):
    """Of the same street and the same camera, at 25, 60 and 120 m."""
    seen = [
        luminance(foggy(frames[0], 0, fog=Fog(reach, WHITE, 0.05)) / np.float32(255)).std() for reach in (25, 60, 120)
    ]
    assert seen[0] < seen[1] < seen[2]


def test_the_two_looks_share_one_drawing():
    """Both looks come from one street, and have its labels."""
    looks, labels = SYNTHETIC["demo-fog"].scene(5, (96, 72), {"day", "fog"})
    alone, same = SYNTHETIC["demo-fog"].scene(5, (96, 72), {"fog"})
    assert set(looks) == {"day", "fog"}
    assert np.array_equal(looks["fog"], alone["fog"]) and np.array_equal(labels, same)


@pytest.mark.parametrize(("synthetic", "bad"), [("demo-fog", "fog"), ("demo-sea", "murky")])
def test_the_data_yamls_share_one_synthetic(synthetic, bad, tmp_path, root, monkeypatch):
    """NAME.yaml learns from bad images with good ones beside them, NAME-clear.yaml from those good ones."""
    monkeypatch.chdir(tmp_path)
    for name in (synthetic, f"{synthetic}-clear"):
        (tmp_path / f"{name}.yaml").write_text((root / "data" / f"{name}.yaml").read_text())
    for folder in {folder for split in SYNTHETIC[synthetic].splits.values() for folder in split.folders}:
        (tmp_path / synthetic / "images" / folder).mkdir(parents=True)
    low, clear = load_data(tmp_path / f"{synthetic}.yaml"), load_data(tmp_path / f"{synthetic}-clear.yaml")
    assert (low.demo, low.root, low.names) == (clear.demo, clear.root, clear.names)
    assert tuple(low.names.values()) == SYNTHETIC[synthetic].names
    assert low.splits["reference"] == clear.splits["train"] and low.splits["val2"] == clear.splits["val"]
    assert low.conditions["test"] == clear.conditions["test2"] == bad
    assert SYNTHETIC["demo-fog"].names == NAMES


def test_reference_scenes_are_of_no_other_split():
    """A street of the reference images is never one that fog is learnt or tested on."""
    for synthetic in ("demo-fog", "demo-sea"):
        splits = SYNTHETIC[synthetic].splits
        assert list(splits) == ["train", "favoured", "val", "test"]  # each with seeds of its own
        assert list(splits["favoured"].folders) == ["favoured"]
        assert not any("favoured" in split.folders for name, split in splits.items() if name != "favoured")
