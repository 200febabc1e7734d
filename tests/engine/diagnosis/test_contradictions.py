"""Labels that a detector contradicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engine
from data.checks.image_facts import ImageFacts
from data.checks.label_facts import LabelFacts
from engine.diagnosis.contradictions import claims_on, common_classes
from tests.data.checks.sets import change_yaml, write_clean_set
from utils.errors import UserError

NAMES = {0: "cat", 1: "dog", 2: "owl"}
IMAGE = ImageFacts(Path("a.jpg"), (0, 0), shape=(100, 100))
CAT = (10, 10, 50, 50)  # the label, 40 px wide


def claims(boxes, label=0, imgsz=100):
    rows = np.array([[label, 0.3, 0.3, 0.4, 0.4]])
    facts = LabelFacts(Path("a.txt"), True, rows, (1,), {})
    detected = np.array(boxes, float).reshape(-1, 6)
    return [(c.kind, round(c.strength, 2)) for c in claims_on(IMAGE, facts, detected, {0, 1}, 0.5, imgsz, NAMES)]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(*CAT, 0.9, 0)], []),
        ([(*CAT, 0.06, 1)], []),  # faint, but something is there
        ([], [("contradicted-empty", 40)]),
        ([(60, 60, 90, 90, 0.9, 0), (*CAT, 0.3, 0)], [("contradicted-missing", 0.9)]),
        ([(60, 60, 90, 90, 0.4, 0), (*CAT, 0.3, 0)], []),  # below --conf-thres
        ([(*CAT, 0.8, 1)], [("contradicted-class", 0.8)]),
        ([(*CAT, 0.8, 1), (*CAT, 0.3, 0)], [("contradicted-class", 0.5)]),
        ([(*CAT, 0.8, 1), (*CAT, 0.5, 0)], []),  # more than half as sure of the label's own class
        ([(10, 10, 30, 50, 0.8, 1)], []),  # IoU 0.5: another object, perhaps
    ],
)
def test_claims_by_hand(boxes, expected):
    assert claims(boxes) == expected


def test_small_labels_and_unknown_classes_are_left_alone():
    assert claims([], imgsz=79) == []  # 40 px are 31.6 of 79
    assert claims([], label=2) == [] and claims([(*CAT, 0.9, 0)], label=2) == []


def test_classes_agree_by_name_else_by_number():
    assert common_classes({0: "a", 1: "b"}, {0: "x", 1: "y"}) == {0: 0, 1: 1}
    assert common_classes({0: "a"}, {0: "x", 1: "y"}) == {}


def test_a_detector_that_learned_nothing_contradicts_little_and_is_said_to_be_weak(tmp_path, checkpoint):
    data = write_clean_set(tmp_path, train=20)
    diagnosis = engine.prepare("check", data=str(data), weights=checkpoint, device="cpu", imgsz=96)
    weak = [finding for finding in diagnosis.findings if finding.kind == "contradicted-empty"]
    assert all("counts for little" in finding.what for finding in weak) and weak
    assert len(weak[0].places) == weak[0].numbers["labels"] == 40
    with pytest.raises(UserError, match="detects none of the classes"):
        change_yaml(data, names={0: "ship", 1: "plane", 2: "car"})
        engine.prepare("check", data=str(data), weights=checkpoint, device="cpu")
