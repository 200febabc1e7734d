"""The trackers of a run, one per source: from a frame's detections to identities, trails and counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.options.detect import DetectOptions
from engine.tracking.counting import LineCounter, Seen, ZoneCounter
from engine.tracking.regions import Region, read_regions
from engine.tracking.result import Event, PlacedRegion, TrackingResult
from engine.tracking.trackers import Identities, check_tracker, identities
from utils.errors import UserError
from utils.log import LOGGER

MOST_LOST = 500  # objects that are not seen of which something is remembered, per source
ANCHORS = {"bottom": 1.0, "center": 0.5}  # fraction of a box's height at which an object is
Value = TypeVar("Value")


def check_tracking(options: DetectOptions, sources: int | None = None) -> None:
    """Raise UserError for what cannot be tracked or counted, before anything is loaded. sources: how many there are."""
    if options.track != "none":
        check_tracker(options.track)
    elif options.save_mot:
        raise UserError("--save-mot: writes identities. Add --track bytetrack, or another tracker.")
    read_regions(options, sources)


class Tracking:
    """Gives the detections of several sources identities, one tracker per source, and counts them at lines and in zones.

    names: of the classes. together: frames of several sources come in turn; else a source has ended when another begins.
    Raises UserError without `lap`, and for a line or zone that cannot be.
    """

    def __init__(self, options: DetectOptions, names: Mapping[int, str], *, together: bool = False) -> None:
        self.options, self.names, self.together = options, names, together
        self.regions = read_regions(options)
        self._create = identities(options)
        self._sources: dict[str, _TrackedSource] = {}
        self._begun = False

    def __call__(
        self, source: str, order: int, seconds: float, image: NDArray[np.uint8], boxes: Tensor, *, live: bool = False
    ) -> tuple[Tensor, TrackingResult]:
        """boxes (n, 6) of the next frame (H, W, 3) of a source, number `order` in the plan, `seconds` after its first one.

        Returns those above --conf-thres and weaker ones that continue a track, and what is known of them. A live source
        that was silent for more than --track-reset seconds starts anew, and so does one whose images change their size.
        """
        if source not in self._sources:
            if not self.together:
                self._sources.clear()
            self._sources[source] = self._begin(order, image)
        tracked = self._sources[source]
        if tracked.shape != image.shape[:2]:
            tracked.resize(image.shape[:2], self._place(order, image))
        return tracked(seconds, image, boxes, live)

    def _begin(self, order: int, image: NDArray[np.uint8]) -> _TrackedSource:
        """What begins with a source's first frame."""
        placed = self._place(order, image)
        lines = [LineCounter(region.name, points) for region, points in placed.items() if region.kind == "line"]
        zones = [
            ZoneCounter(region.name, points, self.options.track_buffer)
            for region, points in placed.items()
            if region.kind == "zone"
        ]
        return _TrackedSource(self.options, self.names, self._create, lines, zones, image.shape[:2])

    def _place(self, order: int, image: NDArray[np.uint8]) -> dict[Region, NDArray[np.float32]]:
        """The regions of source number `order` in its image, px. One outside of it ends the run if nothing has run yet."""
        placed = {}
        for region in (region for region in self.regions if region.source in (0, order)):
            try:
                placed[region] = region.pixels(image.shape[1], image.shape[0])
            except UserError as problem:
                if not self._begun:
                    raise
                LOGGER.warning(f"warning: source {order}: {problem} It is not counted there.")
        self._begun = True
        return placed


class _TrackedSource:
    """What is remembered of one source."""

    def __init__(
        self,
        options: DetectOptions,
        names: Mapping[int, str],
        create: Callable[[], Identities],
        lines: Sequence[LineCounter],
        zones: Sequence[ZoneCounter],
        shape: tuple[int, ...],
    ) -> None:
        self.options, self.names, self.lines, self.zones, self.shape = options, names, lines, zones, shape
        self.identify = create()
        self._anew = False
        self.trails: dict[int, deque[tuple[float, float]]] = {}
        self.votes: dict[int, dict[int, float]] = {}  # id -> class -> sum of confidences
        self.seconds = 0.0

    @property
    def regions(self) -> tuple[PlacedRegion, ...]:
        """Its lines and zones where they are now."""
        lines = tuple(PlacedRegion("line", line.name, line.points) for line in self.lines)
        return lines + tuple(PlacedRegion("zone", zone.name, zone.points) for zone in self.zones)

    def resize(self, shape: tuple[int, ...], placed: Mapping[Region, NDArray[np.float32]]) -> None:
        """Its images are of another shape (height, width) from now on; counts stay. placed: where its regions are there."""
        self.shape, self._anew = shape, True
        counters: dict[tuple[str, str], LineCounter | ZoneCounter] = {("line", line.name): line for line in self.lines}
        counters |= {("zone", zone.name): zone for zone in self.zones}
        for region, points in placed.items():
            if (counter := counters.get((region.kind, region.name))) is not None:
                counter.place(points)

    def __call__(
        self, seconds: float, image: NDArray[np.uint8], boxes: Tensor, live: bool
    ) -> tuple[Tensor, TrackingResult]:
        """See Tracking."""
        events: list[Event] = []
        if self._anew or (live and seconds - self.seconds > self.options.track_reset):
            self._anew = False
            self.identify.reset()
            events += [event for zone in self.zones for event in zone.clear()]
        self.seconds = seconds
        ids = self.identify(boxes.numpy(), image)
        keep = (ids > 0) | (boxes[:, 4].numpy() >= self.options.conf_thres)
        boxes, ids = boxes[torch.from_numpy(keep)], ids[keep]
        objects = self._objects(boxes.numpy(), ids)
        for line in self.lines:
            events += line.update(objects)
        for zone in self.zones:
            events += zone.update(objects, seconds)
        return boxes, TrackingResult(
            ids,
            self._trails(objects),
            {line.name: line.counts for line in self.lines},
            {zone.name: zone.counts for zone in self.zones},
            {zone.name: zone.inside() for zone in self.zones},
            tuple(events),
            self.regions,
        )

    def _objects(self, boxes: np.ndarray, ids: NDArray[np.int64]) -> list[Seen]:
        """The detections that have an identity, with the class that most of their confidence so far was for."""
        sizes = (boxes[:, 2:4] - boxes[:, :2]).min(1)
        places = anchors(boxes, self.options.anchor)
        rows = zip(ids.tolist(), places.tolist(), sizes.tolist(), boxes[:, 4:6].tolist(), strict=True)
        found = [
            Seen(number, (x, y), size, self._label(number, *seen)) for number, (x, y), size, seen in rows if number
        ]
        forget(self.votes, len(found))
        return found

    def _label(self, number: int, confidence: float, label: float) -> str:
        """The class name of an object, all its detections considered."""
        votes, now = remember(self.votes, number, self.votes.get(number, {})), int(label)
        votes[now] = votes.get(now, 0.0) + confidence
        best = now if len(votes) == 1 else max(votes, key=votes.__getitem__)
        return self.names.get(best, str(best))

    def _trails(self, objects: Sequence[Seen]) -> dict[int, tuple[tuple[float, float], ...]]:
        """The last places of each object, this one included."""
        if not self.options.trail:
            return {}
        for one in objects:
            trail = self.trails.get(one.id) or deque(maxlen=self.options.trail)
            remember(self.trails, one.id, trail).append(one.place)
        forget(self.trails, len(objects))
        return {one.id: tuple(self.trails[one.id]) for one in objects}


def remember(store: dict[int, Value], key: int, value: Value) -> Value:
    """Store a value as the latest one, and return it."""
    store.pop(key, None)
    store[key] = value
    return value


def forget(store: dict[int, Value], present: int) -> None:
    """Remove the oldest values where more than MOST_LOST beside the latest `present` are kept."""
    while len(store) > present + MOST_LOST:
        del store[next(iter(store))]


def anchors(boxes: np.ndarray, anchor: str = "bottom") -> np.ndarray:
    """(n, 2) x, y px: where objects are, in the middle of the lower edge of their boxes (n, 4 or more) or in their centre."""
    down = ANCHORS[anchor]
    return np.column_stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1] * (1 - down) + boxes[:, 3] * down))
