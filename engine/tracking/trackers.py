"""Ultralytics' trackers behind one small function: detections of a frame in, an identity for each out.

Nothing is fetched: appearance models (ReID) stay off. The package `lap` is needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.options.detect import DetectOptions
from utils.errors import UserError
from utils.ultralytics_env import contain_ultralytics

WEAKEST = 0.1  # confidence above which a detection may continue a track (ByteTrack's second association)

KEPT = 10_000  # objects of a source whose numbers are remembered


def check_tracker(name: str) -> None:
    """Raise UserError where the package that trackers need is missing."""
    if importlib.util.find_spec("lap") is None:
        raise UserError(f"--track {name}: needs the package lap, which is not installed. Run pip install lap.")


def weakest(options: DetectOptions) -> float:
    """The confidence from which detections are needed: below --conf-thres where they may continue a track."""
    return min(options.conf_thres, WEAKEST) if options.track != "none" else options.conf_thres


def create_tracker(name: str, buffer: int, conf: float) -> Any:
    """One of Ultralytics' trackers, with the settings it is published with.

    buffer: frames for which a lost object is looked for. conf: confidence from which a detection starts a track.
    """
    contain_ultralytics()
    from ultralytics.trackers.track import TRACKER_MAP
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    from engine.tracking.batched import batched

    settings = YAML.load(check_yaml(f"{name}.yaml"))
    settings |= {"track_buffer": buffer, "track_high_thresh": conf, "new_track_thresh": conf, "with_reid": False}
    settings["track_low_thresh"] = min(WEAKEST, conf)
    return batched(TRACKER_MAP[name])(args=IterableSimpleNamespace(**settings))


class Identities:
    """The tracker of one source. Its numbers come from `numbers`, which sources share, so that no two have the same.

    make: a new tracker; called again by `reset`, after which objects get new numbers.
    """

    def __init__(self, make: Callable[[], Any], numbers: Iterator[int]) -> None:
        self.make, self.numbers = make, numbers
        self.reset()

    def reset(self) -> None:
        """Forget all objects."""
        self._tracker = self.make()
        self._known: dict[int, int] = {}  # the tracker's number -> ours

    def __call__(self, boxes: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.int64]:
        """boxes (n, 6) x1 y1 x2 y2 px, confidence, class; image (H, W, 3). Returns (n,): an identity each, 0 for none."""
        from ultralytics.engine.results import Boxes

        ids = np.zeros(len(boxes), np.int64)
        found = np.asarray(self._tracker.update(Boxes(boxes, image.shape[:2]), image)).reshape(-1, 8)
        for own, place in found[:, [4, 7]].astype(int).tolist():
            if 0 <= place < len(ids):
                self._known[own] = self._known.pop(own, 0) or next(self.numbers)  # the latest last
                ids[place] = self._known[own]
        while len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))
        return ids


def identities(options: DetectOptions) -> Callable[[], Identities]:
    """A function that makes the tracker of another source; all number from one count. Raises UserError without `lap`."""
    check_tracker(options.track)
    numbers = count(1)
    return lambda: Identities(lambda: create_tracker(options.track, options.track_buffer, options.conf_thres), numbers)
