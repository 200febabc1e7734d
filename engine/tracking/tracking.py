"""The trackers of a run, one per source: from a frame's detections to identities, trails and counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.options.detect import DetectOptions
from engine.tracking.result import TrackingResult
from engine.tracking.trackers import Identities, identities

MOST_LOST = 500  # trails of objects that are not seen which are kept, per source


class Tracking:
    """Gives the detections of several sources identities, one tracker per source. Raises UserError without `lap`.

    together: frames of several sources come in turn; else a source has ended when another begins.
    """

    def __init__(self, options: DetectOptions, *, together: bool = False) -> None:
        self.options, self.together = options, together
        self._create = identities(options)
        self._sources: dict[str, _TrackedSource] = {}

    def __call__(
        self, source: str, seconds: float, image: NDArray[np.uint8], boxes: Tensor, *, live: bool = False
    ) -> tuple[Tensor, TrackingResult]:
        """boxes (n, 6) of the next frame of a source, (H, W, 3), `seconds` after its first one.

        Returns those above --conf-thres and weaker ones that continue a track, and what is known of them. A live source
        that was silent for more than --track-reset seconds starts anew.
        """
        if source not in self._sources:
            if not self.together:
                self._sources.clear()
            self._sources[source] = _TrackedSource(self.options, self._create)
        return self._sources[source](seconds, image, boxes, live)


class _TrackedSource:
    """What is remembered of one source."""

    def __init__(self, options: DetectOptions, create: Callable[[], Identities]) -> None:
        self.options, self.identify = options, create()
        self.trails: dict[int, deque[tuple[float, float]]] = {}
        self.seconds = 0.0

    def __call__(
        self, seconds: float, image: NDArray[np.uint8], boxes: Tensor, live: bool
    ) -> tuple[Tensor, TrackingResult]:
        """See Tracking."""
        if live and seconds - self.seconds > self.options.track_reset:
            self.identify.reset()
            self.trails.clear()
        self.seconds = seconds
        ids = self.identify(boxes.numpy(), image)
        keep = (ids > 0) | (boxes[:, 4].numpy() >= self.options.conf_thres)
        boxes, ids = boxes[torch.from_numpy(keep)], ids[keep]
        places = centres(boxes.numpy())
        return boxes, TrackingResult(ids, self._trails(ids, places))

    def _trails(self, ids: NDArray[np.int64], places: np.ndarray) -> dict[int, tuple[tuple[float, float], ...]]:
        """The last places of each object, this one included; those of lost objects are kept as long as their numbers."""
        for number, (x, y) in zip(ids.tolist(), places.tolist(), strict=True):
            if number:
                trail = self.trails.pop(number, None) or deque(maxlen=max(1, self.options.trail))
                trail.append((x, y))
                self.trails[number] = trail  # the latest last
        while len(self.trails) > len(ids) + MOST_LOST:
            self.trails.pop(next(iter(self.trails)))
        return {number: tuple(self.trails[number]) for number in ids.tolist() if number and self.options.trail}


def centres(boxes: np.ndarray) -> np.ndarray:
    """(n, 2) x, y of the centres of boxes (n, 4 or more) x1 y1 x2 y2."""
    return (boxes[:, :2] + boxes[:, 2:4]) / 2
