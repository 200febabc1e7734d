"""Encoders of .mp4 files: H.264 and AV1 by PyAV, which browsers play; MPEG-4 part 2 by OpenCV, which every build carries."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import cv2
import numpy as np

from data.io.video import frames_in
from engine.streams.av_capture import has_av
from utils.errors import UserError
from utils.log import LOGGER

CODECS = ("auto", "h264", "av1", "mpeg4")
MPEG4 = "mpeg4"
SMALLEST = 64  # px of the shorter side below which AV1 does not encode; such images become H.264
SLOWEST = Fraction(1, 1001)  # frames per second
TICKS = 1000  # a second: the time base of files whose frames carry times
KEYFRAMES = 2.0  # seconds between two key frames: a browser can start at each


class _Library(NamedTuple):
    """An encoder of FFmpeg and its options."""

    name: str
    options: dict[str, str]


LIBRARIES = {
    "h264": _Library("libx264", {"preset": "veryfast", "crf": "23"}),
    "av1": _Library("libsvtav1", {"preset": "11", "crf": "35", "svtav1-params": "lp=1"}),
}


class Encoder(Protocol):
    """Writes images of one size into a file."""

    codec: str

    def write(self, image: np.ndarray, seconds: float | None = None) -> None:
        """Add an image (H, W, 3) uint8, blue-green-red; it is shown `seconds` after the file's start, or as the next one."""

    def close(self) -> None:
        """Complete the file. Raises OSError where the disk could not take it."""


class AvEncoder:
    """H.264 or AV1. `fragmented`: what was written is playable even if the file is never completed."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, codec: str, *, fragmented: bool = False) -> None:
        import av

        library = LIBRARIES[codec]
        live = {"tune": "zerolatency"} if fragmented and codec == "h264" else {}  # nothing is held back for long
        rate = max(Fraction(fps).limit_denominator(1001), SLOWEST)
        self.codec, self._base = codec, Fraction(1, TICKS) if fragmented else 1 / rate
        self._step = max(1, round(1 / (rate * self._base)))  # ticks of a frame
        self._size = size[0] + size[0] % 2, size[1] + size[1] % 2  # colour has half the resolution
        flags = "frag_keyframe+empty_moov+default_base_moof" if fragmented else "+faststart"
        self._file: Any = av.open(str(path), "w", format="mp4", options={"movflags": flags, "flush_packets": "1"})
        self._stream = cast("Any", self._file.add_stream(library.name, rate=rate, options=library.options | live))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._base
        context.gop_size = max(1, round(KEYFRAMES * fps))
        context.thread_count = 1
        self._file.start_encoding()  # here, so that what cannot be is told at once
        self._ticks = -1

    def write(self, image: np.ndarray, seconds: float | None = None) -> None:
        """See Encoder."""
        import av

        frame = av.VideoFrame.from_ndarray(self._even(image), format="bgr24")
        following = self._ticks + self._step if self._ticks >= 0 else 0
        self._ticks = max(self._ticks + 1, following if seconds is None else round(seconds / self._base))
        frame.pts, frame.time_base = self._ticks, self._base
        for packet in self._stream.encode(frame):
            self._file.mux(packet)

    def close(self) -> None:
        """See Encoder."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if self._ticks >= 0:
                for packet in self._stream.encode():
                    file.mux(packet)
        finally:
            file.close()

    def _even(self, image: np.ndarray) -> np.ndarray:
        """The image with its last row or column repeated where its height or width is odd."""
        right, below = self._size[0] - image.shape[1], self._size[1] - image.shape[0]
        if right or below:
            return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(image)


class OpenCvEncoder:
    """MPEG-4 part 2 at a constant rate: an image is repeated until the next one is due."""

    codec = MPEG4

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self._path, self._fps, self._written = path, fps, 0
        self._out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        if not self._out.isOpened():
            path.touch()  # raises what the system says of it
            path.unlink()
            raise OSError(f"{path}: cannot be written")

    def write(self, image: np.ndarray, seconds: float | None = None) -> None:
        """See Encoder."""
        due = 1 if seconds is None else max(0, round(seconds * self._fps) + 1 - self._written)
        for _ in range(due):
            self._out.write(image)
        self._written += due

    def close(self) -> None:
        """See Encoder."""
        self._out.release()
        if self._written and not frames_in(self._path):  # OpenCV's writer ignores a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))


def open_encoder(
    path: Path, size: tuple[int, int], fps: float, codec: str = "auto", *, fragmented: bool = False
) -> Encoder:
    """An encoder for images of (width, height) px. Raises OSError where the file cannot be written.

    codec: one of CODECS; see chosen. fragmented: see AvEncoder.
    """
    codec = chosen(codec)
    if codec == MPEG4:
        return OpenCvEncoder(path, size, fps)
    if codec == "av1" and min(size) < SMALLEST:
        codec = "h264"
    import av

    try:
        return AvEncoder(path, size, fps, codec, fragmented=fragmented)
    except OSError:
        raise
    except (av.FFmpegError, ValueError) as problem:
        raise OSError(f"{path}: {size[0]} x {size[1]} px cannot be encoded as {codec} ({problem})") from None


@cache
def chosen(codec: str) -> str:
    """The codec that `auto` stands for: H.264 where PyAV can encode it, else MPEG-4, which is said once.

    Raises UserError for a codec that was asked for and is not there.
    """
    there = _encoders()
    if codec == "auto":
        if "h264" in there:
            return "h264"
        LOGGER.info("note: videos are MPEG-4 part 2, which browsers do not play; pip install av for H.264")
        return MPEG4
    if codec != MPEG4 and codec not in there:
        reason = f"this PyAV has no {LIBRARIES[codec].name}" if has_av() else "needs PyAV: run pip install av"
        raise UserError(f"--codec {codec}: {reason}. Or choose --codec mpeg4, which browsers do not play.")
    return codec


def _encoders() -> set[str]:
    """The codecs that PyAV can encode here."""
    if not has_av():
        return set()
    import av

    return {codec for codec, library in LIBRARIES.items() if library.name in av.codecs_available}
