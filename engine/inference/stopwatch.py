"""Seconds by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from utils.devices import on_gpu

STAGES = ("preprocess", "inference", "postprocess")


class Stopwatch:
    """Seconds spent in STAGES and in any other stage that is timed; with a CUDA device, waits for it before reading the clock."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        cuda = device is not None and on_gpu(device)
        self._wait: Callable[[], None] = torch.cuda.synchronize if cuda else lambda: None

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of the block to `stage`."""
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def per_image(self, images: int) -> dict[str, float]:
        """Milliseconds per image by stage."""
        return {stage: 1e3 * seconds / max(images, 1) for stage, seconds in self.seconds.items()}
