"""Lines and zones of one source, in images of one size and another."""

from __future__ import annotations

import pytest

from engine.options.detect import DetectOptions
from engine.tracking.counters import RegionCounters
from engine.tracking.counting import Seen
from engine.tracking.regions import read_regions

LARGE, SMALL = (200, 200), (100, 100)
OPTIONS = {"line": "line=0,150,200,150", "zone": "zone=0,150,200,150,200,200,0,200"}


def counters(kind: str, order: int = 2) -> RegionCounters:
    """One line or zone that fits LARGE images only. Nothing ends a run in source 2."""
    options = DetectOptions(track="bytetrack", **{kind: (OPTIONS[kind],)})
    return RegionCounters(read_regions(options), order, 30)


def events(counted: RegionCounters, size: tuple[int, int], *ys: float) -> list[str]:
    """What object 1 does in images of a size, at x = 50 px."""
    counted.place(*size)
    steps = [counted.update([Seen(1, (50, y), 10, "cat")], 0.0) for y in ys]
    return [event.action for step in steps for event in step]


@pytest.mark.parametrize(("kind", "expected"), [("line", ["in"]), ("zone", ["enter"])])
def test_a_region_counts_from_the_first_image_that_it_fits(kind, expected):
    counted = counters(kind)
    assert events(counted, SMALL, 90, 160) == [] and counted.lines() == counted.zones() == {}
    assert events(counted, LARGE, 90, 160) == expected
    assert {**counted.lines(), **counted.zones()}[kind]["cat"]


@pytest.mark.parametrize(("kind", "expected"), [("line", ["in"]), ("zone", ["enter"])])
def test_a_region_counts_nothing_in_images_that_it_does_not_fit(kind, expected):
    counted = counters(kind)
    assert events(counted, LARGE, 90, 160) == expected
    counts = counted.lines(), counted.zones()
    counted.clear()
    assert events(counted, SMALL, 90, 160, 90, 160) == []
    assert counted.placed() == () and counted.lines() == counts[0] and counted.zones().keys() == counts[1].keys()
    assert events(counted, LARGE, 90, 160) == expected and len(counted.placed()) == 1


def test_a_jump_while_a_line_does_not_count_is_no_crossing():
    counted = counters("line")
    assert [events(counted, size, y) for size, y in ((LARGE, 90), (SMALL, 90), (LARGE, 160))] == [[], [], []]


def test_regions_of_other_sources_are_left_out():
    regions = read_regions(DetectOptions(track="bytetrack", line=("a=0,0,1,1", "b@2=0,0,1,1", "c@3=0,0,1,1")))
    assert [region.name for region in RegionCounters(regions, 2, 30).regions] == ["a", "b"]
