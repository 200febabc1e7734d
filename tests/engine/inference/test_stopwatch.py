"""Seconds by stage."""

from __future__ import annotations

import torch

from engine.inference import stopwatch
from engine.inference.stopwatch import Stopwatch


def test_stopwatch_counts_milliseconds_per_image(monkeypatch):
    ticks = iter([10.0, 10.5, 20.0, 21.5])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(ticks))
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        with watch("inference"):
            pass
    assert watch.per_image(4) == {"preprocess": 0.0, "inference": 500.0, "postprocess": 0.0}
