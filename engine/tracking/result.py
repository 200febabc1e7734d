"""What tracking makes of one frame, as plain data that nobody changes afterwards: pages, files and messages read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

LineCount = TypedDict("LineCount", {"in": int, "out": int})
"""Crossings of a line by objects of one class; `in`: towards the right of its direction from first to second point."""


class ZoneCount(TypedDict):
    """Objects of one class in a zone: inside now, entered and left so far, and seconds per visit that has ended (mean)."""

    inside: int
    entered: int
    left: int
    dwell: float


class Event(NamedTuple):
    """One crossing of a line (action: in, out) or of a zone's border (enter, leave).

    kind: line or zone; name: its own; label: class name of the object; seconds: with leave, how long it was inside.
    """

    kind: str
    name: str
    action: str
    id: int
    label: str
    seconds: float = 0.0


class PlacedRegion(NamedTuple):
    """A line or zone (kind) in the image of its source: its points (x, y), px."""

    kind: str
    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TrackingResult:
    """Identities and counts of one frame of a source. Counts are those of this source since its start.

    ids: (n,) int64, one per detection of the frame, 0: none (yet); empty where nothing is tracked. trails: id -> the last
    places (x, y) of an object that is seen in this frame, px, the newest last. lines: name -> class name -> crossings.
    zones: name -> class name -> counts. inside: zone -> id -> seconds since it entered. events: of this frame. regions: the
    lines and zones of the source.
    """

    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    trails: Mapping[int, tuple[tuple[float, float], ...]] = field(default_factory=dict, repr=False)
    lines: Mapping[str, Mapping[str, LineCount]] = field(default_factory=dict)
    zones: Mapping[str, Mapping[str, ZoneCount]] = field(default_factory=dict)
    inside: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    regions: tuple[PlacedRegion, ...] = ()
