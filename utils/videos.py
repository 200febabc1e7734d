"""Whether a written video is whole: OpenCV's writer raises nothing when the disk is full."""

from __future__ import annotations

from pathlib import Path

import cv2

from utils.files import UserError


def settle_video(partial: Path, path: Path, frames: int) -> None:
    """Give a video that was just written its name, if it holds every frame; else remove it.

    Raises UserError where frames are missing.
    """
    found = frames_in(partial)
    if found < frames:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: {frames - found} of {frames} frames could not be written, so there is no such video. "
            "Make room on that disk, or choose another place."
        )
    partial.replace(path)


def frames_in(path: Path) -> int:
    """Frames that a video's header counts; 0 where it is no video that can be read."""
    capture = cv2.VideoCapture(str(path))
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()
