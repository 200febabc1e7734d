"""Reading one source: an image, a video, or a camera or stream that is reconnected when it falls silent."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import cv2
import numpy as np

from data.io.images import decode
from engine.inference.fetching import IMAGE_PIXELS, PATIENCE, VIDEO_BYTES, VIDEO_SECONDS, chunks, image_bytes, reason
from engine.inference.sources import Source
from engine.streams.av_capture import AvCapture, has_av
from engine.streams.status import RECONNECTING, SourceMonitor
from engine.streams.watchdog import Alarm
from utils.disk.reading import is_text, read_whole
from utils.errors import UserError
from utils.log import LOGGER, unescaped_password
from utils.signals import scratch_folder

IMAGE_FILE = 1 << 31  # bytes
SPARE = 1 << 30  # bytes that a fetched video leaves free on the disk for temporary files
LOG_EVERY = 60.0  # seconds between two lines that say that a source broke off
LONGEST_WAIT = 30.0  # seconds between two tries to reconnect, at most
MOST_DOUBLINGS = 10  # of the wait: powers of two have an end
UNESCAPED = "in a password, write / as %2F, ? as %3F, # as %23 and @ as %40"

Capture: TypeAlias = cv2.VideoCapture | AvCapture
"""Of its methods: isOpened, grab, retrieve, get and release."""


@dataclass(frozen=True)
class Frame:
    """One image of a source. `image` is (H, W, 3) uint8, blue-green-red."""

    item: Source
    image: np.ndarray = field(repr=False)
    number: int = 1  # in its source, from 1, frames that were passed over counted
    total: int = 0  # number of frames the source states; 0 = unknown
    fps: float = 0.0  # frames per second of the source; 0 = unknown
    live: bool = False  # never waits: frames may be missing before it
    seconds: float = 0.0  # of a live source: when it was read, counted from the first frame
    read: float = 0.0  # of a live source: when it was read, by the clock of the reader
    stream_time: float = 0.0  # seconds, by the source's own clock; 0 = unknown
    alarms: tuple[Alarm, ...] = ()  # what the watchdog says of the source, once the frame was detected


class SourceLost(Exception):
    """A source failed. The message says why."""


def open_capture(item: Source, transport: str = "tcp") -> Capture:
    """Open a camera or video with OpenCV, an address with PyAV where that is installed.

    Addresses get a time limit for connecting and for each frame. transport: of RTSP, tcp or udp.
    """
    if item.kind == "camera":
        return cv2.VideoCapture(int(item.where))
    if "://" not in item.where:
        return cv2.VideoCapture(item.where)
    if has_av():
        return AvCapture(item.where, PATIENCE, transport)
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;{transport}")
    limit = int(PATIENCE * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    return cv2.VideoCapture(item.where, cv2.CAP_FFMPEG, limits)


def fetch(item: Source) -> bytes:
    """The bytes of an image, from disk or, within limits, from an http(s) address. Raises SourceLost."""
    address = "://" in item.where
    try:
        return image_bytes(item.where) if address else read_whole(Path(item.where), IMAGE_FILE)
    except (OSError, ValueError, HTTPException, UserError) as problem:
        raise SourceLost(f"cannot be read ({reason(problem) if address else problem})") from None


@contextmanager
def on_disk(item: Source, over: Callable[[], bool]) -> Iterator[Source]:
    """The item as a file: an address is fetched into a temporary one, since not every server lets a reader jump about.

    over: asked now and then; the fetching ends when it returns True. Raises SourceLost.
    """
    if "://" not in item.where:
        yield item
        return
    with scratch_folder() as folder:
        path = folder / f"fetched{Path(urlsplit(item.where).path).suffix}"
        try:
            with path.open("wb") as file:
                for chunk in chunks(item.where, VIDEO_BYTES, VIDEO_SECONDS):
                    if shutil.disk_usage(folder).free - len(chunk) < SPARE:
                        raise OSError(
                            f"{folder.parent} has less than {SPARE >> 20} MiB left; set TMPDIR to a larger disk"
                        )
                    file.write(chunk)
                    if over():
                        break
        except (OSError, ValueError, HTTPException) as problem:
            raise SourceLost(f"cannot be fetched ({reason(problem)})") from None
        yield replace(item, where=str(path))


def read_image(item: Source) -> Iterator[Frame]:
    """The one frame of an image. Raises SourceLost if it is missing, truncated or not an image."""
    data = fetch(item)
    image = decode(data) if data else None
    if image is None:
        raise SourceLost("is not a readable image: damaged, truncated, or of another format than its name says")
    yield Frame(item, image)


def read_video(item: Source, capture: Capture, stride: int = 1) -> Iterator[Frame]:
    """Every `stride`-th frame of a video. Closes the capture in the end.

    Raises SourceLost where it cannot be opened, holds no frame, or breaks off well before the end that it states.
    """
    last = 0
    try:
        if not capture.isOpened():
            raise SourceLost("cannot be opened as a video")
        total = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        for last, image in _grab(capture, stride):
            yield Frame(item, image, last, total, _rate(capture))
    finally:
        capture.release()
    if not last:
        raise SourceLost("no frame of it can be decoded")
    if last + stride + total // 10 < total:
        raise SourceLost(f"breaks off after {last} of {total} frames")


@dataclass
class LiveReader:
    """Frames of a camera or stream, with reconnection.

    After a failure it waits 1, 2, 4 ... 30 seconds, and gives up after `retries` failures in a row (0: never). A camera
    that never opened is given up at once, unless `retries` is 0. A source that states its length is a video, and ends.
    """

    item: Source
    opener: Callable[[Source], Capture] = open_capture
    stride: int = 1
    retries: int = 5
    wait: Callable[[float], bool] = threading.Event().wait  # seconds -> whether the run is over
    log: Callable[[str], None] = LOGGER.info
    clock: Callable[[], float] = time.monotonic
    monitor: SourceMonitor | None = None  # told when the source is opened and breaks off
    fastest: float = 0.0  # frames per second that are converted at most, whatever the camera sends; 0: all
    number: int = 0  # frames seen so far, over all connections
    latest: float = 0.0  # when the last one was read
    breaks: int = 0  # how often the source broke off since that was logged
    logged: float = float("-inf")  # the time of the last frame then
    started: float | None = None
    _converted: float = field(default=float("-inf"), init=False, repr=False)

    def frames(self) -> Iterator[Frame]:
        """Frames until the end. Raises SourceLost when it gives up."""
        failures = 0
        while True:
            before = self.number
            if (yield from self._connection()):
                return
            failures = 1 if self.number > before else failures + 1
            what = "broke off" if self.number > before else f"cannot be opened{self._hint}"
            missing_camera = self.item.kind == "camera" and not self.number
            if self.retries > 0 and (failures > self.retries or missing_camera):
                raise SourceLost(f"{what}, and {failures - 1} further tries did not help" if failures > 1 else what)
            if self.monitor is not None:
                self.monitor.ended(RECONNECTING, what)
            delay = min(2.0 ** min(failures - 1, MOST_DOUBLINGS), LONGEST_WAIT)
            if self._is_news(self.number > before):
                tries = f"try {failures} of {self.retries}" if self.retries else f"try {failures}"
                again = f" ({self.breaks} times since that was last logged)" if self.breaks > 1 else ""
                self.log(f"{self.item.label}: {what}{again}; {tries} to reconnect in {delay:.0f} s")
                self.breaks = 0
            if self.wait(delay):
                return

    def _is_news(self, broke_off: bool) -> bool:
        """Whether to log a failure: of a source that comes and goes, one break every LOG_EVERY seconds."""
        if not broke_off:
            return True
        self.breaks += 1
        if self.latest - self.logged < LOG_EVERY:
            return False
        self.logged = self.latest
        return True

    @property
    def _hint(self) -> str:
        """What is probably wrong with an address that cannot be opened."""
        return f" ({UNESCAPED})" if unescaped_password(self.item.where) else ""

    def _connection(self) -> Generator[Frame, None, bool]:
        """Frames of one connection; returns whether the source came to its end (and did not break off)."""
        capture = self.opener(self.item)
        try:
            if not capture.isOpened():
                return False
            if self.monitor is not None:
                self.monitor.connected()
            total = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))) if self.item.kind == "stream" else 0
            wanted = self._wanted if self.fastest and not total else None
            arrived = self.monitor.arrived if self.monitor is not None else None
            for number, image in _grab(capture, self.stride, 0 if total else self.number, wanted, arrived):
                if number > self.number:  # a video that is read again goes on where it broke off
                    now = self.latest = self.clock()
                    self.number, self.started = number, now if self.started is None else self.started
                    own = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    yield Frame(
                        self.item, image, number, total, _rate(capture), not total, now - self.started, now, own
                    )
            return bool(total) and self.number + self.stride + total // 10 >= total
        finally:
            capture.release()

    def _wanted(self) -> bool:
        """Whether enough time has passed since the last frame to convert another one."""
        now = self.clock()
        if now - self._converted < 1 / self.fastest:
            return False
        self._converted = now
        return True


def frames_of(
    item: Source, opener: Callable[[Source], Capture], stride: int, over: Callable[[], bool], **live: Any
) -> Generator[Frame, None, None]:
    """Frames of an item of any kind. over: whether the run is over; live: what a `LiveReader` takes besides."""
    if item.problem:
        raise SourceLost(item.problem)
    if item.kind == "image":
        yield from read_image(item)
    elif item.kind == "video":
        with on_disk(item, over) as file:
            if over():  # and only part of it may be there
                return
            if is_text(Path(file.where)):
                raise SourceLost("is a text, not a video")
            yield from read_video(item, opener(file), stride)
    else:
        yield from LiveReader(item, opener, stride, **live).frames()


def _grab(
    capture: Capture,
    stride: int,
    start: int = 0,
    wanted: Callable[[], bool] | None = None,
    arrived: Callable[[], None] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """(number from `start` + 1, image) of every `stride`-th frame, the first one included; others are not converted.

    wanted: asked before a frame is converted. arrived: told of every frame, also of one that is passed over. Raises
    SourceLost for a frame of more than IMAGE_PIXELS.
    """
    number = start
    _refuse_giant(capture)
    with suppress(cv2.error):  # some drivers say so when a camera is pulled out
        while capture.grab():
            _refuse_giant(capture)
            number += 1
            if arrived is not None:
                arrived()
            if (number - start - 1) % stride or (wanted is not None and not wanted()):
                continue
            good, image = capture.retrieve()
            if not good or image is None:
                return
            yield number, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


def _refuse_giant(capture: Capture) -> None:
    """Raise SourceLost for frames of more than IMAGE_PIXELS: a few kilobytes may claim them, and each takes gigabytes."""
    width, height = (int(capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > IMAGE_PIXELS:
        raise SourceLost(f"has frames of {width} x {height} pixels, more than {IMAGE_PIXELS:,} in all")


def _rate(capture: Capture) -> float:
    """Frames per second as the source states them; 0 if implausible."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate <= 240 else 0.0
