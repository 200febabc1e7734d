"""Ultralytics' trackers behind `Identities`."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

import engine.tracking.trackers
from engine.options.detect import TRACKERS, DetectOptions
from engine.tracking.trackers import Identities, check_tracker, create_tracker, identities, weakest
from utils.errors import UserError

IMAGE = np.zeros((200, 400, 3), np.uint8)


def moving(frame: int, conf: float = 0.9) -> np.ndarray:
    """Two boxes (2, 6): one goes right by 5 px a frame, one goes left below it; their order alternates."""
    right, left = (
        [20 + 5 * frame, 20, 60 + 5 * frame, 80, conf, 0],
        [340 - 5 * frame, 120, 380 - 5 * frame, 180, 0.8, 1],
    )
    return np.array([right, left] if frame % 2 else [left, right], np.float32)


def right_and_left(boxes: np.ndarray, ids: np.ndarray) -> tuple[int, int]:
    """The identities of the two boxes of `moving`, whatever their order."""
    order = boxes[:, 5].argsort()
    return tuple(ids[order].tolist())


@pytest.mark.parametrize("name", TRACKERS[1:])
def test_objects_keep_their_identities(name):
    pytest.importorskip("lap")
    track = Identities(lambda: create_tracker(name, 30, 0.25), count(1))
    seen = [right_and_left(moving(frame), track(moving(frame), IMAGE)) for frame in range(12)]
    assert len(set(seen[4:])) == 1
    assert sorted(seen[-1]) == [1, 2]


def test_no_tracker_loads_an_appearance_model():
    pytest.importorskip("lap")
    for name in TRACKERS[1:]:
        tracker = create_tracker(name, 30, 0.25)
        assert not getattr(tracker.args, "with_reid", False)
        assert getattr(tracker, "encoder", None) is None


def test_two_sources_share_no_number_and_a_reset_gives_new_ones():
    pytest.importorskip("lap")
    create = identities(DetectOptions(track="bytetrack"))
    first, second = create(), create()
    ids = [set(track(moving(frame), IMAGE).tolist()) for frame in range(3) for track in (first, second)]
    assert ids[:2] == [{1, 2}, {3, 4}]
    assert ids[2:] == ids[:2] * 2
    first.reset()
    assert set(first(moving(4), IMAGE).tolist()) == {5, 6}


@pytest.mark.parametrize(("gap", "kept"), [(4, True), (12, False)])
def test_a_lost_object_is_found_within_the_buffer(gap, kept):
    pytest.importorskip("lap")
    track = Identities(lambda: create_tracker("bytetrack", 8, 0.25), count(1))
    still = moving(0)
    before = [track(still, IMAGE) for _ in range(3)][-1]
    for _ in range(gap):
        track(still[:0], IMAGE)
    after = [track(still, IMAGE) for _ in range(2)][-1]
    assert (before.tolist() == after.tolist()) is kept


def test_a_weak_detection_continues_a_track_and_begins_none():
    pytest.importorskip("lap")
    track = Identities(lambda: create_tracker("bytetrack", 30, 0.5), count(1))
    for frame in range(3):
        strong = track(moving(frame), IMAGE)
    weak = track(moving(3, conf=0.3), IMAGE)
    assert right_and_left(moving(3), weak) == right_and_left(moving(2), strong)
    other = np.array([[200, 90, 240, 110, 0.3, 0]], np.float32)
    assert [track(other, IMAGE).tolist() for _ in range(3)] == [[0]] * 3


def test_numbers_of_long_gone_objects_are_forgotten(monkeypatch):
    pytest.importorskip("lap")
    monkeypatch.setattr(engine.tracking.trackers, "KEPT", 2)
    track = Identities(lambda: create_tracker("bytetrack", 1, 0.25), count(1))
    for place in range(8):
        box = np.array([[40 * place, 10, 40 * place + 20, 50, 0.9, 0]], np.float32)
        for _ in range(2):
            track(box, IMAGE)
    assert len(track._known) == 2


def test_without_lap_one_message(monkeypatch):
    monkeypatch.setattr(engine.tracking.trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--track botsort: needs the package lap.*pip install lap"):
        check_tracker("botsort")


@pytest.mark.parametrize(
    ("track", "conf", "expected"), [("none", 0.25, 0.25), ("bytetrack", 0.25, 0.1), ("bytetrack", 0.05, 0.05)]
)
def test_weaker_detections_are_needed_for_tracking(track, conf, expected):
    assert weakest(DetectOptions(track=track, conf_thres=conf)) == expected
