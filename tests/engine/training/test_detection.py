"""engine.training.detection: what a run of a detector notes before it starts."""

from __future__ import annotations

import pytest

from engine.training.detection import from_scratch


@pytest.mark.parametrize(
    ("cfg", "official"),
    [("models/yolov5s.yaml", "yolov5s.pt"), ("yolov8n-p2", "yolov8n.pt"), ("mine.yaml", "yolov5m.pt")],
)
def test_random_weights_are_noted_with_the_official_ones(cfg: str, official: str) -> None:
    assert from_scratch(cfg).endswith(f"--weights weights/{official}")
