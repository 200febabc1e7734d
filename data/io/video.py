"""Frames of videos, with OpenCV. A source is never changed; a damaged one gives what it has. A written one is checked."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from data.io.images import MOST_PIXELS
from utils.disk.reading import is_text
from utils.errors import UserError

Frame = NDArray[np.uint8]  # (H, W, 3), blue-green-red as OpenCV decodes it


class Undecodable(Exception):
    """A file gives no frame. The message says why."""


@dataclass(frozen=True)
class VideoInfo:
    """Of a video: (height, width) px of its first frame, and the number of frames that its header states, at least 1."""

    size: tuple[int, int]
    frames: int

    def __str__(self) -> str:
        return f"{self.size[1]} x {self.size[0]} px and {self.frames} frames"


@contextmanager
def opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """A video, open. Raises Undecodable for an empty or missing file, or one that OpenCV cannot read."""
    if not path.is_file() or not path.stat().st_size:
        raise Undecodable("the file is empty" if path.is_file() else "there is no such file")
    if is_text(path):
        raise Undecodable("it is a text, not a video")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # ours say what matters
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise Undecodable("it cannot be opened as a video")
        if capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT) > MOST_PIXELS:
            raise Undecodable(f"its frames have more than {MOST_PIXELS:,} pixels")
        yield capture
    finally:
        capture.release()


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, OpenCV keeps its remarks on damaged files to itself."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def probe_video(path: Path) -> VideoInfo | str:
    """Decode the first frame of a video; its facts, or why it cannot be decoded."""
    try:
        with opened(path) as capture:
            good, frame = capture.read()
            if not good or frame is None:
                return "no frame of it can be decoded"
            return VideoInfo((frame.shape[0], frame.shape[1]), max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))
    except Undecodable as problem:
        return str(problem)


def probe_videos(paths: Sequence[Path]) -> list[VideoInfo | str]:
    """`probe_video` at many videos, a few at a time."""
    with quiet(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(probe_video, paths))


def read_frames(path: Path, indices: Sequence[int]) -> Iterator[Frame]:
    """Frames of the numbers `indices` (rising, counted from 0), as far as the file goes: 1 to len(indices), one by one.

    A video that breaks off before the first of them is read from its start instead. A frame of another size than the
    first one is scaled to it. Frames between are decoded, not converted. Raises Undecodable where no frame comes.
    """
    shape = None
    with opened(path) as capture:
        for frame in _retrieved(capture, indices):
            shape = shape or frame.shape[:2]
            yield _in_colour(frame, shape)
    if shape is not None:
        return
    if indices[0] == 0:
        raise Undecodable("no frame of it can be decoded")
    yield from read_frames(path, [number - indices[0] for number in indices])


def _retrieved(capture: cv2.VideoCapture, indices: Sequence[int]) -> Iterator[Frame]:
    """The frames of these numbers, until one does not come."""
    number = -1
    for goal in indices:
        while number < goal:
            if not capture.grab():
                return
            number += 1
        good, frame = capture.retrieve()
        if not good or frame is None:
            return
        yield np.asarray(frame, np.uint8)


def _in_colour(frame: Frame, size: tuple[int, ...]) -> Frame:
    """The frame in colour, and of this (height, width)."""
    colour = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if frame.ndim == 2 else frame
    if colour.shape[:2] == size:
        return np.asarray(colour, np.uint8)
    return np.asarray(cv2.resize(colour, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def finalize_video(partial: Path, path: Path) -> None:
    """Rename a video that was just written, or remove it where it is unreadable: OpenCV's writer ignores a full disk.

    Raises UserError in that case.
    """
    if not frames_in(partial):
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: the video could not be written completely. Free space on that disk, or choose another."
        )
    partial.replace(path)


def frames_in(path: Path) -> int:
    """Frames that a video's header counts; 0 where it is no video that can be read."""
    if path.suffix.lower() == ".mp4" and path.is_file():
        return _frames_in_mp4(path)
    capture = cv2.VideoCapture(str(path))
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()


def _frames_in_mp4(path: Path) -> int:
    """Samples that the header (moov/trak/mdia/minf/stbl/stsz) of a whole .mp4 counts, else 0. Source: ISO/IEC 14496-12.

    Read here because OpenCV opens one video at a time, and would wait for a silent camera that is being opened.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        place, end, wanted = 0, size, ["moov", "trak", "mdia", "minf", "stbl", "stsz"]
        while wanted and place + 8 <= end:
            length, name = _box(file, place)
            if length < 8 or place + length > end:
                return 0
            if name == wanted[0]:
                wanted.pop(0)
                place, end = place + 8, place + length
            else:
                place += length
        file.seek(place + 8)  # after version, flags and the common size
        return int.from_bytes(file.read(4), "big") if not wanted and place + 12 <= size else 0


def _box(file: BinaryIO, place: int) -> tuple[int, str]:
    """(bytes, name) of the box at a place of an .mp4 file."""
    file.seek(place)
    length, name = struct.unpack(">I4s", file.read(8))
    if length == 1:
        length = int.from_bytes(file.read(8), "big")
    return length, name.decode("latin-1")
