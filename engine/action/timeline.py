"""Which action is seen when: clips of a running video, and the timeline that they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import cv2
import numpy as np

from data.video.dataset import ClipShape
from engine.inference.capture import Frame
from utils.draw import colour

Classify = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Frames of a clip, (H, W, 3) uint8 blue-green-red, fewer than a clip where the video is shorter: (classes,) probabilities."""
RECENT = 300  # frames that the bar shows of a source that does not state its length


class LabelledFrame(NamedTuple):
    """A frame, and what is done in it, with what confidence in [0, 1]."""

    frame: Frame
    label: int
    confidence: float


class Segment(NamedTuple):
    """Frames of one label: from the first to the last one's end, in seconds, and the mean confidence."""

    start: float
    end: float
    label: int
    confidence: float


class ClipWindow:
    """Labels the frames of one source, half a clip at a time, by the clip that ends there; the first whole clip at once."""

    def __init__(self, classify: Classify, shape: ClipShape) -> None:
        self.classify, self.shape = classify, shape
        self.step = max(1, shape.span // 2)
        self.images: deque[np.ndarray] = deque(maxlen=shape.span)
        self.waiting: list[Frame] = []

    def add(self, frame: Frame) -> list[LabelledFrame]:
        """Take the next frame; returns those that are labelled now, in order."""
        image = frame.image
        if self.images and image.shape != self.images[-1].shape:
            image = cv2.resize(image, self.images[-1].shape[1::-1])
        self.images.append(image)
        self.waiting.append(frame)
        whole = len(self.images) == self.shape.span
        return self.rest() if whole and len(self.waiting) >= self.step else []

    def rest(self) -> list[LabelledFrame]:
        """The frames that are not labelled yet, by the last clip, shorter than usual where there were fewer frames."""
        if not self.waiting:
            return []
        scores = self.classify(list(self.images)[:: self.shape.interval])
        label = int(scores.argmax())
        done = [LabelledFrame(frame, label, float(scores[label])) for frame in self.waiting]
        self.waiting.clear()
        return done


class Timeline:
    """The labels of one source so far."""

    def __init__(self, rate: float) -> None:
        """rate: frames a second of the source."""
        self.rate = rate
        self.labels: list[tuple[int, int, float]] = []  # frame number from 1, label, confidence

    def add(self, seen: LabelledFrame) -> None:
        """One more frame."""
        self.labels.append((seen.frame.number, seen.label, seen.confidence))

    def segments(self) -> list[Segment]:
        """Runs of one label, in order."""
        runs = [list(run) for _, run in groupby(self.labels, key=lambda entry: entry[1])]
        numbers = [run[0][0] for run in runs] + [number + 1 for number, *_ in self.labels[-1:]]
        times = [(number - 1) / self.rate for number in numbers]  # where each run begins, and the last one's end
        means = [sum(confidence for *_, confidence in run) / len(run) for run in runs]
        return [Segment(times[i], times[i + 1], run[0][1], means[i]) for i, run in enumerate(runs)]

    def paint(self, image: np.ndarray, total: int) -> np.ndarray:
        """Draw a bar of the labels so far along the lower edge of an image (H, W, 3), in place.

        total: frames of the source; 0 where it does not say: the bar then shows the last RECENT ones.
        """
        height, width = image.shape[:2]
        top, last = height - max(3, height // 40), self.labels[-1][0]
        first, length = (0, max(total, last)) if total else (max(0, last - RECENT), RECENT)
        cv2.rectangle(image, (0, top), (width, height), (40, 40, 40), cv2.FILLED)
        shown = [entry for entry in self.labels if entry[0] > first]
        for (number, label, _), (following, *_) in zip(shown, [*shown[1:], (last + 1,)], strict=True):
            left, right = (round(width * (place - 1 - first) / length) for place in (number, following))
            cv2.rectangle(image, (left, top), (max(left, right - 1), height), colour(label), cv2.FILLED)
        return image

    def text(self, names: Mapping[int, str]) -> str:
        """'0.0-2.1 s Walk 0.93, 2.1-3.0 s Sit 0.71'."""
        parts = self.segments()
        return ", ".join(f"{s.start:.1f}-{s.end:.1f} s {names.get(s.label, s.label)} {s.confidence:.2f}" for s in parts)

    def rows(self, source: str, names: Mapping[int, str]) -> list[dict[str, Any]]:
        """The rows of timeline.csv."""
        return [
            {"source": source, "start": round(s.start, 3), "end": round(s.end, 3),
             "action": names.get(s.label, str(s.label)), "confidence": round(s.confidence, 4)}
            for s in self.segments()
        ]  # fmt: skip
