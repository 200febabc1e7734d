"""What is known of the sources of a run: read by its progress lines, its page and other programs while it goes on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.streams.watchdog import Alarm, Watchdog
from utils.log import LOGGER

CONNECTING, LIVE, RECONNECTING, LOST, ENDED = STATES = ("connecting", "live", "reconnecting", "lost", "ended")
RECENT = 10.0  # seconds over which the rate of detection is measured


@dataclass(frozen=True)
class SourceStatus:
    """One source at one moment. state: see STATES. Rates are frames per second, ages seconds, None before the first frame.

    frames: that came; detected: those that went through the detector; age: of the newest frame; latency: age of the last
    frame when its detections were there; reason: why the source broke off or was lost; connections: that were opened.
    """

    order: int
    label: str
    state: str = CONNECTING
    reason: str = ""
    frames: int = 0
    detected: int = 0
    rate: float = 0.0
    detection_rate: float = 0.0
    age: float | None = None
    latency: float | None = None
    width: int = 0
    height: int = 0
    connections: int = 0
    alarms: tuple[Alarm, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in vars(self).items()}
        return rounded | {"alarms": [alarm._asdict() for alarm in self.alarms]}


class SourceMonitor:
    """Keeps the status of one source. Its reader, the detection loop and viewers call it from their own threads.

    live: whether the watchdog looks at it; `after` and `has_clock`: see Watchdog.
    """

    def __init__(
        self, order: int, label: str, *, live: bool = True, after: float = 10.0, has_clock: bool = True,
        clock: Callable[[], float] = time.monotonic, log: Callable[[str], None] = LOGGER.info,
    ) -> None:  # fmt: skip
        self.order, self.label, self.clock, self.log = order, label, clock, log
        self._lock = threading.Lock()
        self._watchdog = Watchdog(after if live else 0.0, has_clock)
        self._state, self._reason = CONNECTING, ""
        self._frames = self._detected = self._connections = 0
        self._size = (0, 0)
        self._read: float | None = None
        self._latency: float | None = None
        self._detections: deque[float] = deque()
        self._told: tuple[str, ...] = ()  # kinds of the alarms that were logged

    def connected(self) -> None:
        """The source was opened."""
        with self._lock:
            self._connections += 1
            self._watchdog.connected(self.clock())

    def arrived(self) -> None:
        """A frame came, and may be passed over: with --vid-stride, a source is not silent between those that are read."""
        with self._lock:
            self._watchdog.last = self.clock()

    def frame(self, image: NDArray[np.uint8], number: int, stream_time: float = 0.0) -> None:
        """A frame (H, W, 3) was read; see Watchdog.see."""
        now = self.clock()
        with self._lock:
            self._state, self._reason = LIVE, ""
            self._frames, self._read, self._size = number, now, (image.shape[1], image.shape[0])
            self._watchdog.see(image, number, now, stream_time)

    def ended(self, state: str = ENDED, reason: str = "") -> None:
        """The source broke off (RECONNECTING), was given up (LOST) or came to its end."""
        with self._lock:
            self._state, self._reason = state, reason

    def detected(self, read: float | None = None) -> tuple[Alarm, ...]:
        """A frame that was read at this time went through the detector. Returns, and logs when they change, the alarms."""
        now = self.clock()
        with self._lock:
            self._detected += 1
            self._latency = None if read is None else now - read
            self._detections.append(now)
            while self._detections[0] < now - RECENT:
                self._detections.popleft()
            alarms = self._watchdog.alarms(now)
        self._tell(alarms)
        return alarms

    def status(self) -> SourceStatus:
        """What is known now."""
        now = self.clock()
        with self._lock:
            live = self._state == LIVE
            count, first = len(self._detections), self._detections[0] if self._detections else now
            recent = count / max(now - first, 1.0) if live and count > 1 else 0.0
            return SourceStatus(
                self.order, self.label, self._state, self._reason, self._frames, self._detected,
                self._watchdog.rate if live else 0.0, recent, None if self._read is None else now - self._read,
                self._latency, *self._size, self._connections, self._watchdog.alarms(now) if live else (),
            )  # fmt: skip

    def _tell(self, alarms: Iterable[Alarm]) -> None:
        """Log what is newly wrong, and that all is well again."""
        kinds = tuple(alarm.kind for alarm in alarms)
        if kinds == self._told:
            return
        new = [alarm.text for alarm in alarms if alarm.kind not in self._told]
        if new or not kinds:
            self.log(f"{self.label}: {', '.join(new) or 'the stream is well again'}")
        self._told = kinds
