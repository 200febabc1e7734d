"""The images that matter: the worst, the most confident mistakes, and what only one of two detectors finds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.evaluation.mistakes import Judged, confident, judge, most_confident, only_one_finds, save_worst, worst
from engine.evaluation.subsets import SplitResults
from engine.results import DetectionStats, ImageResult
from tests.engine.evaluation.splits import split_of

CAR, FAR = (10.0, 10.0, 50.0, 50.0), (200.0, 200.0, 240.0, 240.0)


def image(file: str, detections, targets) -> tuple[ImageResult, DetectionStats]:
    """detections: (box, score, hit); targets: boxes; all of class 0."""
    boxes, scores, hit = (np.array([row[n] for row in detections], float) for n in range(3))
    zeros, truth = np.zeros(len(targets)), np.array(targets, float).reshape(-1, 4)
    result = ImageResult(file, (300, 300), boxes.reshape(-1, 4), scores, np.zeros(len(boxes)), truth, zeros)
    return result, DetectionStats(file, np.repeat(hit[:, None] > 0, 10, 1), scores, np.zeros(len(boxes)), zeros)


@pytest.fixture
def split() -> SplitResults:
    """Good; missed; a false alarm beside a hit; nothing to find; a false alarm nobody would use."""
    return split_of(
        image("good", [(CAR, 0.9, 1)], [CAR]),
        image("missed", [(CAR, 0.2, 1)], [CAR, FAR]),
        image("false", [(CAR, 0.9, 1), (FAR, 0.8, 0), (CAR, 0.7, 0)], [CAR]),
        image("empty", [], []),
        image("unused", [(FAR, 0.1, 0)], []),
    )


def test_every_image_is_judged(split):
    found = [(one.hits, one.missed, one.false_alarms) for one in judge(split)]
    assert found == [(1, 0, 0), (0, 2, 0), (1, 0, 2), (0, 0, 0), (0, 0, 0)]
    assert [round(one.f1, 3) for one in judge(split)] == [1, 0, 0.5, 1, 1]


def test_the_worst_first(split):
    assert [one.file for one in worst(judge(split), 9)] == ["missed", "false"]  # equally many: the lower F1 first
    assert [one.file for one in worst(judge(split), 1)] == ["missed"]


def test_most_confident_mistakes(split):
    """A duplicate is no mistake of this kind: its object is found."""
    (only,) = most_confident(split, 9)
    assert (only.place, only.error, only.confidence, only.box.tolist()) == (2, "background", 0.8, list(FAR))


def test_errors_at_usable_confidence(split):
    """The hit at 0.2 does not count: its object is missed."""
    assert confident(split).counts() == {
        "localisation": 0, "classification": 0, "duplicate": 1, "background": 1, "both": 0, "missed": 2,
    }  # fmt: skip


def test_objects_that_only_one_finds():
    ours = [image("a", [(CAR, 0.9, 1)], [CAR, FAR])[0], image("b", [], [CAR])[0]]
    theirs = [image("a", [(FAR, 0.9, 1)], [CAR, FAR])[0], image("b", [], [CAR])[0]]
    (gained,) = only_one_finds(ours, theirs)
    assert (gained.place, gained.ours.tolist(), gained.theirs.tolist()) == (0, [0], [1])
    with pytest.raises(ValueError, match="same images"):
        only_one_finds(ours, theirs[:1])


def test_hostile_names_stay_in_the_folder(tmp_path):
    source = tmp_path / ("<script>" + "x" * 150 + ".png")
    cv2.imwrite(str(source), np.zeros((300, 300, 3), np.uint8))
    split = split_of(image(str(source), [], [CAR]))
    save_worst(tmp_path / "worst", split, [Judged(0, str(source), 0, 1, 0)], {0: "<b>"})
    (written,) = Path(tmp_path / "worst").iterdir()
    assert written.name.startswith("001_<script>xxx") and len(written.name) < 100
