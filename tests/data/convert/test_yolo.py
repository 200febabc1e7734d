"""data.convert.yolo: a set with YOLO labels comes through with its boxes, classes and backgrounds, and a val of its own."""

from __future__ import annotations

import pytest

from data.config import load_data
from data.convert.yolo import convert
from data.io.labels import label_path
from utils.files import list_images, load_yaml


def test_boxes_classes_and_backgrounds_stay(tiny_set, tmp_path):
    (tiny_set / "labels" / "train" / "3.txt").unlink()
    summary = convert(tiny_set, tmp_path / "out")
    assert [note.partition(";")[0] for note in summary.notes] == [
        "note: 1 of the 4 images of 'train' have no label file and count as background"
    ]
    assert (summary.images, summary.boxes, dict(summary.per_split)) == (6, 5, {"train": 4, "val": 2})
    assert load_yaml(tmp_path / "out" / "data.yaml")["names"] == {0: "cat", 1: "dog"}
    labels = [label_path(image).read_text() for image in list_images(tmp_path / "out" / "images" / "train")]
    assert labels == [
        "0 0.500000 0.500000 0.250000 0.500000\n",
        "1 0.500000 0.500000 0.250000 0.500000\n",
        labels[0],
        "",
    ]


@pytest.mark.parametrize(("share", "val"), [(0.001, 1), (0.999, 3)])
def test_a_small_set_keeps_an_image_on_either_side(tiny_set, tmp_path, share, val):
    (tiny_set / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    image = tiny_set / "images" / "train" / "0.png"
    image.rename(image.with_name("\udcff.png"))  # no UTF-8, as file systems allow
    assert convert(tiny_set, tmp_path / "out", val_share=share).per_split == {"val": val, "train": 4 - val}


def test_classes_that_differ_in_case_only_stay_apart(tiny_set, tmp_path):
    (tiny_set / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [Car, car]\n")
    summary = convert(tiny_set, tmp_path / "out")
    labels = [label_path(image).read_text()[0] for image in list_images(tmp_path / "out" / "images" / "train")]
    assert labels == ["0", "1", "0", "1"]
    assert load_data(tmp_path / "out").names == {0: "Car", 1: "car"}
    assert "the classes Car and car differ in case only and stay apart" in "".join(summary.notes)
