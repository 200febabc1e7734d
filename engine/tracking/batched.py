"""Ultralytics' trackers with one Kalman correction of all matched tracks of a frame in place of one for each.

Theirs works on arrays of four numbers, track by track, where numpy takes far longer to be called than to compute. States equal
theirs to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.trackers.basetrack import TrackState  # noqa: E402
from ultralytics.trackers.byte_tracker import STrack  # noqa: E402
from ultralytics.trackers.utils.kalman_filter import KalmanFilterXYAH, KalmanFilterXYWH  # noqa: E402

Floats = NDArray[np.float64]


class StateSpace(NamedTuple):
    """What a Kalman filter's first four numbers are: sizes of boxes on which the noise of each depends, and from boxes to them.

    sizes: the columns of a mean (n, 8) that the noise is relative to. fixed: (column, standard deviation) of what has its own.
    measured: boxes (n, 4) left, top, width, height px -> (n, 4).
    """

    sizes: tuple[int, int, int, int]
    fixed: dict[int, float]
    measured: Callable[[Floats], Floats]

    def noise(self, kalman: Any, means: Floats) -> Floats:
        """Standard deviations (n, 4) of a measurement, as the filter's `project` takes them."""
        found = np.asarray(kalman._std_weight_position * means[:, self.sizes])
        for column, deviation in self.fixed.items():
            found[:, column] = deviation
        return found


def centred(boxes: Floats) -> Floats:
    """Boxes (n, 4) left, top, width, height as x, y of the centre, width, height."""
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], 1)


def with_aspect(boxes: Floats) -> Floats:
    """Boxes (n, 4) left, top, width, height as x, y of the centre, width / height, height."""
    found = centred(boxes)
    found[:, 2] /= found[:, 3]
    return found


SPACES = {
    KalmanFilterXYAH: StateSpace((3, 3, 3, 3), {2: 0.1}, with_aspect),
    KalmanFilterXYWH: StateSpace((2, 3, 2, 3), {}, centred),
}


def correct(kalman: Any, means: Floats, covariances: Floats, measured: Floats) -> tuple[Floats, Floats]:
    """`kalman.update` of n tracks at once.

    means: (n, 8); covariances: (n, 8, 8); measured: (n, 4). Returns the new means and covariances. kalman: of a type in SPACES.
    """
    projected = covariances[:, :4, :4].copy()
    projected[:, range(4), range(4)] += SPACES[type(kalman)].noise(kalman, means) ** 2
    gains = np.linalg.solve(projected, covariances[:, :, :4].transpose(0, 2, 1)).transpose(0, 2, 1)  # (n, 8, 4)
    moved = means + (gains @ (measured - means[:, :4])[..., None])[..., 0]
    return moved, covariances - gains @ projected @ gains.transpose(0, 2, 1)


class _Corrected:
    """Takes the place of a track's Kalman filter for one correction that is known already."""

    def __init__(self, mean: Floats, covariance: Floats) -> None:
        self.state = mean, covariance

    def update(self, *_: Any) -> tuple[Floats, Floats]:
        """The corrected mean (8,) and covariance (8, 8)."""
        return self.state


class Batched:
    """Mixin of a `BYTETracker`: matched tracks that were seen in the last frame are corrected together."""

    def _apply_matches(
        self, matches: Any, pool: Sequence[Any], detections: Sequence[Any], activated: list[Any], refind: list[Any]
    ) -> None:
        """See BYTETracker; lost tracks that are found again are corrected one by one, as some trackers move them before."""
        kalman: Any = getattr(self, "kalman_filter")  # noqa: B009 - of the tracker that this is mixed into
        pairs = [(pool[track], detections[found]) for track, found in matches]
        together = [(track, found) for track, found in pairs if track.state == TrackState.Tracked]
        if together and type(kalman) in SPACES:
            means, covariances = (
                np.array([getattr(track, name) for track, _ in together]) for name in ("mean", "covariance")
            )
            measured = SPACES[type(kalman)].measured(np.array([found.tlwh for _, found in together]))
            states = correct(kalman, means, covariances, measured)
            for (track, _), mean, covariance in zip(together, *states, strict=True):
                track.kalman_filter = _Corrected(mean, covariance)
        super()._apply_matches(matches, pool, detections, activated, refind)  # type: ignore[misc]
        for track, _ in together:
            track.kalman_filter = kalman


class QuickCorners:
    """Mixin of an `STrack`: its corners from plain numbers, which are computed faster than arrays of four."""

    @property
    def xyxy(self) -> Floats:
        """The box of the state (centre, aspect, height) or, before there is one, of the detection: (4,)."""
        mean: Floats | None = getattr(self, "mean")  # noqa: B009
        if mean is None:
            found: Floats = super().xyxy  # type: ignore[misc]
            return found
        x, y, aspect, height = mean[:4].tolist()
        width = aspect * height
        left, top = x - width / 2, y - height / 2
        return np.array((left, top, left + width, top + height))


@cache
def batched(kind: type) -> type:
    """A tracker class with `Batched`; one that matches in another way (TrackTrack) as it is."""
    if not hasattr(kind, "_apply_matches"):
        return kind
    track = getattr(kind, "track_class", STrack)
    plain = track.tlwh is STrack.tlwh and track.xyxy is STrack.xyxy
    tracks = {"track_class": type(track.__name__, (QuickCorners, track), {})} if plain else {}
    return type(kind.__name__, (Batched, kind), tracks)
