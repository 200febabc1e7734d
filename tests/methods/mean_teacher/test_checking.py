"""The quality of the teacher's labels where there are others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from methods.mean_teacher.checking import LabelCheck, hits
from methods.mean_teacher.thresholds import ClassThresholds
from utils.errors import UserError

BOX = [[0.0, 0.0, 10.0, 10.0]]


@pytest.mark.parametrize(
    ("boxes", "classes", "expected"),
    [
        (BOX, [0], 1),
        (BOX, [1], 0),  # another class
        ([[0.0, 0.0, 10.0, 4.0]], [0], 0),  # overlaps by 0.4
        (BOX * 2, [0, 0], 1),  # an object counts once
        ([], [], 0),
    ],
)
def test_hits(boxes, classes, expected):
    found = torch.tensor(boxes).view(-1, 4), torch.tensor(classes, dtype=torch.long)
    assert hits(*found, torch.tensor(BOX), torch.tensor([0])) == expected


class Teacher(nn.Module):
    """Says of every image: class 0 at (16, 16), 16 px, and class 1 at (48, 48), 8 px."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        boxes = [[16.0, 48.0], [16.0, 48.0], [16.0, 8.0], [16.0, 8.0]]
        return torch.tensor([[*boxes, [0.9, 0.0], [0.0, 0.9]]])


@pytest.fixture
def data(tmp_path: Path) -> Any:
    """Three target images of 64 px; two have labels: the first object of the teacher's, and none."""
    for number in range(3):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labels").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), np.full((64, 64, 3), 90 + number, np.uint8))
    (tmp_path / "labels" / "0.txt").write_text("0 0.25 0.25 0.25 0.25\n")
    (tmp_path / "labels" / "1.txt").write_text("")
    return SimpleNamespace(
        splits={"target": (tmp_path / "images",)}, root=tmp_path, file=tmp_path / "data.yaml", names={0: "a", 1: "b"}
    )


def test_precision_and_recall(data):
    """Four labels in two images, of which one is right; one object, which is found."""
    check = LabelCheck(data)
    assert "2 of 3 target images have labels" in check.notes()[0]
    assert check(Teacher(), ClassThresholds(2, 0.5, 0.6)) == {"target/precision": 0.25, "target/recall": 1.0}


def test_one_class_for_all(data):
    """With --single-cls an object of class 1 is right where the teacher says class 0."""
    (data.root / "labels" / "0.txt").write_text("1 0.25 0.25 0.25 0.25\n")
    check, thresholds = LabelCheck(data), ClassThresholds(2, 0.5, 0.6)
    assert check(Teacher(), thresholds) == {"target/precision": 0.0, "target/recall": 0.0}
    assert check(Teacher(), thresholds, single_cls=True) == {"target/precision": 0.25, "target/recall": 1.0}


def test_without_labels_nothing_is_said(data):
    for file in (data.root / "labels").iterdir():
        file.unlink()
    check = LabelCheck(data)
    assert check.notes() == [] and check(Teacher(), ClassThresholds(2, 0.5, 0.6)) == {}


def test_labelled_training_images_are_refused(data):
    with pytest.raises(UserError, match=r"1\.png is a labelled training image"):
        LabelCheck(data).refuse({(data.root / "images" / "1.png").resolve()})
    LabelCheck(data).refuse(set())


def test_test_images_sized_anew_are_refused(data):
    """A test image of noise, which a target image shows at half the size."""
    noise = cv2.resize(np.random.default_rng(1).integers(0, 255, (6, 8, 3), dtype=np.uint8), (128, 96))
    (data.root / "tests").mkdir()
    cv2.imwrite(str(data.root / "tests" / "t.png"), noise)
    cv2.imwrite(str(data.root / "images" / "3.png"), cv2.resize(noise, (64, 48), interpolation=cv2.INTER_AREA))
    data.splits["test2"] = (data.root / "tests",)
    with pytest.raises(UserError, match=r"3\.png shows the same as .*t\.png of the test split"):
        LabelCheck(data).refuse(set())
