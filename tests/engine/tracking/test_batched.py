"""The Kalman correction of all tracks at once gives what Ultralytics' own gives one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("lap")

from ultralytics.engine.results import Boxes
from ultralytics.trackers.track import TRACKER_MAP
from ultralytics.trackers.utils.kalman_filter import KalmanFilterXYAH, KalmanFilterXYWH

from engine.options.detect import TRACKERS
from engine.tracking.batched import Batched, batched, correct
from engine.tracking.trackers import create_tracker

IMAGE = np.zeros((480, 640, 3), np.uint8)


@pytest.mark.parametrize("kind", [KalmanFilterXYAH, KalmanFilterXYWH])
def test_a_correction_equals_theirs(kind: type) -> None:
    kalman, random = kind(), np.random.default_rng(0)
    states = [kalman.initiate(random.uniform(20, 90, 4)) for _ in range(7)]
    for _ in range(3):
        means, covariances = kalman.multi_predict(*map(np.array, zip(*states, strict=True)))
        measured = means[:, :4] + random.normal(0, 2, (7, 4))
        expected = [kalman.update(*state) for state in zip(means, covariances, measured, strict=True)]
        found = correct(kalman, means, covariances, measured)
        for ours, theirs in zip(zip(*found, strict=True), expected, strict=True):
            np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-9)
            np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=1e-9)
        states = expected


def test_one_track_by_hand() -> None:
    """Position 10 with variance 3, measured at 14 with variance (0.05 * 20)^2 = 1: gain 3 / 4, so 13 with variance 3 / 4."""
    mean = np.array([[10.0, 0, 20, 20, 0, 0, 0, 0]])
    moved, left = correct(KalmanFilterXYWH(), mean, 3 * np.eye(8)[None], np.array([[14.0, 0, 20, 20]]))
    assert moved[0].tolist() == pytest.approx([13, 0, 20, 20, 0, 0, 0, 0])
    assert np.diag(left[0]).tolist() == pytest.approx([0.75] * 4 + [3.0] * 4)


def film(frames: int) -> list[np.ndarray]:
    """Boxes (n, 6) of ten objects that wander, are missed for a frame or for some, and are weak at times."""
    random = np.random.default_rng(3)
    places, ways = random.uniform(100, 380, (10, 2)), random.normal(0, 4, (10, 2))
    shown = []
    for number in range(frames):
        places = places + ways
        corners = np.concatenate([places, places + [40, 60]], 1) + random.normal(0, 1, (10, 4))
        seen = (random.random(10) > 0.1) & ~((np.arange(10) < 3) & (number % 20 > 14))
        scores = np.where(random.random(10) > 0.2, 0.8, 0.15)[:, None]
        shown.append(np.concatenate([corners, scores, np.zeros((10, 1))], 1)[seen].astype(np.float32))
    return shown


@pytest.mark.parametrize("name", TRACKERS[1:])
def test_a_tracker_gives_the_same_identities(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = create_tracker(name, 30, 0.25)
    monkeypatch.setattr("engine.tracking.batched.batched", lambda kind: kind)
    theirs = create_tracker(name, 30, 0.25)
    assert type(theirs) is TRACKER_MAP[name]
    assert isinstance(ours, Batched) is (name != "tracktrack")
    for boxes in film(60):
        found, expected = (one.update(Boxes(boxes, IMAGE.shape[:2]), IMAGE) for one in (ours, theirs))
        np.testing.assert_array_equal(found[:, 4:], expected[:, 4:])
        np.testing.assert_allclose(found[:, :4], expected[:, :4], rtol=0, atol=1e-3)
        _same_states(ours, theirs)


def _same_states(ours: Any, theirs: Any) -> None:
    for one, other in zip(ours.tracked_stracks, theirs.tracked_stracks, strict=True):
        np.testing.assert_allclose(one.mean, other.mean, rtol=0, atol=1e-9)
        np.testing.assert_allclose(one.covariance, other.covariance, rtol=0, atol=1e-9)
        assert type(one.kalman_filter) is type(other.kalman_filter)


def test_the_class_is_made_once() -> None:
    kind = TRACKER_MAP["bytetrack"]
    assert batched(kind) is batched(kind)
    assert batched(kind).__name__ == kind.__name__
