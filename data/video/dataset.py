"""Loading clips: a few frames of a video at a fixed interval, all cut, mirrored and coloured alike.

A dark clip is the same frames of the paired video, or the clip darkened as it is loaded, in the same geometry. What is
drawn depends on (seed, epoch, index) alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from data.classification.transforms import Crop
from data.detection.options import AugmentOptions
from data.io.video import Frame, Undecodable, read_frames
from data.motion import foreground
from data.video.index import Video, VideoSplit
from data.video.low_light import darken_clip
from utils.errors import UserError

Image = NDArray[np.uint8]  # (S, S, 3), BGR
Clip = NDArray[np.uint8]  # (T, S, S, 3), RGB
ZOOM, ASPECT = 288 / 224, 1.25  # a training window is up to so many times smaller than the image, and wider than high
CENTRE = 224 / 256  # of the shorter side: what a test window shows
CACHE_LIMIT = 2 * 2**30  # bytes of decoded videos that "auto" keeps
SHRINK = 2.5  # times from which on a window is averaged down; below, the quicker way shows no more noise
MOST_FRAMES = 100_000  # of one video in the cache


@dataclass(frozen=True)
class ClipShape:
    """frames: of a clip; interval: from one to the next, in frames of the video; size: px per side."""

    frames: int = 16
    interval: int = 2
    size: int = 112

    @property
    def span(self) -> int:
        """Frames of the video from the first to the last one of a clip, both included."""
        return (self.frames - 1) * self.interval + 1

    def starts(self, total: int, clips: int) -> list[int]:
        """First frames of `clips` clips, evenly spread over a video of `total` frames; one clip lies in the middle.

        >>> ClipShape(16, 2).starts(41, 3), ClipShape(16, 2).starts(41, 1), ClipShape(16, 2).starts(9, 2)
        ([0, 5, 10], [5], [0, 0])
        """
        room = max(0, total - self.span)
        return [round(room * (number + 0.5 * (clips == 1)) / max(1, clips - 1)) for number in range(clips)]

    def numbers(self, start: int) -> list[int]:
        """Frame numbers of the clip that begins at `start`."""
        return [start + step * self.interval for step in range(self.frames)]


class ClipSet(torch.utils.data.Dataset[dict[str, Any]]):
    """Clips of a split. An item is a mapping of

    img: uint8 (3, T, S, S), RGB; for tests (K, 3, T, S, S), K clips of the video. pair: the same of the paired video, with
    `paired`. motion: bool (S, S), the day clip's moving foreground, with `motion`. cls, im_file; of training also seed.

    A video that is shorter than a clip is looped. Raises UserError where one that could be decoded no longer can.
    """

    collate_fn = staticmethod(default_collate)

    def __init__(
        self, split: VideoSplit, shape: ClipShape, *, augment: AugmentOptions | None = None, tests: int = 1,
        paired: bool = False, motion: bool = False, seed: int = 0, cache: str = "auto", same_colour: bool = True,
    ) -> None:  # fmt: skip
        """augment: of training; None for tests, with `tests` clips of each video. cache: auto, ram or none.

        same_colour: of both clips of a pair.
        """
        self.videos, self.skipped = split.videos, split.skipped
        self.shape, self.augment, self.tests, self.paired, self.motion = shape, augment, tests, paired, motion
        self.seed, self.same_colour = seed, same_colour
        self.keeps = cache == "ram" or (cache == "auto" and _bytes(self.videos) <= CACHE_LIMIT)
        self._kept: dict[Path, list[Frame]] = {}

    def __len__(self) -> int:
        return len(self.videos)

    def left_out(self) -> list[tuple[Path, str]]:
        """Videos that are not used, and why."""
        return list(self.skipped)

    def __getitem__(self, key: int | tuple[int, ...]) -> dict[str, Any]:
        epoch, index, *_ = key if isinstance(key, tuple) else (0, key)
        video = self.videos[index]
        if self.augment is None:
            window, starts = centre_window(video.facts.size), self.shape.starts(video.facts.frames, self.tests)
            clips = torch.stack([as_tensor(clip) for clip in self._clips(video.path, starts, window)])
            return {"img": clips, "cls": video.label, "im_file": str(video.path)}
        return self._training_item(video, self.augment, epoch, index)

    def _training_item(self, video: Video, augment: AugmentOptions, epoch: int, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, epoch, index])
        window = random_window(video.facts.size, rng, augment.fliplr)
        start = int(rng.integers(0, max(0, video.facts.frames - self.shape.span) + 1))
        number, draws = int(rng.integers(2**62)), rng.uniform(-1, 1, (2, 3))
        (clip,) = self._clips(video.path, [start], window)
        item: dict[str, Any] = {"cls": video.label, "im_file": str(video.path), "seed": number}
        if self.motion:
            item["motion"] = torch.from_numpy(foreground(clip))
        if self.paired:
            dark = self._clips(video.paired, [start], window)[0] if video.paired else darken_clip(clip, number)
            recolour(dark, draws[0 if self.same_colour else 1], augment)
            item["pair"] = as_tensor(dark)
        recolour(clip, draws[0], augment)
        item["img"] = as_tensor(clip)
        return item

    def _clips(self, path: Path, starts: Sequence[int], window: Crop) -> list[Clip]:
        """The window of the clips that begin at `starts`, in one pass; looped where the video ends before."""
        clips = [self.shape.numbers(start) for start in starts]
        wanted = sorted({number for clip in clips for number in clip})
        parts = {number: cut(frame, window, self.shape.size) for number, frame in self._frames(path, wanted)}
        found = [[parts[number] for number in clip if number in parts] for clip in clips]
        return [assemble(clip or list(parts.values()), self.shape.frames) for clip in found]

    def _frames(self, path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        """The wanted frames with their numbers, decoded one by one or out of memory, where all of a video stay."""
        try:
            if not self.keeps:
                yield from zip(wanted, read_frames(path, wanted), strict=False)
                return
            if path not in self._kept:
                self._kept[path] = list(read_frames(path, range(MOST_FRAMES)))
        except Undecodable as problem:
            raise UserError(f"{path}: {problem}, although it could be read before. Restore the file.") from None
        kept = self._kept[path]
        first = 0 if wanted[0] < len(kept) else wanted[0]  # as read_frames does where a video ends before them
        yield from ((number, kept[number - first]) for number in wanted if number - first < len(kept))


def _bytes(videos: Sequence[Video]) -> int:
    """Memory that the decoded videos take, by what their headers state."""
    return sum(3 * v.facts.size[0] * v.facts.size[1] * v.facts.frames * (1 + bool(v.paired)) for v in videos)


def random_window(size: tuple[int, int], rng: np.random.Generator, fliplr: float = 0.5) -> Crop:
    """A window of an image of (height, width) px: its shorter side over 1 to ZOOM, of an aspect up to ASPECT.

    Source: the action branch of Similarity Min-Max (ICCV 2023), which WiiD builds on: 224 px out of 224 to 288.
    """
    side = min(size) / rng.uniform(1, ZOOM)
    stretch = ASPECT ** rng.uniform(-0.5, 0.5)
    height, width = (
        max(1, min(limit, round(part))) for limit, part in zip(size, (side / stretch, side * stretch), strict=True)
    )
    top, left = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(size, (height, width), strict=True))
    return Crop(top, left, height, width, bool(rng.random() < fliplr))


def centre_window(size: tuple[int, int]) -> Crop:
    """The square in the middle of an image of (height, width) px whose side is CENTRE of the shorter one."""
    side = max(1, round(CENTRE * min(size)))
    return Crop((size[0] - side) // 2, (size[1] - side) // 2, side, side)


def cut(frame: Frame, window: Crop, size: int) -> Image:
    """The window of a frame, scaled to `size` px per side, still in BGR."""
    top, left, height, width, mirrored = window
    how = cv2.INTER_AREA if min(height, width) > SHRINK * size else cv2.INTER_LINEAR
    part = cv2.resize(frame[top : top + height, left : left + width], (size, size), interpolation=how)
    return np.asarray(cv2.flip(part, 1) if mirrored else part, np.uint8)


def assemble(images: Sequence[Image], frames: int) -> Clip:
    """An RGB clip of so many frames; fewer images (BGR) come again from the first."""
    clip = np.stack([images[number % len(images)] for number in range(frames)])
    tall = clip.reshape(-1, clip.shape[2], 3)  # (T*S, S, 3), of the same memory
    cv2.cvtColor(tall, cv2.COLOR_BGR2RGB, dst=tall)
    return clip


def recolour(clip: Clip, draw: NDArray[np.float64], options: AugmentOptions) -> None:
    """Change hue, saturation and brightness of every frame alike, in place. draw: three numbers in [-1, 1]."""
    gains = 1 + draw * (options.hsv_h, options.hsv_s, options.hsv_v)
    if np.all(gains == 1):
        return
    grey = np.arange(256)
    hue, *rest = (grey * gain for gain in gains)
    table = np.stack([hue % 180, *(np.clip(column, 0, 255) for column in rest)], 1).astype(np.uint8)  # (256, 3)
    tall = clip.reshape(-1, clip.shape[2], 3)  # (T*S, S, 3), of the same memory
    cv2.cvtColor(tall, cv2.COLOR_RGB2HSV, dst=tall)
    cv2.LUT(tall, table[:, None], dst=tall)
    cv2.cvtColor(tall, cv2.COLOR_HSV2RGB, dst=tall)


def as_tensor(clip: Clip) -> Tensor:
    """(T, S, S, 3) to (3, T, S, S), uint8, of the same memory: a batch is copied together anyway."""
    return torch.from_numpy(clip).permute(3, 0, 1, 2)
