"""What is said of a frame: one JSON object, described in docs/tracking.md and docs/schema/frame-1.json."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from engine.streams.watchdog import Alarm
from engine.tracking.result import Event, TrackingResult

VERSION = 1  # counts up when a field changes its meaning or goes; new fields do not


class FrameInfo(NamedTuple):
    """Which frame it is. source: name, without passwords; order: number of the source in the plan, from 1.

    frame: number in the source, from 1; seconds: since the source's first frame; shape: (height, width, ...) px; when: time
    of detection, seconds since 1970; alarms: what is wrong with the stream.
    """

    source: str
    order: int
    frame: int
    seconds: float
    shape: tuple[int, ...]
    when: float
    alarms: tuple[Alarm, ...] = ()

    @property
    def head(self) -> dict[str, Any]:
        """The fields that all messages begin with."""
        stamp = datetime.fromtimestamp(self.when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "version": VERSION, "source": self.source, "order": self.order, "frame": self.frame,
            "seconds": round(self.seconds, 3), "time": stamp,
        }  # fmt: skip


def frame_message(info: FrameInfo, boxes: np.ndarray, seen: TrackingResult, names: Mapping[int, str]) -> dict[str, Any]:
    """The object of a frame. boxes: (n, 6) x1 y1 x2 y2 px, confidence, class."""
    ids = seen.ids.tolist() or [0] * len(boxes)
    objects = [_object(box, identity, names) for box, identity in zip(boxes.tolist(), ids, strict=True)]
    inside = {name: {str(number): seconds for number, seconds in found.items()} for name, found in seen.inside.items()}
    return info.head | {
        "width": info.shape[1], "height": info.shape[0], "objects": objects, "lines": dict(seen.lines),
        "zones": {name: _rounded(counts) for name, counts in seen.zones.items()}, "inside": inside,
        "events": [event_fields(event) for event in seen.events],
        "alarms": [alarm._asdict() for alarm in info.alarms],
    }  # fmt: skip


def event_message(info: FrameInfo, event: Event) -> dict[str, Any]:
    """The object of one event."""
    return info.head | {"event": event_fields(event)}


def event_fields(event: Event) -> dict[str, Any]:
    """An event as JSON holds it; `seconds` with `leave` only."""
    stayed = {"seconds": event.seconds} if event.action == "leave" else {}
    return {
        "kind": event.kind, "name": event.name, "action": event.action, "id": event.id, "class": event.label,
    } | stayed  # fmt: skip


def _object(box: list[float], identity: int, names: Mapping[int, str]) -> dict[str, Any]:
    """One detection: identity (null: none), class number and name, confidence, corners to a tenth of a pixel."""
    *corners, confidence, label = box
    number = int(label)
    return {
        "id": identity or None, "class": number, "name": names.get(number, str(number)),
        "confidence": round(confidence, 4), "box": [round(corner, 1) for corner in corners],
    }  # fmt: skip


def _rounded(counts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Counts of a zone with times to a thousandth of a second."""
    return {label: {**one, "dwell": round(one["dwell"], 3)} for label, one in counts.items()}
