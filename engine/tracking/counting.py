"""Crossings of lines and visits of zones, by the places of tracked objects. See docs/tracking.md for the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.tracking.result import Event, LineCount, ZoneCount

MARGIN = 0.1  # of a box's shorter side: how far an object must be from a line or border for its side to be sure
REMEMBERED = 2000  # objects whose side is remembered, per line


class Seen(NamedTuple):
    """A tracked object in a frame: identity, place (x, y) px, shorter side of its box px, class name."""

    id: int
    place: tuple[float, float]
    size: float
    label: str


class LineCounter:
    """Counts the objects that cross a line from points[0] to points[1], (2, 2) px.

    An object has crossed when it is clearly (MARGIN) on the other side and its straight way there leads through the line,
    so that one that stands on it counts once. `in`: from the left to the right of the line's direction, as the image shows
    it (downwards for a line from left to right).
    """

    def __init__(self, name: str, points: NDArray[np.float32]) -> None:
        self.name = name
        self.counts: dict[str, LineCount] = {}
        self.place(points)

    def place(self, points: NDArray[np.float32]) -> None:
        """Move it to points (2, 2) px; where objects were before no longer matters."""
        self.points = to_tuples(points)
        (self.x, self.y), end = self.points
        self.dx, self.dy = end[0] - self.x, end[1] - self.y
        self.length = float(np.hypot(self.dx, self.dy))
        self._last: dict[int, tuple[float, float]] = {}  # id -> the last place where its side was sure

    def update(self, objects: Sequence[Seen]) -> list[Event]:
        """The crossings of a frame."""
        events = []
        for one in objects:
            distance = self.distance(one.place)
            if abs(distance) <= MARGIN * one.size:
                continue
            before = self._last.pop(one.id, one.place)
            self._last[one.id] = one.place  # the latest last
            if self.distance(before) * distance < 0 and self._passed(before, one.place):
                events.append(self._count(one, "in" if distance > 0 else "out"))
        while len(self._last) > len(objects) + REMEMBERED:
            self._last.pop(next(iter(self._last)))
        return events

    def distance(self, place: tuple[float, float]) -> float:
        """Distance from the line that extends this one, px: positive on its right."""
        return (self.dx * (place[1] - self.y) - self.dy * (place[0] - self.x)) / self.length

    def _passed(self, before: tuple[float, float], after: tuple[float, float]) -> bool:
        """Whether the straight way between two places, on either side, leads through the line between its ends."""
        part = self.distance(before) / (self.distance(before) - self.distance(after))
        x, y = (a + part * (b - a) for a, b in zip(before, after, strict=True))
        along = ((x - self.x) * self.dx + (y - self.y) * self.dy) / self.length**2
        return 0 <= along <= 1

    def _count(self, one: Seen, action: str) -> Event:
        """Count a crossing. The dictionary is a new one, since results hold the old."""
        old = self.counts.get(one.label, LineCount({"in": 0, "out": 0}))
        new = LineCount({"in": old["in"] + (action == "in"), "out": old["out"] + (action == "out")})
        self.counts = {**self.counts, one.label: new}
        return Event("line", self.name, action, one.id, one.label)


class _Visit:
    """An object in a zone: when it came and was last seen, seconds and frames; its class is the one it came with."""

    def __init__(self, label: str, seconds: float) -> None:
        self.label, self.start, self.last, self.frame = label, seconds, seconds, 0


class ZoneCounter:
    """Counts the objects in a polygon (k, 2) px, and how long each stays.

    An object enters when its place is inside, and leaves when that is clearly (MARGIN) outside, or when it has not been
    seen for more than `buffer` frames: then its visit ended where it was seen last.
    """

    def __init__(self, name: str, points: NDArray[np.float32], buffer: int) -> None:
        self.name, self.buffer = name, buffer
        self.place(points)
        self.counts: dict[str, ZoneCount] = {}
        self._visits: dict[int, _Visit] = {}
        self._frame = 0

    def place(self, points: NDArray[np.float32]) -> None:
        """Move it to points (k, 2) px."""
        self.points = to_tuples(points)
        self.polygon = points.reshape(-1, 1, 2)

    def update(self, objects: Sequence[Seen], seconds: float) -> list[Event]:
        """Who enters and leaves in a frame, `seconds` after the first one."""
        self._frame += 1
        events = []
        for one in objects:
            distance = cv2.pointPolygonTest(self.polygon, one.place, True)
            if one.id not in self._visits and distance >= 0:
                self._visits[one.id] = _Visit(one.label, seconds)
                events.append(Event("zone", self.name, "enter", one.id, one.label))
                self._add(one.label, inside=1, entered=1)
            if (visit := self._visits.get(one.id)) is not None:
                visit.last, visit.frame = seconds, self._frame
                if distance < -MARGIN * one.size:
                    events.append(self._leave(one.id))
        lost = [number for number, visit in self._visits.items() if self._frame - visit.frame > self.buffer]
        return events + [self._leave(number) for number in lost]

    def inside(self) -> dict[int, float]:
        """Seconds since each object that is inside came."""
        return {number: round(visit.last - visit.start, 3) for number, visit in self._visits.items()}

    def clear(self) -> list[Event]:
        """End all visits."""
        return [self._leave(number) for number in list(self._visits)]

    def _leave(self, number: int) -> Event:
        """End a visit."""
        visit = self._visits.pop(number)
        stayed = round(visit.last - visit.start, 3)
        self._add(visit.label, inside=-1, left=1, stayed=stayed)
        return Event("zone", self.name, "leave", number, visit.label, stayed)

    def _add(self, label: str, inside: int = 0, entered: int = 0, left: int = 0, stayed: float = 0.0) -> None:
        """Change the counts of a class. The dictionary is a new one, since results hold the old."""
        old = self.counts.get(label, ZoneCount(inside=0, entered=0, left=0, dwell=0.0))
        visits = old["left"] + left
        dwell = (old["dwell"] * old["left"] + stayed) / visits if visits else 0.0
        new = ZoneCount(inside=old["inside"] + inside, entered=old["entered"] + entered, left=visits, dwell=dwell)
        self.counts = {**self.counts, label: new}


def to_tuples(points: NDArray[np.float32]) -> tuple[tuple[float, float], ...]:
    """(k, 2) as pairs of numbers."""
    return tuple((x, y) for x, y in points.tolist())
