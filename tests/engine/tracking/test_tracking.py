"""Several sources, each with its tracker."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.options.detect import DetectOptions
from engine.tracking.tracking import Tracking, centres

pytest.importorskip("lap")
IMAGE = np.zeros((200, 400, 3), np.uint8)


def box(x: float, y: float = 20, conf: float = 0.9, label: int = 0) -> Tensor:
    """One detection (1, 6) of 40 x 60 px."""
    return torch.tensor([[x, y, x + 40, y + 60, conf, label]])


def tracking(together: bool = True, **options) -> Tracking:
    return Tracking(DetectOptions(track="bytetrack", **options), together=together)


def test_places_are_remembered_as_trails():
    track = tracking(trail=2)
    for frame in range(4):
        boxes, seen = track("a", frame / 10, IMAGE, box(10.0 * frame))
    assert seen.ids.tolist() == [1]
    assert seen.trails == {1: ((40.0, 50.0), (50.0, 50.0))}
    assert tracking(trail=0)("a", 0.0, IMAGE, box(0))[1].trails == {}


def test_sources_are_tracked_apart():
    track = tracking()
    for frame in range(3):
        _, one = track("a", frame, IMAGE, box(10))
        _, other = track("b", frame, IMAGE, box(10))
    assert (one.ids.tolist(), other.ids.tolist()) == ([1], [2])


def test_a_source_that_comes_after_another_is_new():
    track = tracking(together=False)
    ids = [track(name, 0.0, IMAGE, box(10))[1].ids.tolist() for name in "aba"]
    assert ids == [[1], [2], [3]]


@pytest.mark.parametrize(("live", "gap", "expected"), [(True, 4.9, 1), (True, 5.1, 2), (False, 60.0, 1)])
def test_a_live_source_that_was_silent_begins_anew(live, gap, expected):
    track = tracking(track_reset=5.0)
    track("a", 0.0, IMAGE, box(10), live=live)
    _, seen = track("a", gap, IMAGE, box(10), live=live)
    assert seen.ids.tolist() == [expected]


def test_weak_detections_are_dropped_unless_they_continue_a_track():
    track = tracking(conf_thres=0.5)
    for frame in range(2):
        track("a", frame, IMAGE, box(10))
    boxes, seen = track("a", 2, IMAGE, torch.cat([box(10, conf=0.3), box(200, conf=0.3), box(300, conf=0.6)]))
    assert boxes[:, 0].tolist() == [10, 300]
    assert seen.ids.tolist() == [1, 0]


def test_trails_of_lost_objects_do_not_grow(monkeypatch):
    monkeypatch.setattr("engine.tracking.tracking.MOST_LOST", 1)
    track = tracking(track_buffer=1)
    for place in range(6):
        for _ in range(2):
            track("a", 0.0, IMAGE, box(60 * place))
    assert len(track._sources["a"].trails) == 2


def test_nothing_detected():
    boxes, seen = tracking()("a", 0.0, IMAGE, torch.zeros(0, 6))
    assert boxes.shape == (0, 6)
    assert seen.ids.shape == (0,)
    assert seen.trails == {}


def test_centres():
    assert centres(np.array([[0, 0, 4, 8, 1, 1]])).tolist() == [[2, 4]]
