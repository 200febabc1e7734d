"""Scores of trackers on a small synthetic video."""

from __future__ import annotations

import numpy as np
import pytest
from ultralytics.utils.ops import linear_sum_assignment

import bench.tracking
from bench.tracking import labels_as_detections, tracked, yolo_rows
from data.synthetic.clips import street_clip
from engine.options.detect import DetectOptions
from utils.metrics.tracking import tracking_scores


@pytest.mark.slow
def test_a_tracker_that_is_given_the_labels_keeps_the_identities(tmp_path, monkeypatch):
    pytest.importorskip("lap")
    monkeypatch.setattr(bench.tracking, "SECONDS", 0.5)
    monkeypatch.setattr(bench.tracking, "LEAST", 0)
    video = tmp_path / "day.mp4"
    street_clip(
        video,
        look="day",
        seconds=0.5,
        fps=10,
        size=(96, 72),
        seed=3,
        labels=video.with_suffix(".txt"),
        workers=1,
        progress=False,
    )
    frames = tracked(video, DetectOptions(track="bytetrack"), labels_as_detections(video))
    scores = tracking_scores(frames, linear_sum_assignment)
    assert len(frames) == 5 and scores["IDF1"] > 0.9 and scores["DetA"] > 0.9


def test_labels_of_a_frame_as_rows_of_a_data_set():
    labels = np.array([[7, 2, 80, 60, 240, 180], [8, 5, 0, 0, 32, 24]], np.float32)
    assert yolo_rows(labels) == "2 0.500000 0.500000 0.500000 0.500000\n5 0.050000 0.050000 0.100000 0.100000\n"
