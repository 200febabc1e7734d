"""`--record`: annotated video of streams, all of it or what surrounds events, in segments with an index."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from engine.recording.encoders import Encoder, open_encoder
from engine.recording.segments import SegmentStore
from engine.tracking.result import TrackingResult
from utils.files import disk_full, out_of_files
from utils.log import LOGGER

QUALITY = 90  # of the JPEGs in the ring buffer
RING_BYTES = 64 * 2**20  # that the ring buffer of a source may take
ROOM_EVERY = 5.0  # seconds between two looks at the room that open segments take
AGAIN = 60.0  # seconds after which recording is tried again where the disk was full, or too many files were open
MOST_EVENTS = 20  # that the index names of one segment
GIB = 2**30


class Moment(NamedTuple):
    """An annotated frame of a source: image (H, W, 3), seconds since its first one, what happened in it."""

    image: np.ndarray
    seconds: float
    events: Sequence[str] = ()


@dataclass
class RecordingOptions:
    """mode: all or events. segment, before, after: seconds. limit: bytes of all segments together. regions: see events_of."""

    mode: str = "all"
    segment: float = 60.0
    before: float = 5.0
    after: float = 10.0
    limit: int = 10 * GIB
    codec: str = "auto"
    regions: bool = False
    clock: Callable[[], float] = field(default=time.time, repr=False)  # seconds since 1970


class Recorder:
    """Records several sources into one folder. A passing shortage ends no run: it is said, and tried again later."""

    def __init__(self, folder: Path, options: RecordingOptions, log: Callable[[str], None] = LOGGER.warning) -> None:
        self.options, self.log = options, log
        self.store = SegmentStore(folder, options.limit)
        self._sources: dict[str, _SourceRecorder] = {}
        self._paused_until = self._looked = 0.0

    def save(self, stem: str, label: str, fps: float, moment: Moment) -> None:
        """The next frame of a source; stem: of its files, label: in the index, fps: about."""
        now = self.options.clock()
        if now < self._paused_until:
            return
        if stem not in self._sources:
            self._sources[stem] = _SourceRecorder(self.store, self.options, stem, label, fps, now - moment.seconds)
        try:
            self._sources[stem].save(moment)
            self._make_room(now)
        except OSError as problem:
            self._pause(problem, now)
        else:
            if self._paused_until:
                self._paused_until = 0.0
                self.log("recording: goes on")

    def close(self, but: str = "") -> None:
        """Complete what is open, and forget all sources; but: the stem of one that goes on."""
        for stem in [stem for stem in self._sources if stem != but]:
            try:
                self._sources.pop(stem).close()
            except OSError as problem:
                self._pause(problem, self.options.clock())

    def _make_room(self, now: float) -> None:
        """Now and then, delete what does not fit beside the segments that are being written."""
        if now >= self._looked + ROOM_EVERY:
            self._looked = now
            self.store.make_room(sum(source.bytes for source in self._sources.values()))
            share = self.options.limit / (2 * len(self._sources))  # half of the room is for segments under way
            for source in self._sources.values():
                if source.bytes > share:
                    source.close()

    def _pause(self, problem: OSError, now: float) -> None:
        """Stop recording for a while at a shortage; anything else is raised."""
        short = passing_shortage(problem)
        if short is None:
            raise problem
        for source in self._sources.values():
            source.drop()
        if not self._paused_until:
            self.log(f"warning: recording: {short}; detection goes on without it, tried again every {AGAIN:.0f} s")
        self._paused_until = now + AGAIN


def passing_shortage(problem: OSError) -> str | None:
    """What ran out and may be there again later; None for anything else."""
    if disk_full(problem) is not None:
        return "the disk is full"
    return "too many files are open (see ulimit -n)" if out_of_files(problem) else None


class _SourceRecorder:
    """Records one source. start: of its first frame, seconds since 1970."""

    def __init__(
        self, store: SegmentStore, options: RecordingOptions, stem: str, label: str, fps: float, start: float
    ) -> None:
        self.store, self.options, self.stem, self.label, self.fps, self.start = store, options, stem, label, fps, start
        self._ring: deque[tuple[float, bytes]] = deque()
        self._ring_bytes = 0
        self._open: _OpenSegment | None = None
        self._wanted_until = float("-inf")  # seconds of the source

    def save(self, moment: Moment) -> None:
        """Record a frame, or keep it for a while in case something happens."""
        if moment.events:
            self._wanted_until = moment.seconds + self.options.after
        if self.options.mode == "events" and moment.seconds > self._wanted_until:
            self.close()
            self._keep(moment)
            return
        for earlier in self._kept(moment.seconds - self.options.before):
            self._write(earlier)
        self._write(moment)

    @property
    def bytes(self) -> int:
        """What the open segment takes on disk so far."""
        return self._open.path.stat().st_size if self._open is not None and self._open.path.is_file() else 0

    def close(self) -> None:
        """Complete the open segment."""
        segment, self._open = self._open, None
        if segment is not None:
            segment.close(self.store, self.label, self.start)

    def drop(self) -> None:
        """Give up the open segment and what is kept."""
        segment, self._open = self._open, None
        self._ring.clear()
        self._ring_bytes = 0
        if segment is not None:
            segment.drop()

    def _write(self, moment: Moment) -> None:
        """Add a frame to the open segment; another image size and the end of its time begin the next one."""
        size = moment.image.shape[1], moment.image.shape[0]
        if self._open is not None and self._open.ends(size, moment.seconds, self.options.segment):
            self.close()
        if self._open is None:
            path = self.store.begin(self.stem, self.start + moment.seconds)
            try:
                encoder = open_encoder(path, size, self.fps, self.options.codec, fragmented=True)
            except OSError:
                path.unlink(missing_ok=True)
                raise
            self._open = _OpenSegment(path, encoder, size, moment.seconds)
        self._open.write(moment)

    def _keep(self, moment: Moment) -> None:
        """Put a frame into the ring buffer, and take out what is too old or too much."""
        if not self.options.before:
            return
        coded = cv2.imencode(".jpg", moment.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        self._ring.append((moment.seconds, coded))
        self._ring_bytes += len(coded)
        while self._ring_bytes > RING_BYTES or self._ring[0][0] < moment.seconds - self.options.before:
            self._ring_bytes -= len(self._ring.popleft()[1])

    def _kept(self, since: float) -> list[Moment]:
        """Empty the ring buffer, of its frames since that second."""
        kept = [Moment(decoded(coded), seconds) for seconds, coded in self._ring if seconds >= since]
        self._ring.clear()
        self._ring_bytes = 0
        return kept


@dataclass
class _OpenSegment:
    """A segment that is being written. first, last: seconds of the source."""

    path: Path
    encoder: Encoder
    size: tuple[int, int]
    first: float
    last: float = 0.0
    frames: int = 0
    events: dict[str, None] = field(default_factory=dict)  # in order, each once

    def ends(self, size: tuple[int, int], seconds: float, longest: float) -> bool:
        """Whether a frame of this size at this time belongs to the next segment."""
        return size != self.size or seconds - self.first >= longest

    def write(self, moment: Moment) -> None:
        """Add a frame."""
        self.encoder.write(moment.image, moment.seconds - self.first)
        self.last, self.frames = moment.seconds, self.frames + 1
        self.events |= dict.fromkeys(moment.events)

    def close(self, store: SegmentStore, label: str, start: float) -> None:
        """Complete it and put it into the index."""
        try:
            self.encoder.close()
            events = list(self.events)[:MOST_EVENTS]
            store.finish(
                self.path, label, start + self.first, start + self.last, self.frames, self.encoder.codec, events
            )
        except OSError:
            self.path.unlink(missing_ok=True)
            raise

    def drop(self) -> None:
        """Remove it."""
        with suppress(OSError):  # the shortage is why
            self.encoder.close()
        self.path.unlink(missing_ok=True)


def decoded(coded: bytes) -> np.ndarray:
    """A JPEG of the ring buffer as (H, W, 3) uint8."""
    image = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


def events_of(boxes: np.ndarray, seen: TrackingResult, names: Mapping[int, str], regions: bool) -> list[str]:
    """What happened in a frame: with lines or zones (`regions`) crossings of them, else the classes that were detected."""
    if regions:
        return [f"{event.name}: {event.label} {event.action}" for event in seen.events]
    return [names.get(number, str(number)) for number in sorted({int(number) for number in boxes[:, 5].tolist()})]
