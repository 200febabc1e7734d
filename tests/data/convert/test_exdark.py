"""data.convert.exdark: a miniature in the layout of the published archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.config import load_data
from data.convert.exdark import FORM, attributes_of, convert, read_row
from data.convert.text_annotations import read_rows
from data.io.labels import scan
from utils.errors import UserError
from utils.files import list_images, load_yaml
from utils.tables import read_csv

HEADING = "Name | Class | Light | In/Out | Train/Val/Test\n"
ROWS = "2015_00001.png 1 2 1 1\n2015_00002.JPG 10 6 2 2\n2015_00003.jpg 12 5 2 3\n"


def annotate(source: Path, folder: str, name: str, *rows: str) -> None:
    file = source / "ExDark_Annno" / folder / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("% bbGt version=3\n" + "".join(f"{row} 0 0 0 0 0 0 0\n" for row in rows))


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    """One image per split, 200 x 100 px."""
    source = tmp_path / "original"
    for name, number in {"Bicycle/2015_00001.png": 1, "Motorbike/2015_00002.JPG": 2, "Table/2015_00003.jpg": 3}.items():
        make_image(source / "ExDark" / name, width=200, height=100, seed=number)
    annotate(source, "Bicycle", "2015_00001.png", "Bicycle 20 10 40 50", "People 100 0 100 100")
    annotate(source, "Motorbike", "2015_00002.jpg", "Motorbike 0 0 20 20")  # the case of the suffix differs
    annotate(source, "Table", "2015_00003.jpg", "Table 190 90 30 30", "Dog 200 0 5 5", "Zebra 1 1 5 5")
    (source / "imageclasslist.txt").write_text(HEADING + ROWS)
    return source


def test_the_published_layout(source, tmp_path):
    """Bicycle, left 20, top 10, 40 x 50 of 200 x 100: x = 40/200, y = 35/100, w = .2, h = .5.

    Table, 190..220 x 90..120, is clipped to 190..200 x 90..100: x = .975, y = .95, w = .05, h = .1.
    """
    summary = convert(source, tmp_path / "exdark")
    labels = tmp_path / "exdark/labels"
    assert (labels / "train/Bicycle/2015_00001.txt").read_text() == (
        "0 0.200000 0.350000 0.200000 0.500000\n10 0.750000 0.500000 0.500000 1.000000\n"
    )
    assert (labels / "val/Motorbike/2015_00002.txt").read_text() == "9 0.050000 0.100000 0.100000 0.200000\n"
    assert (labels / "test/Table/2015_00003.txt").read_text() == "11 0.975000 0.950000 0.050000 0.100000\n"
    assert (summary.images, summary.boxes, summary.clipped) == (3, 4, 1)
    assert summary.dropped == {"no area inside the image": 1, "another class": 1}
    assert summary.per_split == {"train": 1, "val": 1, "test": 1}


def test_the_result_loads_and_matches_the_project_file(source, tmp_path):
    convert(source, tmp_path / "exdark")
    data = load_data(tmp_path / "exdark/data.yaml")
    assert data.names == load_data("Exdark.yaml", need=()).names
    for split in ("train", "val", "test"):
        assert len(scan(list_images(data.splits[split][0]), 12).labels) == 1


def test_the_archives_may_lie_anywhere_below_the_source(source, tmp_path):
    (source / "deep").mkdir()
    (source / "imageclasslist.txt").rename(source / "deep/imageclasslist.txt")
    (source / "ExDark").rename(source / "deep/images")
    assert convert(source, tmp_path / "out").images == 3


@pytest.mark.parametrize("link", ["copy", "hard", "symbolic"])
def test_images_are_copied_or_linked_and_never_changed(source, tmp_path, link):
    original = source / "ExDark/Bicycle/2015_00001.png"
    content = original.read_bytes()
    convert(source, tmp_path / "out", link=link)
    target = tmp_path / "out/images/train/Bicycle/2015_00001.png"
    assert target.read_bytes() == content == original.read_bytes()
    assert target.is_symlink() == (link == "symbolic")
    assert (target.stat().st_ino == original.stat().st_ino) == (link != "copy")


def test_what_is_missing_or_broken_is_listed(source, tmp_path):
    (source / "ExDark/Motorbike/2015_00002.JPG").unlink()
    (source / "ExDark_Annno/Table/2015_00003.jpg.txt").write_text("% bbGt version=3\nTable 1 2 3\n")
    with (source / "imageclasslist.txt").open("a") as file:
        file.write("2015_09999.jpg 1 1 1 1\n")
    summary = convert(source, tmp_path / "out")
    assert {path.name: reason for path, reason in summary.skipped} == {
        "2015_00002.JPG": "listed, but the image is missing",
        "2015_00003.jpg.txt": "line 2 is not 'Class left top width height ...'",
        "2015_09999.jpg": "listed, but the image is missing",
    }
    (source / "ExDark_Annno/Bicycle/2015_00001.png.txt").unlink()
    with pytest.raises(UserError, match="no image with a wanted object was found. The first"):
        convert(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_list_in_another_encoding(source, tmp_path):
    (source / "imageclasslist.txt").write_text(HEADING + ROWS, encoding="utf-16")
    with pytest.raises(UserError, match=r"imageclasslist\.txt: expected UTF-8 text"):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize("row", ["2015_00001.png 1 2 1\n", "2015_00001.png 1 2 1 4\n", "just words\n"])
def test_a_list_that_makes_no_sense(source, tmp_path, row):
    (source / "imageclasslist.txt").write_text(HEADING + row)
    with pytest.raises(UserError, match="imageclasslist.txt:2: expected"):
        convert(source, tmp_path / "out")


def test_without_the_list(source, tmp_path):
    (source / "imageclasslist.txt").unlink()
    with pytest.raises(UserError, match="imageclasslist.txt is not in it"):
        convert(source, tmp_path / "out")
    with pytest.raises(UserError, match="imageclasslist.txt is not in it"):
        convert(tmp_path / "gone", tmp_path / "out")


def test_a_link_of_an_unknown_kind(source, tmp_path):
    with pytest.raises(UserError, match="expected one of copy, hard, symbolic"):
        convert(source, tmp_path / "out", link="soft")


def test_read_boxes(tmp_path):
    (tmp_path / "a.txt").write_text("% bbGt version=3\n\nCar 1 2 3 4 0 0 0 0 0 0 0\r\nDog 1.5 2 3 4\n")
    first, second = read_rows(tmp_path / "a.txt", read_row, FORM)[0]
    assert (first.name, first.left, first.top, first.right, first.bottom) == ("Car", 1, 2, 4, 6)
    assert (second.name, second.left, second.right) == ("Dog", 1.5, 4.5)


def test_names_of_the_yaml(source, tmp_path):
    convert(source, tmp_path / "out", classes="all")
    assert list(load_yaml(tmp_path / "out/data.yaml")["names"].values()) == [
        *("Bicycle", "Dog", "Motorbike", "People", "Table", "Zebra")
    ]


def test_light_and_place_are_kept(source, tmp_path):
    """2 1 is ambient, indoors; 6 2 strong, outdoors; 5 2 weak, outdoors."""
    convert(source, tmp_path / "exdark")
    assert read_csv(tmp_path / "exdark/attributes.csv") == [
        {"image": "images/test/Table/2015_00003.jpg", "light": "Weak", "place": "Outdoor"},
        {"image": "images/train/Bicycle/2015_00001.png", "light": "Ambient", "place": "Indoor"},
        {"image": "images/val/Motorbike/2015_00002.JPG", "light": "Strong", "place": "Outdoor"},
    ]


@pytest.mark.parametrize(
    ("light", "place", "expected"),
    [("1", "1", {"light": "Low", "place": "Indoor"}), ("11", "0", {}), ("x", "2", {"place": "Outdoor"})],
)
def test_attributes(light, place, expected):
    assert dict(attributes_of(light, place)) == expected
