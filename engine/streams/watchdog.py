"""What is wrong with a stream although frames arrive: a frozen or black image, a falling rate, a clock that stands still."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

INTERVAL = 0.2  # seconds between two looks at the image
GRID = 64  # samples along the shorter side of an image
BLACK = 16  # of 255: darker than this in all but a hundredth of the image is black; night images are not
STILL = 0.5  # of 255: mean change below which nothing moves, and not even a sensor's noise is left
STILL_FACTOR = 6.0  # "no motion" takes so many times as long to be reported as a frozen image: a street may be empty
WINDOW = 10.0  # seconds over which the rate is measured
SLOW = 0.5  # of the usual rate
FORGET = 0.98  # of the usual rate that stays after a window: a camera may send fewer frames at night
BEHIND = 5.0  # seconds by which a stream may fall behind its own clock, or for which that clock may stand still
SKEW = 0.001  # seconds a second by which two clocks may differ
SILENCE = 3.0  # seconds without a frame that are reported, or SILENT_FRAMES of them where they come slowly
SILENT_FRAMES = 5


class Alarm(NamedTuple):
    """One thing that is wrong. kind: frozen, still, black, slow, clock or silent; text: for people."""

    kind: str
    text: str


class Watchdog:
    """Looks at the frames of one live source. Times are seconds of one clock that never jumps.

    after: seconds until a frozen or black image is reported; 0: nothing is ever reported. has_clock: whether the stream
    carries times of its own (MJPEG over HTTP does not).
    """

    def __init__(self, after: float = 10.0, has_clock: bool = True) -> None:
        self.after, self.has_clock = after, has_clock
        self.usual = 0.0  # frames per second
        self.connected(0.0)

    def connected(self, now: float) -> None:
        """Begin anew, but for the usual rate: the source was opened, or opened again."""
        self._image = _ImageWatch()
        self._clock = _ClockWatch()
        self._arrivals: deque[tuple[float, int]] = deque()  # (time, frame number) of the last WINDOW seconds
        self._window = now  # when the rate was last compared
        self._first = True  # the first window holds frames that were buffered
        self.last = now

    @property
    def rate(self) -> float:
        """Frames per second over the last WINDOW seconds; 0 where fewer than two came."""
        if len(self._arrivals) < 2:
            return 0.0
        (start, first), (end, last) = self._arrivals[0], self._arrivals[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def see(self, image: NDArray[np.uint8], number: int, now: float, stream_time: float = 0.0) -> None:
        """A frame (H, W, 3) came. number: counts frames that were passed over too; stream_time: its own time, s; 0: unknown."""
        self.last = now
        self._arrivals.append((now, number))
        while self._arrivals[0][0] < now - WINDOW:
            self._arrivals.popleft()
        if now - self._window >= WINDOW:
            self.usual = self.usual if self._first else max(self.rate, FORGET * self.usual)
            self._window, self._first = now, False
        if not self.after:
            return
        if self.has_clock and stream_time > 0:
            self._clock.see(stream_time, now)
        if now - self._image.looked >= INTERVAL:
            self._image.see(image, now)

    def alarms(self, now: float) -> tuple[Alarm, ...]:
        """What is wrong at this moment."""
        if not self.after:
            return ()
        silent = now - self.last
        if silent > max(SILENCE, SILENT_FRAMES / self.usual if self.usual else 0.0):
            return (Alarm("silent", f"no frame for {silent:.0f} s"),)
        found = [self._image.alarm(self.after), self._slow(), self._clock.alarm(now)]
        return tuple(alarm for alarm in found if alarm)

    def _slow(self) -> Alarm | None:
        """The rate, where it has fallen."""
        full = len(self._arrivals) > 1 and self._arrivals[-1][0] - self._arrivals[0][0] > WINDOW / 2
        if self.usual and full and self.rate < SLOW * self.usual:
            return Alarm("slow", f"rate fell to {self.rate:.1f} of {self.usual:.1f} frames/s")
        return None


class _ImageWatch:
    """Since when the image is the same, hardly changes, or is black."""

    def __init__(self) -> None:
        self.looked = -INTERVAL
        self.sample: NDArray[np.uint8] | None = None
        self.reference: NDArray[np.uint8] | None = None  # what the image was when it was last seen to change
        self.same = self.still = self.lit = 0.0  # when it last was another, moved, and was not black

    def see(self, image: NDArray[np.uint8], now: float) -> None:
        """Compare an image (H, W, 3) with the one before."""
        step = max(1, min(image.shape[:2]) // GRID)
        sample = np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step])
        self.looked = now
        if self.sample is None or self.sample.shape != sample.shape or (sample != self.sample).any():
            self.same = now
        if self.reference is None or self.reference.shape != sample.shape or change(sample, self.reference) >= STILL:
            self.still, self.reference = now, sample
        if np.percentile(sample.max(2), 99) >= BLACK:
            self.lit = now
        self.lit = self.lit or now
        self.sample = sample

    def alarm(self, after: float) -> Alarm | None:
        """The worst of what is wrong with the image, if anything is."""
        if self.looked - self.lit >= after:
            return Alarm("black", f"black image for {self.looked - self.lit:.0f} s")
        if self.looked - self.same >= after:
            return Alarm("frozen", f"frozen image for {self.looked - self.same:.0f} s")
        if self.looked - self.still >= STILL_FACTOR * after:
            return Alarm("still", f"no motion for {self.looked - self.still:.0f} s")
        return None


class _ClockWatch:
    """Whether the stream's own time goes on, and as fast as ours."""

    def __init__(self) -> None:
        self.time: float | None = None
        self.advanced = self.seen = 0.0  # when its time last went on, and when it was last read
        self.offset = 0.0  # ours minus its, where it is least behind

    def see(self, time: float, now: float) -> None:
        """Note the stream's time in seconds."""
        if self.time is None or time < self.time - 1.0:  # a clock that was set back begins anew
            self.offset, self.advanced = now - time, now
        else:
            self.offset = min(now - time, self.offset + SKEW * (now - self.seen))
            self.advanced = now if time > self.time else self.advanced
        self.time, self.seen = time, now

    def alarm(self, now: float) -> Alarm | None:
        """What is wrong with it."""
        if self.time is None:
            return None
        if self.seen - self.advanced > BEHIND:
            return Alarm("clock", f"stale clock: stands still for {self.seen - self.advanced:.0f} s")
        behind = self.seen - self.time - self.offset
        return Alarm("clock", f"stale clock: {behind:.0f} s behind") if behind > BEHIND else None


def change(sample: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two arrays of one shape, 0 to 255."""
    return float(np.abs(sample.astype(np.int16) - other).mean())
