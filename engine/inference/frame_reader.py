"""Frames of a plan of sources, read ahead in threads, so that decoding overlaps with detection.

Images and videos lose no frame: their thread waits when it is a few frames ahead. Cameras and streams each have a
thread that holds the latest frame only. A source that ends or fails never ends another.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import Any

from engine.inference.capture import Capture, Frame, SourceLost, frames_of, open_capture
from engine.inference.sources import Source, SourcePlan
from engine.streams.status import LOST, SourceMonitor
from utils.log import LOGGER
from utils.signals import abandon
from utils.ultralytics_env import give_back_memory

AHEAD = 4  # frames decoded ahead
AHEAD_BYTES = 1 << 28  # that they may have, unless one alone has more
GRACE = 0.5  # seconds that the threads have to end
TRIM = 30.0  # seconds between returns of freed memory: frames of many threads leave gaps that glibc would keep
POLL = 0.5  # seconds between looks at the keyboard: some systems let no Ctrl-C through a wait without a limit


class _Channel:
    """Frames of one thread on their way to the detector."""

    def __init__(self, items: Sequence[Source]) -> None:
        self.items = items
        self.frames: deque[Frame] = deque()
        self.open = True

    def has_room(self, frame: Frame) -> bool:
        """Whether another frame may be read ahead; a large one alone."""
        size = sum(waiting.image.nbytes for waiting in (*self.frames, frame))
        return not self.frames or (len(self.frames) < AHEAD and size <= AHEAD_BYTES)


class FrameReader:
    """Iterate for lists of frames: one frame at a time, or, of a plan read together, one of each source that has a new one.

    with FrameReader(plan_sources("0")) as reader:
        for frames in reader: ...
    reader.dead   # what could not be read, and why
    reader.monitors[1].status()   # of the first source, at any moment and from any thread

    `opener`, `wait` and `clock` are seams for tests; `wait(seconds)` returns True when the run is over.
    """

    def __init__(
        self,
        plan: SourcePlan,
        *,
        stride: int = 1,
        opener: Callable[[Source], Capture] = open_capture,
        log: Callable[[str], None] = LOGGER.info,
        watchdog: float = 0.0,
        **live: Any,
    ) -> None:
        """watchdog: see `Watchdog.after`. live: what a `LiveReader` takes besides: retries, wait, clock, fastest."""
        self.plan, self.stride, self.opener, self.log = plan, stride, opener, log
        clock = live.get("clock", time.monotonic)
        self.monitors = {item.order: monitor_of(item, watchdog, clock, log) for item in plan.items}
        self._news = threading.Condition()
        self._over = threading.Event()
        self._live = {"wait": self._over.wait, "log": log, **live}
        self._dead: list[tuple[int, str, str]] = []
        self._failure: BaseException | None = None
        self._channels = [_Channel(items) for items in threads_of(plan)]
        self._threads = [threading.Thread(target=self._run, args=(channel,), daemon=True) for channel in self._channels]

    @property
    def dead(self) -> list[tuple[str, str]]:
        """(source, reason) of what could not be read, or not to its end, in the plan's order."""
        return [(name, reason) for _, name, reason in sorted(self._dead)]

    def __enter__(self) -> FrameReader:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        """Stop the threads, within GRACE seconds all together. One that hangs in a silent stream is left to itself."""
        self._over.set()
        with self._news:
            for channel in self._channels:
                channel.frames.clear()
            self._news.notify_all()
        deadline = time.monotonic() + GRACE
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                abandon(thread)

    def __iter__(self) -> Iterator[list[Frame]]:
        trimmed = time.monotonic()
        while frames := self._take():
            yield frames
            if self.plan.together and time.monotonic() - trimmed > TRIM:
                give_back_memory()
                trimmed = time.monotonic()
        if self._failure is not None:
            raise self._failure

    def _take(self) -> list[Frame]:
        """The next frame of each channel that has one; waits for the first; empty at the end."""
        with self._news:
            while not self._news.wait_for(self._has_news, timeout=POLL):
                continue
            if self._failure is not None:
                return []
            frames = [channel.frames.popleft() for channel in self._channels if channel.frames]
            self._news.notify_all()
            return frames

    def _has_news(self) -> bool:
        """Whether there is a frame to take, or nothing more to wait for."""
        waiting = any(channel.frames for channel in self._channels)
        ended = self._over.is_set() or not any(channel.open for channel in self._channels)
        return waiting or ended or self._failure is not None

    def _run(self, channel: _Channel) -> None:
        """A thread's work: the items of its channel, one after another."""
        try:
            for item in channel.items:
                if not self._over.is_set():
                    self._read(item, channel)
        except BaseException as problem:  # noqa: B036 - a bug: raised again where the frames are used
            self._failure = problem
        with self._news:
            channel.open = False
            self._news.notify_all()

    def _read(self, item: Source, channel: _Channel) -> None:
        """Read one source to its end, or record why that failed."""
        monitor = self.monitors[item.order]
        live = self._live | {"monitor": monitor}
        try:
            with closing(frames_of(item, self.opener, self.stride, self._over.is_set, **live)) as frames:
                for frame in frames:
                    monitor.frame(frame.image, frame.number, frame.stream_time)
                    if not self._put(channel, frame):
                        return
            monitor.ended()
        except SourceLost as problem:
            monitor.ended(LOST, str(problem))
            self._dead.append((item.order, item.label, str(problem)))
            if self.plan.together and any(other.open for other in self._channels if other is not channel):
                self.log(f"{item.label}: {problem}; the other sources go on")

    def _put(self, channel: _Channel, frame: Frame) -> bool:
        """Hand a frame on: a live one takes an older one's place, others wait for room. False when the run is over."""
        with self._news:
            if frame.live:
                channel.frames.clear()
            else:
                self._news.wait_for(lambda: self._over.is_set() or channel.has_room(frame))
            if not self._over.is_set():
                channel.frames.append(frame)
                self._news.notify_all()
            return not self._over.is_set()


def threads_of(plan: SourcePlan) -> list[Sequence[Source]]:
    """What each thread reads: all, or, of a plan read together, one camera, stream or video each, and neighbouring images."""
    if not plan.together:
        return [plan.items]
    return [
        items
        for images, run in groupby(plan.items, key=lambda item: item.kind == "image")
        for items in ([list(run)] if images else [[item] for item in run])
    ]


def monitor_of(item: Source, after: float, clock: Callable[[], float], log: Callable[[str], None]) -> SourceMonitor:
    """The monitor of a source; MJPEG over HTTP carries no times, and a camera's are those of this machine."""
    live, has_clock = item.kind in {"camera", "stream"}, item.kind == "stream" and not item.where.startswith("http")
    return SourceMonitor(item.order, item.label, live=live, after=after, has_clock=has_clock, clock=clock, log=log)
