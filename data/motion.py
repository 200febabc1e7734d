"""Where something moves in a clip: a background model of Gaussians for every pixel, and the union over time.

The paper masks by a "temporal Gaussian mixture model" that its code does not hold; this is the natural reading (Zivkovic,
ICPR 2004, as OpenCV has it) for a camera that stands still. On 16 frames per model that starts with the first frame takes
what is there for background: it marks the place that an object leaves, and absorbs what moves slowly. So it starts with
the median over time here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SAMPLES = 64  # frames of which the median is taken, at most
HISTORY = 500  # frames over which the background forgets: what stands still for 0.1 of it belongs to it
THRESHOLD = 16.0  # squared distance to the background, in variances
LEAST_VARIANCE = 15.0  # grey levels squared, a channel; dark clips have more
OPENING = np.ones((3, 3), np.uint8)


def foreground(
    frames: NDArray[np.uint8], history: int = HISTORY, threshold: float = THRESHOLD, least_area: float = 5e-4
) -> NDArray[np.bool_]:
    """Pixels that something moves over in any frame but the first.

    frames: (T, H, W, 3), in order. `least_area`: connected spots below this fraction of the image are dropped, and so are
    lines thinner than 3 px. Returns bool (H, W); all False where nothing moves, and for a single frame. Objects that
    stay in place for more than half of the clip are background there. Raises ValueError for another shape or type.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"foreground expects uint8 frames (T, H, W, 3), T >= 1, got {frames.dtype} {frames.shape}")
    background = still(frames)
    model = cv2.createBackgroundSubtractorMOG2(history, threshold, detectShadows=False)
    model.setVarInit(max(LEAST_VARIANCE, noise_variance(frames, background)))
    model.setVarMax(max(model.getVarMax(), model.getVarInit()))
    model.apply(background)
    union = np.zeros(frames.shape[1:3], np.uint8)
    for frame in frames[1:]:
        moving = model.apply(np.ascontiguousarray(frame), learningRate=1 / history)
        union |= np.asarray(cv2.morphologyEx(moving, cv2.MORPH_OPEN, OPENING), np.uint8)
    return _without_specks(union > 0, least_area)


def still(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The median of each pixel and channel over time, (T, H, W, 3) to (H, W, 3); the lower one of two."""
    steps = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), SAMPLES)).round().astype(int))
    middle = (len(steps) - 1) // 2
    return np.partition(frames[steps], middle, axis=0)[middle]


def noise_variance(frames: NDArray[np.uint8], background: NDArray[np.uint8]) -> float:
    """Variance of a pixel's noise over time, grey levels squared: from the median deviation, which motion hardly moves."""
    few, step = (slice(None, None, 4), slice(None, None, 4)), max(1, len(frames) // 8)  # one pixel in 16 will do
    deviation = np.abs(frames[::step, *few].astype(np.int16) - background[few])
    return float(1.4826 * np.median(deviation)) ** 2


def _without_specks(mask: NDArray[np.bool_], least_area: float) -> NDArray[np.bool_]:
    """The mask without connected spots of less than `least_area` of the image."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_area * mask.size
    keep[0] = False  # the ground
    return keep[labels]
