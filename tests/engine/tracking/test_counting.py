"""Crossings and visits by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracking.counting import LineCounter, Seen, ZoneCounter

SIZE = 10.0  # so that a side is sure from 1 px on


def walk(counter: LineCounter, places: list[tuple[float, float]], number: int = 1, label: str = "car") -> list[str]:
    """The crossings of one object on its way, as in and out."""
    steps = [counter.update([Seen(number, place, SIZE, label)]) for place in places]
    return [event.action for events in steps for event in events]


def gate(*points: float) -> LineCounter:
    return LineCounter("gate", np.array(points or (0, 50, 100, 50), np.float32).reshape(2, 2))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(10, 40), (10, 60)], ["in"]),  # downwards: to the right of the way from left to right
        ([(10, 60), (10, 40)], ["out"]),
        ([(10, 40), (10, 60), (10, 40)], ["in", "out"]),
        ([(10, 40), (10, 49.5), (10, 50.5), (10, 49.5), (10, 50.5)], []),  # stands on it
        ([(10, 40), (10, 49.5), (10, 50.5), (10, 52), (10, 49.9), (10, 53)], ["in"]),  # trembles across it once
        ([(90, 40), (90, 50), (90, 60)], ["in"]),  # a frame exactly on it
        ([(150, 40), (150, 60)], []),  # beside its end
        ([(90, 40), (150, 45), (150, 60), (90, 60)], []),  # around its end
        ([(90, 45), (112, 55)], []),  # meets the line's extension at x = 101
        ([(90, 45), (108, 55)], ["in"]),  # at x = 99
        ([(10, 60)], []),  # came into view behind it
        ([(10, 40), (10, 400)], ["in"]),  # far away in one step, as after having been lost
    ],
)
def test_crossings_of_a_level_line(places, expected):
    assert walk(gate(), places) == expected


def test_the_direction_follows_the_order_of_the_points():
    assert walk(gate(100, 50, 0, 50), [(10, 40), (10, 60)]) == ["out"]
    assert walk(gate(50, 0, 50, 100), [(40, 50), (60, 50)]) == [
        "out"
    ]  # from top to bottom: right of it is left in the image


def test_counts_by_class_and_direction_are_snapshots():
    line = gate()
    walk(line, [(10, 40), (10, 60)], 1, "car")
    before = line.counts
    walk(line, [(20, 40), (20, 60), (20, 40)], 2, "bus")
    walk(line, [(30, 40), (30, 60)], 3, "car")
    assert before == {"car": {"in": 1, "out": 0}}
    assert line.counts == {"car": {"in": 2, "out": 0}, "bus": {"in": 1, "out": 1}}


def test_old_objects_are_forgotten(monkeypatch):
    monkeypatch.setattr("engine.tracking.counting.REMEMBERED", 2)
    line = gate()
    for number in range(9):
        walk(line, [(10, 40)], number)
    assert sorted(line._last) == [6, 7, 8]


def yard(buffer: int = 2) -> ZoneCounter:
    return ZoneCounter("yard", np.array([[0, 0], [100, 0], [100, 100], [0, 100]], np.float32), buffer)


def visit(zone: ZoneCounter, places: list[tuple[float, float] | None]) -> list[tuple[int, str, float]]:
    """(frame, action, seconds) of one object at a frame a second; None: not seen."""
    found = []
    for frame, place in enumerate(places):
        objects = [Seen(1, place, SIZE, "dog")] if place else []
        found += [(frame, event.action, event.seconds) for event in zone.update(objects, float(frame))]
    return found


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(150, 50), (50, 50), (50, 50), (150, 50)], [(1, "enter", 0), (3, "leave", 2)]),
        ([(50, 50), (100.5, 50), (99, 50), (100.9, 50)], [(0, "enter", 0)]),  # trembles at the border
        ([(50, 50), None, None, (50, 50)], [(0, "enter", 0)]),  # hidden for as long as the buffer
        ([(50, 50), (50, 50), None, None, None], [(0, "enter", 0), (4, "leave", 1)]),  # gone: until seen last
        ([(150, 50), (250, 50)], []),
    ],
)
def test_visits(places, expected):
    assert visit(yard(), places) == expected


def test_counts_and_mean_dwell_time():
    zone = yard()
    visit(zone, [(50, 50), (150, 50), (50, 50), (50, 50), (50, 50), (150, 50), (50, 50)])
    assert zone.counts == {"dog": {"inside": 1, "entered": 3, "left": 2, "dwell": 2.0}}  # (1 + 3) / 2
    assert zone.inside() == {1: 0.0}


def test_a_visit_keeps_the_class_that_it_began_with():
    zone = yard()
    zone.update([Seen(1, (50, 50), SIZE, "dog")], 0.0)
    zone.update([Seen(1, (150, 50), SIZE, "cat")], 1.0)
    assert zone.counts == {"dog": {"inside": 0, "entered": 1, "left": 1, "dwell": 1.0}}


def test_all_visits_can_be_ended():
    zone = yard()
    zone.update([Seen(number, (50, 50), SIZE, "dog") for number in (1, 2)], 0.0)
    assert [(event.action, event.id) for event in zone.clear()] == [("leave", 1), ("leave", 2)]
    assert zone.counts["dog"]["inside"] == 0
