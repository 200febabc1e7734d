"""Videos that are complete or not there."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np

from data.io.video import finalize_video
from engine.recording.encoders import Encoder, open_encoder
from utils.errors import UserError
from utils.files import disk_full

LONGEST_GAP = 2.0  # seconds of a still image that stand for a live source's silence, at most


class VideoWriter:
    """An .mp4 that appears under its name when it is complete, `NAME.part.mp4` until then.

    A change of image size begins another file, NAME_2.mp4: one file can hold one size only. codec: see `open_encoder`.
    """

    def __init__(self, path: Path, fps: float, codec: str = "auto") -> None:
        self.path, self.fps, self.codec = path, fps, codec
        self.written = 0
        self._before = 0  # of `written`, those in earlier files
        self._left_out = 0
        self._files = 0
        self._size = (0, 0)
        self._out: Encoder | None = None

    def write(self, image: np.ndarray, seconds: float | None = None) -> None:
        """Add an image (H, W, 3) uint8.

        `seconds` since the first one are given of a live source. The video then keeps real time: an image is repeated
        when it came late, and left out when it came too soon.
        """
        size = (image.shape[1], image.shape[0])
        if size != self._size:
            self._begin(size)
        for _ in range(1 if seconds is None else self._due(seconds)):
            assert self._out is not None
            try:
                self._out.write(image)
            except OSError as problem:
                if disk_full(problem) is None:
                    raise
                self._give_up()
            self.written += 1

    def close(self) -> None:
        """Complete the file and give it its name. Raises UserError where the disk could not take all of it."""
        out, self._out = self._out, None
        if out is not None:
            try:
                out.close()
            except OSError:
                self._give_up()
            if self.written > self._before:
                finalize_video(self._partial, self._complete)
            else:
                self._partial.unlink()

    def _give_up(self) -> NoReturn:
        """Remove the file that does not fit on the disk, and say so."""
        self._out = None
        self._partial.unlink(missing_ok=True)
        raise UserError(
            f"{self._complete}: the video could not be written completely. Free space on that disk, or choose another."
        )

    @property
    def _complete(self) -> Path:
        """Name of the current file when it is complete."""
        tail = f"_{self._files}" if self._files > 1 else ""
        return self.path.with_name(f"{self.path.stem}{tail}{self.path.suffix}")

    @property
    def _partial(self) -> Path:
        """Name of the current file until it is complete."""
        return self._complete.with_suffix(f".part{self.path.suffix}")

    def _begin(self, size: tuple[int, int]) -> None:
        """Start a file for images of (width, height)."""
        self.close()
        self._files, self._size, self._before = self._files + 1, size, self.written
        try:
            self._out = open_encoder(self._partial, size, self.fps, self.codec)
        except OSError:
            raise UserError(
                f"{self._partial}: no video can be written there. Choose another --project, or --nosave."
            ) from None

    def _due(self, seconds: float) -> int:
        """How many frames to write now so that the video keeps real time; a long silence is shortened."""
        due = round(seconds * self.fps) + 1 - self.written - self._left_out
        limit = max(1, round(LONGEST_GAP * self.fps))
        self._left_out += max(0, due - limit)
        return max(0, min(due, limit))
