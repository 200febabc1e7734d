"""Data sets of the comparisons: which image goes where, with its label, changed or not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.sets import changed_yaml, copy_set, degraded_set, split_set
from utils.errors import UserError
from utils.files import load_yaml


@pytest.fixture
def source(tmp_path: Path, make_image) -> Path:
    """Nine training images and two of val, of 40 x 30 px."""
    for split, count in (("train", 9), ("val", 2)):
        for number in range(count):
            make_image(tmp_path / "set/images" / split / f"{split}{number}.jpg", width=40, height=30, seed=number)
            label = tmp_path / "set/labels" / split / f"{split}{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(f"0 0.5 0.5 0.{number} 0.2\n")
    (tmp_path / "set/data.yaml").write_text("names: [cell]\n")
    return tmp_path / "set"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_eighth_training_image_selects_the_epoch(source, tmp_path):
    out = tmp_path / "copy" / "cells.yaml"
    copy_set(out, str(source), {"train": "train", "val": "choose_night"}, {"val": "night"})
    images = out.parent / "images"
    assert names(images / "choose") == ["train0.jpg", "train8.jpg"]
    assert names(images / "train") == [f"train{number}.jpg" for number in range(1, 8)]
    assert names(images / "test") == ["val0.jpg", "val1.jpg"]
    assert (images / "test/val1.jpg").read_bytes() == (source / "images/val/val1.jpg").read_bytes()
    assert (out.parent / "labels/choose/train8.txt").read_text() == "0 0.5 0.5 0.8 0.2\n"
    content = load_yaml(out)
    assert (content["val"], content["conditions"], content["names"]) == (
        "images/choose_night",
        {"val": "night"},
        ["cell"],
    )


def test_a_set_with_splits_of_its_own(source, tmp_path):
    out = tmp_path / "copy" / "cells.yaml"
    split_set(out, str(source), {"test_day": "val"}, {"test2": "test_day"}, {"test2": "day"})
    assert names(out.parent / "images/test_day") == ["val0.jpg", "val1.jpg"]
    assert (out.parent / "labels/test_day/val1.txt").is_file() and load_yaml(out)["test2"] == "images/test_day"
    with pytest.raises(UserError, match="images/night; put or link it there"):
        split_set(out, str(source), {"night": "night"}, {}, {})


def test_half_size(source, tmp_path):
    copy_set(tmp_path / "copy/cells.yaml", str(source), {"train": "train"}, {}, half_size=True)
    assert cv2.imread(str(tmp_path / "copy/images/train/train1.png")).shape == (15, 20, 3)


def test_a_degraded_set_and_its_clear_half(source, tmp_path):
    out, clear = tmp_path / "degraded/cells.yaml", tmp_path / "degraded/clear.yaml"
    degraded_set(out, str(source), str(clear))
    images = out.parent / "images"
    assert names(images / "train") == ["train2.png", "train4.png", "train6.png"]
    assert names(images / "reference") == ["train1.jpg", "train3.jpg", "train5.jpg", "train7.jpg"]
    test, test_clear = (cv2.imread(str(images / name)) for name in ("test/val0.png", "test_clear/val0.jpg"))
    assert np.abs(test.astype(int) - test_clear).mean() > 3
    assert load_yaml(clear)["train"] == load_yaml(out)["reference"] == "images/reference"
    before = (images / "test/val0.png").read_bytes()
    degraded_set(out, str(source), str(clear))
    assert (images / "test/val0.png").read_bytes() == before  # drawn from the name alone


def test_a_changed_yaml(tmp_path):
    (tmp_path / "a.yaml").write_text("path: a\npair: b\n")
    changed_yaml(tmp_path / "c.yaml", str(tmp_path / "a.yaml"), pair="d")
    assert load_yaml(tmp_path / "c.yaml") == {"path": "a", "pair": "d"}


def test_no_source(tmp_path):
    with pytest.raises(UserError, match="expected a set with images/train, images/val and labels"):
        copy_set(tmp_path / "a.yaml", str(tmp_path / "nowhere"), {}, {})
