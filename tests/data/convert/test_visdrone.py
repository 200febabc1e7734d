"""data.convert.visdrone: miniatures of the three archives with labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.config import load_data
from data.convert.visdrone import convert
from utils.errors import UserError

ROWS = "8,12,16,6,1,4,0,0\n0,0,40,30,1,10,1,2,\n"  # the comma at the end is in some of the published files


def write(folder: Path, rows: str, make_image) -> None:
    make_image(folder / "images/a.jpg", width=40, height=30)
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations/a.txt").write_text(rows)


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    for part in ("train", "val", "test-dev"):
        write(tmp_path / "VisDrone" / f"VisDrone2019-DET-{part}", ROWS, make_image)
    return tmp_path / "VisDrone"


def test_the_published_layout(source, tmp_path):
    """Car (4): left 8, top 12, 16 x 6 of 40 x 30: x = 16/40, y = 15/30, w = 16/40, h = 6/30. The motor fills it."""
    summary = convert(source, tmp_path / "out")
    for split in ("train", "val", "test"):
        assert (tmp_path / f"out/labels/{split}/visdrone-{split}/a.txt").read_text() == (
            "3 0.400000 0.500000 0.400000 0.200000\n9 0.500000 0.500000 1.000000 1.000000\n"
        )
    assert (summary.images, summary.boxes, summary.skipped) == (3, 6, [])
    assert load_data(tmp_path / "out").names == load_data("visdrone.yaml", need=()).names


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,1,9,9,0,0,0,0", "an ignored region"),
        ("1,1,9,9,1,0,0,0", "an ignored region"),
        ("1,1,9,9,1,11,0,0", "of the category others"),
        ("1,1,9,9,0,4,0,0", "of score 0, not to be considered"),
        ("1,1,0,9,1,4,0,0", "no area inside the image"),
        ("40,1,9,9,1,4,0,0", "no area inside the image"),
        ("nan,1,9,9,1,4,0,0", "not a number"),
    ],
)
def test_boxes_that_are_left_out_are_counted(source, tmp_path, row, reason):
    (source / "VisDrone2019-DET-train/annotations/a.txt").write_text(f"{ROWS}\n{row}\n")
    summary = convert(source, tmp_path / "out")
    assert (summary.boxes, summary.dropped) == (6, {reason: 1})


@pytest.mark.parametrize(
    "row", ["1,1,9,9,1", "1,1,9,9,1,car,0,0", "1 1 9 9 1 4 0 0", "1,1,9,9,1,12,0,0", "1,1,9,9,1,nan"]
)
def test_a_row_that_makes_no_sense(source, tmp_path, row):
    """Its image is left out: an object of it would be background. What it left out before does not count."""
    file = source / "VisDrone2019-DET-train/annotations/a.txt"
    file.write_text(f"1,1,9,9,0,0,0,0\n{row}\n{ROWS}")
    summary = convert(source, tmp_path / "out")
    assert summary.skipped == [(file, "line 2 is not 'left,top,width,height,score,category,truncation,occlusion'")]
    assert (summary.images, summary.dropped) == (2, {})


def test_images_without_objects(source, tmp_path):
    (source / "VisDrone2019-DET-val/annotations/a.txt").write_text("")
    assert convert(source, tmp_path / "out").backgrounds == 1
    assert convert(source, tmp_path / "all", backgrounds=True).images == 3
    assert (tmp_path / "all/labels/val/visdrone-val/a.txt").read_text() == ""


def test_the_unmatched_are_listed(source, tmp_path, make_image):
    train = source / "VisDrone2019-DET-train"
    make_image(train / "images/b.jpg")
    (train / "annotations/c.txt").write_text(ROWS)
    summary = convert(source, tmp_path / "out")
    assert summary.skipped == [
        (train / "annotations/c.txt", "its image is missing"),
        (train / "images/b.jpg", "its annotation file is missing"),
    ]


def test_one_part_or_a_folder_too_many(source, tmp_path):
    assert convert(source / "VisDrone2019-DET-val", tmp_path / "val").per_split == {"val": 1}
    outer = source / "outer"
    outer.mkdir()
    (source / "VisDrone2019-DET-val").rename(outer / "VisDrone2019-DET-val")
    assert convert(source, tmp_path / "out", classes="car").boxes == 3


def test_no_part_at_all(tmp_path):
    with pytest.raises(UserError, match="expected VisDrone2019-DET-train"):
        convert(tmp_path, tmp_path / "out")
