"""Videos of a synthetic street by day or at night, with the identities of its actors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data.io.video import finalize_video
from data.synthetic.generate import in_processes
from data.synthetic.registry import Image
from data.synthetic.render.lighting import day, night, night_exposure, night_light
from data.synthetic.street.infrared import draw_lamp, infrared, infrared_exposure, infrared_light
from data.synthetic.street.scene import Frame, draw, make_street
from utils.errors import UserError
from utils.progress import progress as shown

LOOKS = ("night", "day", "infrared")


class ClipFrame(NamedTuple):
    """A frame of a clip: image (H, W, 3) RGB, labels (n, 6): identity from 1, class, x1, y1, x2, y2 in pixels."""

    image: Image
    labels: NDArray[np.float32]


def street_clip(
    path: Path,
    *,
    look: str = "night",
    seconds: float = 10.0,
    fps: int = 15,
    size: tuple[int, int] = (400, 300),
    seed: int = 0,
    labels: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Film a synthetic street as .mp4: traffic drives, people and dogs walk; only the noise differs by frame.

    look: one of LOOKS. size: (width, height), multiples of 4. labels: a file for the ground truth in MOTChallenge's format,
    rows `frame,id,left,top,width,height,1,class,1`, classes from 1. Files appear whole or not at all. Raises UserError
    where they cannot be written.
    """
    path, total = Path(path), max(1, round(seconds * fps))
    partial = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror}). Choose a writable location.") from None
    tasks = [(look, seed, size, fps, list(range(i, min(i + 5, total)))) for i in range(0, total, 5)]
    writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    rows = []
    try:
        if not writer.isOpened():
            raise UserError(
                f"{path}: no video can be written there. Expected a writable location and a name ending in .mp4."
            )
        frames = in_processes(_film, tasks, workers)
        for number, frame in enumerate(shown(frames, total, f"filming {path.name}") if progress else frames, 1):
            writer.write(np.ascontiguousarray(frame.image[..., ::-1]))
            rows += [mot_row(number, label) for label in frame.labels.tolist()]
        writer.release()
        if labels is not None:
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text("".join(rows))
        finalize_video(partial, path)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)


def mot_row(number: int, label: Sequence[float]) -> str:
    """A row of ground truth. label: identity, class from 0, x1, y1, x2, y2 px from 0.

    >>> mot_row(3, [7, 2, 10, 20, 30, 60])
    '3,7,11.00,21.00,20.00,40.00,1,3,1\\n'
    """
    identity, kind, x1, y1, x2, y2 = label
    return f"{number},{int(identity)},{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,{int(kind) + 1},1\n"


def clip_frames(
    look: str, seed: int, size: tuple[int, int], times: Sequence[float], shots: Sequence[int]
) -> list[ClipFrame]:
    """Frames of the street `seed` at these times in seconds, all exposed as its first one would be. shots: noise of each.

    An actor that has left the street's end and comes in again has another identity.
    """
    street = make_street(seed, size, moving=True)
    take = _camera(look, draw(street), seed)
    found = []
    for time, shot in zip(times, shots, strict=True):
        frame = draw(street, time)
        image = take(frame, shot)
        rounds = [street.actors[number].round(time) for number in frame.actors]
        count = len(street.actors)
        identities = np.array(
            [1 + number + count * _natural(lap) for number, lap in zip(frame.actors, rounds, strict=True)]
        )
        centres, sides = frame.labels[:, 1:3] * size, frame.labels[:, 3:5] * size  # (n, 2) px
        corners = np.concatenate((centres - sides / 2, centres + sides / 2), 1)  # (n, 4)
        found.append(ClipFrame(image, np.column_stack((identities, frame.labels[:, 0], corners)).astype(np.float32)))
    return found


def _camera(look: str, first: Frame, seed: int) -> Callable[[Frame, int], Image]:
    """How a frame of the street is taken, with the exposure of its first frame: frame, number of the shot -> image."""
    if look == "day":
        return lambda frame, shot: day(frame, seed)
    if look == "night":
        exposure = night_exposure(night_light(first, seed), seed, mean=34)
        return lambda frame, shot: night(frame, seed, exposure=exposure, shot=shot)
    lamp = draw_lamp(np.random.default_rng([seed, 51]))
    exposure = infrared_exposure(infrared_light(first, lamp, seed), lamp, seed)
    return lambda frame, shot: infrared(frame, seed, lamp=lamp, exposure=exposure, shot=shot)


def _natural(number: int) -> int:
    """0, 1, 2, ... for 0, -1, 1, -2, 2, ...: rounds are counted both ways along the street."""
    return 2 * number if number >= 0 else -2 * number - 1


def _film(task: tuple[str, int, tuple[int, int], int, Sequence[int]]) -> list[ClipFrame]:
    """Some frames of a clip."""
    look, seed, size, fps, numbers = task
    cv2.setNumThreads(1)  # one process a core is enough
    return clip_frames(look, seed, size, [number / fps for number in numbers], numbers)
