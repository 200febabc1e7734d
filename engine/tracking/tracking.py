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
from engine.tracking.counters import RegionCounters
from engine.tracking.counting import Seen
from engine.tracking.regions import read_regions
from engine.tracking.result import Event, TrackingResult
from engine.tracking.trackers import Identities, check_tracker, identities
from utils.errors import UserError

MOST_LOST = 500  # objects that are not seen of which something is remembered, per source
ANCHORS = {"bottom": 1.0, "center": 0.5}  # fraction of a box's height at which an object is
Value = TypeVar("Value")


def check_tracking(options: DetectOptions, firsts: Sequence[int] = ()) -> None:
    """Raise UserError for what cannot be tracked or counted, before anything is loaded. firsts: see SourcePlan."""
    if options.track != "none":
        check_tracker(options.track)
    elif options.save_mot:
        raise UserError("--save-mot: writes identities. Add --track bytetrack, or another tracker.")
    read_regions(options, firsts)


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

    def __call__(
        self, source: str, order: int, seconds: float, image: NDArray[np.uint8], boxes: Tensor, *, live: bool = False
    ) -> tuple[Tensor, TrackingResult]:
        """boxes (n, 6) of the next frame (H, W, 3) of a source, number `order` in the plan, `seconds` after its first one.

        order: of a sequence of images, that of its first one. Returns those above --conf-thres and weaker ones that continue
        a track, and what is known of them. A live source that was silent for more than --track-reset seconds starts anew,
        and so does one whose images change their size.
        """
        if source not in self._sources:
            if not self.together:
                self._sources.clear()
            counters = RegionCounters(self.regions, order, self.options.track_buffer)
            self._sources[source] = _TrackedSource(self.options, self.names, self._create, counters, image.shape[:2])
        tracked = self._sources[source]
        if tracked.shape != image.shape[:2]:
            tracked.resize(image.shape[:2])
        return tracked(seconds, image, boxes, live)


class _TrackedSource:
    """What is remembered of one source. Raises UserError where a region does not fit its first image, see RegionCounters."""

    def __init__(
        self,
        options: DetectOptions,
        names: Mapping[int, str],
        create: Callable[[], Identities],
        counters: RegionCounters,
        shape: tuple[int, ...],
    ) -> None:
        self.options, self.names, self.counters, self.shape = options, names, counters, shape
        counters.place(shape[1], shape[0])
        self.identify = create()
        self._anew = False
        self.trails: dict[int, deque[tuple[float, float]]] = {}
        self.votes: dict[int, dict[int, float]] = {}  # id -> class -> sum of confidences
        self.seconds = 0.0

    def resize(self, shape: tuple[int, ...]) -> None:
        """Its images are of another shape (height, width) from now on; counts stay."""
        self.shape, self._anew = shape, True
        self.counters.place(shape[1], shape[0])

    def __call__(
        self, seconds: float, image: NDArray[np.uint8], boxes: Tensor, live: bool
    ) -> tuple[Tensor, TrackingResult]:
        """See Tracking."""
        events: list[Event] = []
        if self._anew or (live and seconds - self.seconds > self.options.track_reset):
            self._anew = False
            self.identify.reset()
            events += self.counters.clear()
        self.seconds = seconds
        ids = self.identify(boxes.numpy(), image)
        keep = (ids > 0) | (boxes[:, 4].numpy() >= self.options.conf_thres)
        boxes, ids = boxes[torch.from_numpy(keep)], ids[keep]
        objects = self._objects(boxes.numpy(), ids)
        events += self.counters.update(objects, seconds)
        counted = self.counters
        return boxes, TrackingResult(
            ids,
            self._trails(objects),
            counted.lines(),
            counted.zones(),
            counted.inside(),
            tuple(events),
            counted.placed(),
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
