"""A window for `--view-img`, where the machine has a display."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np

from utils.log import LOGGER

PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"
LEAVE = {ord("q"), 27}  # q and escape


def has_display() -> bool:
    """Whether a window can be opened. Tried in another process: without a display, trying may end the process."""
    try:
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=20)  # noqa: S603 - fixed text
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class Window:
    """Shows images, one window per source. Only the main thread may call it."""

    def show(self, title: str, image: np.ndarray, still: bool) -> bool:
        """Show an image (H, W, 3) uint8; a still one until a key is pressed. Returns whether to go on."""
        cv2.imshow(title, image)
        key = cv2.waitKey(1)
        while still and key < 0 and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1:
            key = cv2.waitKey(50)
        return key & 0xFF not in LEAVE or key < 0

    def close(self) -> None:
        """Close all windows."""
        cv2.destroyAllWindows()


def open_window() -> Window | None:
    """A window, or None and one warning where the machine has no display."""
    if has_display():
        return Window()
    LOGGER.warning("warning: --view-img: no display is available; continuing without a window")
    return None
