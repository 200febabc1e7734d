"""KITTI's label files to YOLO rows; splits by the lists or by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.config import load_data
from data.convert.kitti import convert
from utils.errors import UserError

ROW = "{} 0.00 0 -1.57 {} 1.5 1.6 3.7 2.0 1.5 9.0 -1.5\n"


@pytest.fixture
def kitti(tmp_path: Path, make_image) -> Path:
    """Five images of 40 x 20 px, each with a car, a van and an area not to care about."""
    home = tmp_path / "kitti/training"
    (home / "label_2").mkdir(parents=True)
    for number in range(5):
        make_image(home / f"image_2/00000{number}.png", width=40, height=20, seed=number)
        rows = ROW.format("Car", "4.00 5.00 12.00 15.00") + ROW.format("Van", "0 0 9 9")
        (home / f"label_2/00000{number}.txt").write_text(rows + ROW.format("DontCare", "1 1 3 3"))
    return home.parent


def test_boxes_and_splits(kitti, tmp_path):
    """Centre (4 + 12) / 2 / 40, (5 + 15) / 2 / 20; sides 8 / 40, 10 / 20. One of five is for validation."""
    summary = convert(kitti, tmp_path / "out", classes="Car,Van")
    assert dict(summary.per_split) == {"train": 4, "val": 1}
    assert dict(summary.dropped) == {"marked as DontCare": 5}
    label = tmp_path / "out/labels/val/kitti/000004.txt"
    assert label.read_text().splitlines()[0].split() == ["0", "0.200000", "0.500000", "0.200000", "0.500000"]
    assert any("last 1 images by name" in line for line in summary.lines())


def test_the_lists_decide(kitti, tmp_path):
    (kitti / "ImageSets").mkdir()
    (kitti / "ImageSets/train.txt").write_text("000003\n000004\n")
    (kitti / "ImageSets/val.txt").write_text("000000\n")
    convert(kitti, tmp_path / "out", classes="Car")
    assert sorted(path.stem for path in (tmp_path / "out/images").rglob("*.png")) == ["000000", "000003", "000004"]
    assert (tmp_path / "out/images/val/kitti/000000.png").is_file()


def test_lists_in_another_encoding(kitti, tmp_path):
    (kitti / "ImageSets").mkdir()
    for split in ("train", "val"):
        (kitti / f"ImageSets/{split}.txt").write_text("000003\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"train\.txt: expected UTF-8 text"):
        convert(kitti, tmp_path / "out")


def test_the_yaml_has_the_benchmark_s_classes_also_where_the_set_does_not(kitti, tmp_path):
    convert(kitti, tmp_path / "out")
    assert load_data(tmp_path / "out").names == load_data("kitti-d", need=()).names
    with pytest.raises(UserError, match="Cyclist cannot be used"):
        convert(kitti, tmp_path / "other", classes="Car,Cyclist")


@pytest.mark.parametrize("text", ["Car 0 0\n", ROW.format("Car", "4 x 12 15")])
def test_broken_label_files_are_listed(kitti, tmp_path, text):
    (kitti / "training/label_2/000001.txt").write_text(text)
    (kitti / "training/label_2/000002.txt").unlink()
    summary = convert(kitti, tmp_path / "out", classes="Car")
    assert summary.images == 3
    assert {path.stem for path, reason in summary.skipped if "label file" in reason} == {"000001", "000002"}


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="training/image_2"):
        convert(tmp_path, tmp_path / "out")
