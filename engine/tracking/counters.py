"""The lines and zones of one source: where they are in its images, and what they have counted."""

from __future__ import annotations

from collections.abc import Sequence

from engine.tracking.counting import LineCounter, Seen, ZoneCounter
from engine.tracking.regions import Region
from engine.tracking.result import Event, LineCount, PlacedRegion, ZoneCount
from utils.errors import UserError
from utils.log import LOGGER


class RegionCounters:
    """Counters of those regions that belong to source number `order` in the plan; call `place` before `update`.

    A region does not count while it does not fit into the images. What it has counted before stays. buffer: frames after
    which an object that is not seen has left a zone.
    """

    def __init__(self, regions: Sequence[Region], order: int, buffer: int) -> None:
        self.regions = tuple(region for region in regions if region.source in (0, order))
        self.order, self.buffer = order, buffer
        self._lines: dict[Region, LineCounter] = {}  # those that have had a place so far
        self._zones: dict[Region, ZoneCounter] = {}
        self._placed: set[Region] | None = None  # those that have one now; None: before the first image
        self._warned: set[Region] = set()

    def place(self, width: int, height: int) -> None:
        """Images have this size, px, from now on.

        Raises UserError for a region that does not fit into the first image of the first source that it belongs to, in
        the plan's order, whichever source sends its first image first. Elsewhere that is a warning, once a region.
        """
        placed = set()
        for region in self.regions:
            try:
                self._move(region, width, height)
                placed.add(region)
            except UserError as problem:
                if self._placed is None and self.order == (region.source or 1):
                    raise
                self._warn(region, problem)
        self._placed = placed

    def update(self, objects: Sequence[Seen], seconds: float) -> list[Event]:
        """What happens in a frame, `seconds` after the first one."""
        placed = self._placed or set()
        events = [event for region, line in self._lines.items() if region in placed for event in line.update(objects)]
        for region, zone in self._zones.items():
            if region in placed:
                events += zone.update(objects, seconds)
        return events

    def clear(self) -> list[Event]:
        """End all visits."""
        return [event for zone in self._zones.values() for event in zone.clear()]

    def lines(self) -> dict[str, dict[str, LineCount]]:
        """Name of a line -> class name -> crossings."""
        return {line.name: line.counts for line in self._lines.values()}

    def zones(self) -> dict[str, dict[str, ZoneCount]]:
        """Name of a zone -> class name -> counts."""
        return {zone.name: zone.counts for zone in self._zones.values()}

    def inside(self) -> dict[str, dict[int, float]]:
        """Name of a zone -> id -> seconds since that object entered."""
        return {zone.name: zone.inside() for zone in self._zones.values()}

    def placed(self) -> tuple[PlacedRegion, ...]:
        """The regions that count now, where they are."""
        counters: dict[Region, LineCounter | ZoneCounter] = {**self._lines, **self._zones}
        return tuple(
            PlacedRegion(region.kind, region.name, counter.points)
            for region, counter in counters.items()
            if region in (self._placed or ())
        )

    def _move(self, region: Region, width: int, height: int) -> None:
        """Move the counter of a region to its place, or make it. Raises UserError where the region does not fit."""
        points = region.pixels(width, height)
        if (counter := self._lines.get(region) or self._zones.get(region)) is not None:
            counter.place(points)
        elif region.kind == "line":
            self._lines[region] = LineCounter(region.name, points)
        else:
            self._zones[region] = ZoneCounter(region.name, points, self.buffer)

    def _warn(self, region: Region, problem: UserError) -> None:
        """Say that a region is not counted, once."""
        if region not in self._warned:
            self._warned.add(region)
            LOGGER.warning(f"warning: source {self.order}: {problem} It is not counted in images that it does not fit.")
