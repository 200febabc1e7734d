"""data.convert.dota: miniatures of the three versions, as their archives unpack."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.config import load_data
from data.convert.dota import convert
from utils.errors import UserError
from utils.files import load_yaml

HEADINGS = "imagesource:GoogleEarth\ngsd:0.146343590398\n"
ROWS = "10 20 30 10 40 30 20 40 ship 0\n-10 0 20 0 20 20 -10 20 plane 0\n1 1 9 1 9 9 1 9 bridge 1\n"


def label(folder: Path, text: str = HEADINGS + ROWS, name: str = "P0001") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text)
    return folder / f"{name}.txt"


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    """The images alone, 100 x 50 px, in the folders that the archives of 1.0 (images) and 2.0 (part4) make."""
    make_image(tmp_path / "DOTA/train/images/images/P0001.png", width=100, height=50)
    make_image(tmp_path / "DOTA/val/images/part4/P0001.png", width=100, height=50)
    return tmp_path / "DOTA"


@pytest.mark.parametrize(
    ("version", "folder", "classes"),
    [
        ("1.0", "labelTxt", 15),
        ("1.0", "labelTxt-v1.0/labelTxt", 15),
        ("1.5", "labelTxt-v1.5/DOTA-v1.5_{}", 16),
        ("1.5", "labelTxt-v1.5", 16),
        ("2.0", "labelTxt-v2.0/DOTA-v2.0_{}", 18),
    ],
)
def test_the_published_layouts(source, tmp_path, version, folder, classes):
    """The ship's corners span 10..40 x 10..40: x = 25/100, y = 25/50, w = .3, h = .6.

    The plane, -10..20 x 0..20, is clipped to 0..20: x = .1, y = .2, w = .2, h = .4. The bridge is difficult.
    """
    for split in ("train", "val"):
        label(source / split / folder.format(split))
        label(source / split / f"labelTxt-v{version}/DOTA-v{version}_{split}_hbb", "upright boxes are not read")
    summary = convert(source, tmp_path / "out")
    for split in ("train", "val"):
        assert (tmp_path / f"out/labels/{split}/dota-{split}/P0001.txt").read_text() == (
            "1 0.250000 0.500000 0.300000 0.600000\n0 0.100000 0.200000 0.200000 0.400000\n"
        )
    assert (summary.boxes, summary.clipped) == (4, 2)
    assert summary.dropped == {"marked difficult (--difficult keeps them)": 2}
    names = load_data(tmp_path / "out").names
    assert names == dict(list(load_data("dota.yaml", need=()).names.items())[:classes])


def test_versions_side_by_side(source, tmp_path):
    label(source / "train/labelTxt-v1.0/labelTxt")
    label(source / "train/labelTxt-v1.5/DOTA-v1.5_train", "0 0 9 0 9 9 0 9 container-crane 0\n")
    with pytest.raises(UserError, match="labels of the versions 1.0, 1.5. Choose with --version"):
        convert(source, tmp_path / "out")
    assert convert(source, tmp_path / "old", version="1.0").boxes == 2
    convert(source, tmp_path / "new", version="1.5")
    assert (tmp_path / "new/labels/train/dota-train/P0001.txt").read_text().startswith("15 ")


@pytest.mark.parametrize(
    ("row", "choices", "boxes", "dropped"),
    [
        ("1 1 9 1 9 9 1 9 ship 1", {"difficult": True}, 1, {}),
        ("1 1 9 1 9 9 1 9 ship", {}, 1, {}),  # some tools leave the flag out
        ("1 1 9 1 9 9 1 9 helipad 0", {}, 0, {"another class": 1}),  # a class of version 2.0
        ("1 1 9 1 9 9 1 9 ship 0", {"classes": "plane"}, 0, {"another class": 1}),
        ("1 1 9 1 nan 9 1 9 ship 0", {}, 0, {"not a number": 1}),
        ("9 1 9 1 9 9 9 9 ship 0", {}, 0, {"no area inside the image": 1}),
        ("101 1 109 1 109 9 101 9 ship 0", {}, 0, {"no area inside the image": 1}),
    ],
)
def test_which_boxes_stay(source, tmp_path, row, choices, boxes, dropped):
    label(source / "train/labelTxt", f"{HEADINGS}{row}\n0 0 9 0 9 9 0 9 plane 0\n")
    summary = convert(source, tmp_path / "out", **choices)
    assert (summary.boxes, summary.dropped) == (1 + boxes, dropped)


@pytest.mark.parametrize(
    "row", ["1 1 9 1 9 9 1 9", "1 1 9 1 9 9 1 ship 0", "1 1 9 1 9 9 1 x ship 0", "word", "1 1 9 1 9 9 1 9 ship x"]
)
def test_a_row_that_makes_no_sense(source, tmp_path, row):
    label(source / "val/labelTxt")
    file = label(source / "train/labelTxt", f"{HEADINGS}{row}\n{ROWS}")
    summary = convert(source, tmp_path / "out")
    assert summary.skipped == [(file, "line 3 is not 'x1 y1 x2 y2 x3 y3 x4 y4 category difficult'")]
    assert summary.per_split == {"val": 1}


@pytest.mark.parametrize("text", ["", HEADINGS])
def test_images_without_objects(source, tmp_path, text):
    label(source / "val/labelTxt")
    label(source / "train/labelTxt", text)
    assert convert(source, tmp_path / "out").backgrounds == 1
    assert convert(source, tmp_path / "all", backgrounds=True).images == 2


def test_the_unmatched_are_listed(source, tmp_path, make_image):
    label(source / "train/labelTxt")
    text = label(source / "train/labelTxt", name="P0002")
    image = make_image(source / "train/images/P0003.png")
    assert convert(source, tmp_path / "out").skipped == [
        (text, "its image is missing"),
        (image, "its annotation file is missing"),
    ]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("3.0", "expected one of 1.0, 1.5, 2.0"),
        ("2.0", "expected train/labelTxt-v2.0 in it"),
        (None, "expected train/labelTxt-v1.0 in it"),
    ],
)
def test_labels_that_are_not_there(source, tmp_path, version, message):
    with pytest.raises(UserError, match=message):
        convert(source, tmp_path / "out", version=version)


def test_own_classes(source, tmp_path):
    label(source / "train/labelTxt")
    convert(source, tmp_path / "out", classes="all", difficult=True)
    assert list(load_yaml(tmp_path / "out/data.yaml")["names"].values()) == ["bridge", "plane", "ship"]
