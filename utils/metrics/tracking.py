"""IDF1 and HOTA of tracks, as TrackEval defines them.

Sources: Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking (ECCVW 2016), section 2
(IDF1); Luiten et al., HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking (IJCV 2021), section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ALPHAS = np.arange(1, 20) / 20  # 0.05, 0.10 ... 0.95: IoU from which a detection is a true positive
MATCH = 0.5  # IoU of IDF1
EPS = np.finfo(float).eps
Floats = NDArray[np.floating]
Assign = Callable[[Floats], tuple[NDArray[np.intp], NDArray[np.intp]]]
"""Cost (n, m) -> rows and columns of the one-to-one assignment of min(n, m) pairs with the lowest sum; as SciPy's."""


class TrackedFrame(NamedTuple):
    """What is in a frame and what was found, (n, 6) and (m, 6) each: identity, class, x1, y1, x2, y2 px."""

    truth: Floats
    found: Floats


def join(sequences: Sequence[Sequence[TrackedFrame]]) -> list[TrackedFrame]:
    """The frames of several sequences, with identities that no two share."""
    frames, first = [], 0
    for sequence in sequences:
        shift = np.array([first, 0, 0, 0, 0, 0])
        frames += [TrackedFrame(frame.truth + shift, frame.found + shift) for frame in sequence]
        first += 1 + max((int(rows[:, 0].max()) for frame in sequence for rows in frame if len(rows)), default=0)
    return frames


def tracking_scores(frames: Sequence[TrackedFrame], assign: Assign) -> dict[str, float]:
    """IDF1, IDP, IDR, HOTA, DetA, AssA of all classes together, fractions of 1; NaN without objects and tracks.

    Objects match detections of their own class only, so that these are the class scores averaged by detections, and those
    of joined sequences are their combination.
    """
    truth, found = _numbered([frame.truth for frame in frames]), _numbered([frame.found for frame in frames])
    overlaps = [similarity(frame.truth, frame.found) for frame in frames]
    if not truth.frames.size and not found.frames.size:
        return dict.fromkeys(("IDF1", "IDP", "IDR", "HOTA", "DetA", "AssA"), float("nan"))
    return {**_identity(truth, found, overlaps, assign), **_hota(truth, found, overlaps, assign)}


class _Tracks(NamedTuple):
    """Track numbers of each frame's rows, 0, 1, ... over all frames; frames: (tracks,) in how many each is."""

    rows: list[NDArray[np.intp]]
    frames: NDArray[np.intp]


def _numbered(frames: Sequence[Floats]) -> _Tracks:
    """A track is an identity in one class, since scores are per class."""
    keys = np.concatenate([rows[:, :2] for rows in frames]) if frames else np.zeros((0, 2))
    _, place, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    ends = np.cumsum([len(rows) for rows in frames])[:-1]
    return _Tracks(np.split(place.ravel(), ends) if frames else [], count)


def similarity(truth: Floats, found: Floats) -> NDArray[np.float64]:
    """(n, m) IoU of boxes of the same class, 0 for those of different ones; rows as in TrackedFrame.

    >>> similarity(np.array([[1, 0, 0, 0, 4, 4]]), np.array([[7, 0, 2, 0, 6, 4], [8, 1, 0, 0, 4, 4]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    a, b = truth[:, None, 2:], found[None, :, 2:]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)  # (n, m, 2)
    shared = sides.prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared  # (n, m)
    same = truth[:, None, 1] == found[None, :, 1]
    return np.where(same, shared / np.maximum(union, EPS), 0.0)


def _identity(truth: _Tracks, found: _Tracks, overlaps: Sequence[Floats], assign: Assign) -> dict[str, float]:
    """One track per object at most, such that they agree in as many detections as possible (IDTP)."""
    agree = np.zeros((len(truth.frames), len(found.frames)))
    for mine, theirs, overlap in zip(truth.rows, found.rows, overlaps, strict=True):
        rows, columns = np.nonzero(overlap >= MATCH)
        agree[mine[rows], theirs[columns]] += 1
    rows, columns = assign(-agree)
    right, objects, detections = (float(part.sum()) for part in (agree[rows, columns], truth.frames, found.frames))
    return {
        "IDF1": 2 * right / (objects + detections),
        "IDP": right / max(1, detections),
        "IDR": right / max(1, objects),
    }


def _hota(truth: _Tracks, found: _Tracks, overlaps: Sequence[Floats], assign: Assign) -> dict[str, float]:
    """Per IoU: detections that match (DetA), and how well their tracks and objects agree over time (AssA); HOTA: both."""
    alignment = _alignment(truth, found, overlaps)
    matches = np.zeros((len(ALPHAS), len(truth.frames), len(found.frames)))
    for mine, theirs, overlap in zip(truth.rows, found.rows, overlaps, strict=True):
        rows, columns = assign(-alignment[np.ix_(mine, theirs)] * overlap)
        hit = overlap[rows, columns] >= ALPHAS[:, None] - EPS  # (alphas, pairs)
        matches[:, mine[rows], theirs[columns]] += hit  # no pair stands twice in a frame
    right = matches.sum((1, 2))  # (alphas,) true positives
    union = truth.frames.sum() + found.frames.sum() - right
    together = truth.frames[:, None] + found.frames[None] - matches  # (alphas, objects, tracks)
    association = (matches * (matches / np.maximum(1, together))).sum((1, 2)) / np.maximum(1, right)
    detection = right / np.maximum(1, union)
    scores = {"HOTA": np.sqrt(detection * association), "DetA": detection, "AssA": association}
    return {name: float(values.mean()) for name, values in scores.items()}


def _alignment(truth: _Tracks, found: _Tracks, overlaps: Sequence[Floats]) -> NDArray[np.float64]:
    """(objects, tracks) how well two tracks agree over all frames; it decides who matches whom where boxes crowd."""
    shared = np.zeros((len(truth.frames), len(found.frames)))
    for mine, theirs, overlap in zip(truth.rows, found.rows, overlaps, strict=True):
        total = overlap.sum(0, keepdims=True) + overlap.sum(1, keepdims=True) - overlap
        shared[np.ix_(mine, theirs)] += np.where(total > EPS, overlap / np.maximum(total, EPS), 0.0)
    return shared / np.maximum(truth.frames[:, None] + found.frames[None] - shared, EPS)


def without_small(frame: TrackedFrame, least: float, assign: Assign) -> TrackedFrame:
    """A frame without objects whose longer side is below `least` px, detections of these, and small unmatched detections.

    So that whoever finds what is too small to be asked for loses nothing by it. Source: the rules of KITTI's tracking
    benchmark, with the longer side in place of the height.
    """
    overlap = similarity(frame.truth, frame.found)
    rows, columns = assign(-np.where(overlap >= MATCH, overlap, 0.0))
    pairs = {
        column: row
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if overlap[row, column] >= MATCH
    }
    asked, large = _longer(frame.truth) >= least, _longer(frame.found) >= least
    keep = [asked[pairs[place]] if place in pairs else large[place] for place in range(len(frame.found))]
    return TrackedFrame(frame.truth[asked], frame.found[np.array(keep, bool)])


def _longer(rows: Floats) -> Floats:
    """(n,) longer side of boxes, px."""
    return (rows[:, 4:] - rows[:, 2:4]).max(1, initial=0)
