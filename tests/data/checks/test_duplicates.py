"""Copies and almost equal images, within splits and across."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from data.checks.duplicates import duplicate_findings
from tests.data.checks.sets import change_yaml, surveyed, write_clean_set


def found(file, *paired: str) -> dict[str, list[str]]:
    return {f.kind: [place.file.name for place in f.places] for f in duplicate_findings(surveyed(file, *paired))}


@pytest.fixture
def clean(tmp_path):
    return write_clean_set(tmp_path, train=6, val=4, test=3)


def copy(clean, source, target, change=None):
    place = clean.parent / "images"
    if change is None:
        shutil.copyfile(place / source, place / target)
    else:
        cv2.imwrite(str(place / target), change(cv2.imread(str(place / source))), [cv2.IMWRITE_JPEG_QUALITY, 70])
    for path in (source, target):
        label = clean.parent / "labels" / path
        label.with_suffix(".txt").write_text("0 0.5 0.5 0.4 0.4\n")


def test_different_images_are_no_copies(clean):
    assert found(clean) == {}


@pytest.mark.parametrize(
    ("source", "target", "change", "kind"),
    [
        ("train/train000.jpg", "val/x.jpg", None, "leak"),
        ("train/train000.jpg", "test/x.jpg", None, "leak"),
        ("val/val000.jpg", "test/x.jpg", None, "leak"),
        ("train/train000.jpg", "val/x.jpg", lambda p: p, "near-leak"),
        ("train/train000.jpg", "val/x.jpg", lambda p: cv2.resize(p, (128, 96)), "near-leak"),
        ("train/train000.jpg", "val/x.jpg", lambda p: (p * 0.7).astype(np.uint8), "near-leak"),
        ("train/train000.jpg", "val/x.jpg", lambda p: p[:, ::-1], "near-leak"),
        ("train/train000.jpg", "train/x.jpg", None, "duplicate"),
        ("train/train000.jpg", "train/x.jpg", lambda p: p, "near-duplicate"),
    ],
)
def test_copies(clean, source, target, change, kind):
    copy(clean, source, target, change)
    assert found(clean) == {kind: ["x.jpg"]}


def test_copies_with_other_labels(clean):
    copy(clean, "train/train000.jpg", "train/x.jpg")
    (clean.parent / "labels" / "train" / "x.txt").write_text("1 0.5 0.5 0.4 0.4\n")
    assert found(clean) == {"duplicate": ["x.jpg"], "duplicate-conflict": ["x.jpg"]}


def test_one_split_under_two_names_is_one_finding(clean):
    change_yaml(clean, val="images/train", test=None)
    (finding,) = duplicate_findings(surveyed(clean))
    assert (finding.kind, finding.split, finding.fields["other"], len(finding.places)) == ("leak", "val", "train", 6)


def test_val_and_val2_may_show_the_same_scenes_and_pairs_those_of_train(tmp_path):
    file = write_clean_set(tmp_path, pair=True, train=4, val=3)
    for kind in ("images", "labels"):
        shutil.copytree(tmp_path / kind / "val", tmp_path / kind / "val_day")
    change_yaml(file, val2="images/val_day")
    assert found(file, "pair") == {}


def test_images_without_detail_are_not_compared(tmp_path):
    file = write_clean_set(tmp_path, suffix=".png", train=3, val=3)
    for number, split in enumerate(("train", "val")):
        path = tmp_path / "images" / split / f"{split}000.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 100 + number, np.uint8))
    assert found(file) == {}
