"""The synthetic data set of actions: what moves, in which light, and the films on the disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from data.config import load_data
from data.io.video import read_frames
from data.motion import foreground
from data.synthetic.actions.poses import MOTIONS, NAMES, Manner, draw_manner
from data.synthetic.actions.scene import FRAMES, film, save_film
from data.synthetic.generate import MARKER, make_synthetic
from data.synthetic.registry import SYNTHETIC
from data.video.index import load_split

MANNER = Manner(rate=1.0, phase=0.0, begin=0.5, reach=1.0, yaw=0.0, left=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_motion_moves_a_whole_body(name: str) -> None:
    manner = draw_manner(np.random.default_rng(0), name)
    moments = [MOTIONS[name](t / 10, manner) for t in range(20)]
    assert len({frozenset(m.joints) for m in moments}) == 1
    places = [np.array([*map(list, m.joints.values())]) for m in moments]
    turned = max(abs(m.yaw - moments[0].yaw) for m in moments)
    assert max(np.abs(p - places[0]).max() for p in places) + turned > 0.2
    assert all(p[:, 1].min() > -0.05 for p in places)  # nobody sinks into the floor


def test_motions_by_hand() -> None:
    """At rate 1: half a walked second is 0.375 m; after 0.25 s a jump is at its top, 0.42 m; a sitter's hips end 0.48 m lower."""
    assert MOTIONS["Walk"](1.7, MANNER).along - MOTIONS["Walk"](1.2, MANNER).along == pytest.approx(0.375)
    foot = MOTIONS["Jump"](0.25, MANNER).joints["left_foot"][1] - MOTIONS["Jump"](0.0, MANNER).joints["left_foot"][1]
    assert foot == pytest.approx(0.42)
    hips = [MOTIONS["Sit"](t, MANNER).joints["left_hip"][1] for t in (0.0, 3.0)]
    assert hips[0] - hips[1] == pytest.approx(0.48)
    assert MOTIONS["Turn"](1.0, MANNER).yaw == pytest.approx(2.2)


def test_a_crate_never_jumps_and_goes_one_way() -> None:
    """Body and crate move in turn: the place of the crate, along + crate, never falls."""
    moments = [MOTIONS["Push"](t / 50, MANNER) for t in range(120)]
    places = np.array([m.along + (m.crate or math.nan) for m in moments])
    assert np.diff(places).min() > -1e-9 and np.diff(places).max() < 0.05
    assert places[-1] - places[0] > 0.4


def test_day_and_night_show_the_same_motion() -> None:
    looks, label = film(9, (64, 64), {"day", "night"})
    assert label == 9 % len(NAMES) and looks["day"].shape == (FRAMES, 64, 64, 3) == looks["night"].shape
    assert looks["night"].mean() < 0.5 * looks["day"].mean()
    assert not np.array_equal(looks["night"][0], film(15, (64, 64), {"night"})[0]["night"][0])
    moving = foreground(looks["day"][::2])
    assert 0.005 < moving.mean() < 0.7
    assert np.array_equal(film(9, (64, 64), {"day"})[0]["day"], looks["day"])  # a look does not change another


def test_exposure_is_held_over_a_film() -> None:
    """The corner of the wall is lit evenly over time, noise apart."""
    night = film(11, (64, 64), {"night"})[0]["night"]  # 11 % 6: someone who waves
    corner = night[:, :6, :6].mean((1, 2, 3))
    assert corner.std() < 0.1 * corner.mean() + 0.5


def test_the_synthetic_is_drawn_whole(tmp_path: Path) -> None:
    root = tmp_path / "demo-arid"
    make_synthetic("demo-arid", root, counts={"train": 2, "val": 1, "test": 1}, workers=1, progress=False)
    assert json.loads((root / MARKER).read_text())["counts"] == {"train": 2, "val": 1, "test": 1}
    text = (Path(__file__).resolve().parents[4] / "data/demo-arid.yaml").read_text()
    (root / "data.yaml").write_text(text.replace("path: demo-arid", "path: ."))
    config = load_data(root / "data.yaml")
    assert tuple(config.names.values()) == SYNTHETIC["demo-arid"].names and config.task == "action"
    videos = load_split(config, "train", paired=True).videos
    assert [video.facts.frames for video in videos] == [FRAMES, FRAMES]
    day, dark = (
        np.stack(list(read_frames(path, range(FRAMES)))) for path in (videos[0].path, videos[0].paired or Path())
    )
    assert dark.mean() < 0.6 * day.mean() and not (root / "images").exists()


def test_films_are_kept_without_loss(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 24, 3), dtype=np.uint8)
    save_film(tmp_path / "a" / "film.avi", frames)
    assert np.array_equal(np.stack(list(read_frames(tmp_path / "a/film.avi", range(4))))[..., ::-1], frames)


def test_a_film_that_the_disk_cannot_take_is_no_film(tmp_path, full_disk):
    full_disk(4096)
    with pytest.raises(OSError, match="could not be written whole"):
        save_film(tmp_path / "film.avi", np.random.default_rng(0).integers(0, 256, (9, 48, 64, 3), np.uint8))
