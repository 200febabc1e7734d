"""Whether a written video is whole: OpenCV's writer raises nothing when the disk is full."""

from __future__ import annotations

from pathlib import Path

import cv2

from utils.errors import UserError


def settle_video(partial: Path, path: Path) -> None:
    """Give a video that was just written its name, or remove it where it has no end and so cannot be read.

    Raises UserError in that case.
    """
    if not frames_in(partial):
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: the video could not be written to its end. Make room on that disk, or choose another."
        )
    partial.replace(path)


def frames_in(path: Path) -> int:
    """Frames that a video's header counts; 0 where it is no video that can be read."""
    capture = cv2.VideoCapture(str(path))
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()
