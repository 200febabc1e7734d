"""Do confidences mean what they say? Of detections with confidence 0.8, four of five should be right.

Sources: Küppers et al., Multivariate Confidence Calibration for Object Detection (CVPR workshops 2020): detection ECE;
Guo et al., On Calibration of Modern Neural Networks (ICML 2017): temperature scaling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 20  # of confidence, equally wide, as published
LOWEST = 0.25  # confidence from which detections are used: those below are many and always calibrated
COOLEST, HOTTEST = 0.1, 10.0  # limits of a temperature
STEPS = 60  # of the search: 0.618^60 of its range
FEWEST = 20  # detections that a temperature can be fitted to
_EDGE = 1e-6  # confidences of 0 and 1 have no finite logit


def reliability(scores: NDArray, hit: NDArray, bins: int = BINS, lowest: float = LOWEST) -> list[dict[str, Any]]:
    """One row per bin of confidence with detections: its limits, detections, mean confidence, and precision.

    scores: (n,) in [0, 1]; hit: (n,) bool. Detections below `lowest`, and NaN, are left out.
    """
    used = scores >= lowest
    scores, hit = scores[used].astype(float), hit[used]
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {
            "from": number / bins,
            "to": (number + 1) / bins,
            "detections": int(mine.sum()),
            "confidence": float(scores[mine].mean()),
            "precision": float(hit[mine].mean()),
        }
        for number in np.unique(place)
        for mine in [place == number]
    ]


def detection_ece(scores: NDArray, hit: NDArray, bins: int = BINS, lowest: float = LOWEST) -> float:
    """The mean over detections of how far precision and confidence of their bin differ; NaN without detections.

    >>> detection_ece(np.array([0.9, 0.9, 0.9, 0.5]), np.array([True, True, False, False]))   # (3 |0.9 - 2/3| + 0.5) / 4
    0.3...
    """
    rows = reliability(scores, hit, bins, lowest)
    total = sum(row["detections"] for row in rows)
    gaps = (row["detections"] * abs(row["confidence"] - row["precision"]) for row in rows)
    return sum(gaps) / total if total else float("nan")


def scaled(scores: NDArray, temperature: float) -> NDArray[np.float64]:
    """Confidences at another temperature: sigmoid(logit / temperature). Their order stays."""
    return 1 / (1 + np.exp(-_logits(scores) / temperature))


def _logits(scores: NDArray) -> NDArray[np.float64]:
    clipped = scores.astype(float).clip(_EDGE, 1 - _EDGE)
    return np.log(clipped / (1 - clipped))


def fit_temperature(scores: NDArray, hit: NDArray, lowest: float = LOWEST) -> float:
    """The temperature that makes the hits and misses of these detections most likely, between 0.1 and 10.

    scores: (n,) in [0, 1] at temperature 1; hit: (n,) bool; those below `lowest`, and NaN, are left out. The likelihood has
    one maximum over 1 / temperature, which a golden section search finds. Raises ValueError for fewer than 20 detections.
    """
    used = scores >= lowest
    if used.sum() < FEWEST:
        raise ValueError(f"{int(used.sum())} detections of confidence {lowest} or more: expected at least {FEWEST}")
    signed = np.where(hit[used], 1, -1) * _logits(scores[used])

    def loss(inverse: float) -> float:
        return float(np.logaddexp(0, -inverse * signed).mean())

    low, high, ratio = 1 / HOTTEST, 1 / COOLEST, (5**0.5 - 1) / 2
    for _ in range(STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return 2 / (low + high)
