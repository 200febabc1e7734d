"""Several sources, each with its tracker."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.options.detect import DetectOptions
from engine.tracking.tracking import Tracking, anchors, check_tracking
from utils.errors import UserError

pytest.importorskip("lap")
IMAGE = np.zeros((200, 400, 3), np.uint8)


def box(x: float, y: float = 20, conf: float = 0.9, label: int = 0) -> Tensor:
    """One detection (1, 6) of 40 x 60 px."""
    return torch.tensor([[x, y, x + 40, y + 60, conf, label]])


def tracking(together: bool = True, **options) -> Tracking:
    return Tracking(DetectOptions(track="bytetrack", **options), {0: "cat", 1: "dog"}, together=together)


def test_places_are_remembered_as_trails():
    track = tracking(trail=2)
    for frame in range(4):
        boxes, seen = track("a", 1, frame / 10, IMAGE, box(10.0 * frame))
    assert seen.ids.tolist() == [1]
    assert seen.trails == {1: ((40.0, 80.0), (50.0, 80.0))}
    assert tracking(trail=0)("a", 1, 0.0, IMAGE, box(0))[1].trails == {}


def test_sources_are_tracked_apart():
    track = tracking()
    for frame in range(3):
        _, one = track("a", 1, frame, IMAGE, box(10))
        _, other = track("b", 2, frame, IMAGE, box(10))
    assert (one.ids.tolist(), other.ids.tolist()) == ([1], [2])


def test_a_source_that_comes_after_another_is_new():
    track = tracking(together=False)
    ids = [track(name, 1, 0.0, IMAGE, box(10))[1].ids.tolist() for name in "aba"]
    assert ids == [[1], [2], [3]]


@pytest.mark.parametrize(("live", "gap", "expected"), [(True, 4.9, 1), (True, 5.1, 2), (False, 60.0, 1)])
def test_a_live_source_that_was_silent_begins_anew(live, gap, expected):
    track = tracking(track_reset=5.0)
    track("a", 1, 0.0, IMAGE, box(10), live=live)
    _, seen = track("a", 1, gap, IMAGE, box(10), live=live)
    assert seen.ids.tolist() == [expected]


def test_weak_detections_are_dropped_unless_they_continue_a_track():
    track = tracking(conf_thres=0.5)
    for frame in range(2):
        track("a", 1, frame, IMAGE, box(10))
    boxes, seen = track("a", 1, 2, IMAGE, torch.cat([box(10, conf=0.3), box(200, conf=0.3), box(300, conf=0.6)]))
    assert boxes[:, 0].tolist() == [10, 300]
    assert seen.ids.tolist() == [1, 0]


def test_trails_of_lost_objects_do_not_grow(monkeypatch):
    monkeypatch.setattr("engine.tracking.tracking.MOST_LOST", 1)
    track = tracking(track_buffer=1)
    for place in range(6):
        for _ in range(2):
            track("a", 1, 0.0, IMAGE, box(60 * place))
    assert len(track._sources["a"].trails) == 2


def test_nothing_detected():
    boxes, seen = tracking()("a", 1, 0.0, IMAGE, torch.zeros(0, 6))
    assert boxes.shape == (0, 6)
    assert seen.ids.shape == (0,)
    assert seen.trails == {}


@pytest.mark.parametrize(("anchor", "expected"), [("bottom", [2, 8]), ("center", [2, 4])])
def test_where_an_object_is(anchor, expected):
    assert anchors(np.array([[0, 0, 4, 8, 1, 1]]), anchor).tolist() == [expected]


def test_lines_and_zones_count_by_the_class_that_was_seen_most():
    track = tracking(line=("gate=0.5,0,0.5,1",), zone=("left=0,0,0.5,0,0.5,1,0,1",))
    for frame in range(11):
        boxes = box(20.0 * frame, label=1 if frame == 9 else 0)
        _, seen = track("a", 1, frame / 2, IMAGE, boxes)
        if seen.events and frame:
            crossed = frame, seen.events
    assert seen.lines == {"gate": {"cat": {"in": 0, "out": 1}}}  # from top to bottom: `in` is to the left
    assert seen.zones == {"left": {"cat": {"inside": 0, "entered": 1, "left": 1, "dwell": 5.0}}}
    frame, events = crossed
    assert frame == 10 and [(event.kind, event.action, event.id, event.label) for event in events] == [
        ("line", "out", 1, "cat"),
        ("zone", "leave", 1, "cat"),
    ]
    assert [(region.kind, region.points[1]) for region in seen.regions] == [("line", (200, 200)), ("zone", (200, 0))]


def test_regions_of_one_source():
    track = tracking(line=("gate@2=0,0.5,1,0.5",))
    assert track("a", 1, 0.0, IMAGE, box(0))[1].lines == {}
    assert track("b", 2, 0.0, IMAGE, box(0))[1].lines == {"gate": {}}


@pytest.mark.parametrize(
    ("line", "ends", "warned"),
    [("gate=0,50,300,50", 1, (2, 3)), ("gate@2=0,50,300,50", 2, ()), ("gate@1=0,50,300,50", 1, ())],
)
@pytest.mark.parametrize("orders", [(1, 2, 3), (3, 2, 1), (2, 1, 3)])
def test_a_region_outside_the_image_ends_the_run_in_its_first_source(line, ends, warned, orders, capsys):
    """Whichever source sends its first image first."""
    track = tracking(line=(line,))
    for order in orders:
        if order == ends:
            with pytest.raises(UserError, match="the point 300,50 lies outside the image of 100 x 100 px"):
                track(f"{order}", order, 0.0, IMAGE[:100, :100], box(0))
        else:
            assert track(f"{order}", order, 0.0, IMAGE[:100, :100], box(0))[1].lines == {}
    said = capsys.readouterr().err
    assert [order for order in (1, 2, 3) if f"warning: source {order}: --line gate: the point 300,50" in said] == [
        *warned
    ]


def test_a_region_that_fits_at_first_never_ends_the_run(capsys):
    track = tracking(line=("gate=0,50,300,50",))
    for width in (400, 100, 400, 100):
        track("a", 1, 0.0, IMAGE[:, :width], box(0))
    assert capsys.readouterr().err.count("warning: source 1: --line gate: the point 300,50") == 1


def test_visits_end_where_a_live_source_begins_anew():
    track = tracking(zone=("all=0,0,1,0,1,1,0,1",))
    track("a", 1, 0.0, IMAGE, box(0), live=True)
    _, seen = track("a", 1, 60.0, IMAGE, box(0), live=True)
    assert [(event.action, event.id) for event in seen.events] == [("leave", 1), ("enter", 2)]
    assert seen.inside == {"all": {2: 0.0}}


def test_regions_follow_a_change_of_image_size_and_counts_stay(capsys):
    track = tracking(line=("gate=0,0.5,1,0.5", "low=0,150,400,150"), zone=("right=0.5,0,1,0,1,1,0.5,1",))
    for frame, y in enumerate((20, 40, 60, 80)):
        _, seen = track("a", 1, frame / 10, IMAGE, box(300, y), live=True)
    assert seen.lines == {"gate": {"cat": {"in": 1, "out": 0}}, "low": {}} and seen.inside == {"right": {1: 0.3}}
    small = IMAGE[:100, :200]
    _, seen = track("a", 1, 0.4, small, box(110, 10), live=True)
    assert [(event.name, event.action, event.id) for event in seen.events] == [
        ("right", "leave", 1),
        ("right", "enter", 2),
    ]
    assert [region.points[0] for region in seen.regions] == [(0, 50), (100, 0)]
    assert seen.lines["gate"]["cat"] == {"in": 1, "out": 0} and seen.trails == {2: ((130.0, 70.0),)}
    assert "warning: source 1: --line low: the point 0,150" in capsys.readouterr().err


def test_a_region_that_no_longer_fits_does_not_count():
    track = tracking(zone=("yard=150,100,390,100,390,190,150,190",))
    _, seen = track("a", 1, 0.0, IMAGE, box(170, 90))
    assert seen.zones["yard"]["cat"]["entered"] == 1 and seen.inside == {"yard": {1: 0.0}}
    _, seen = track("a", 1, 0.1, IMAGE[:, :320], box(170, 90))
    assert [(event.action, event.id) for event in seen.events] == [("leave", 1)]
    assert seen.zones == {"yard": {"cat": {"inside": 0, "entered": 1, "left": 1, "dwell": 0.0}}}
    assert seen.inside == {"yard": {}} and seen.regions == ()
    _, seen = track("a", 1, 0.2, IMAGE, box(170, 90))
    assert seen.zones["yard"]["cat"]["entered"] == 2 and len(seen.regions) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"save_mot": True}, "--save-mot: writes identities"),
        ({"line": ("a=0,0,1,1",)}, "--line a: counts objects with identities"),
        ({"track": "bytetrack", "zone": ("a=0,0,1,1",)}, "three points"),
    ],
)
def test_what_is_refused_before_anything_is_loaded(options, words):
    with pytest.raises(UserError, match=words):
        check_tracking(DetectOptions(**options))
