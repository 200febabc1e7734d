"""data.convert.voc: a miniature of the VOCdevkit, plain XML folders, and real VOC files beside their known labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.convert import run
from data.convert.voc import convert as convert_all
from data.convert.writer import Summary
from data.io.labels import label_path, read_label
from utils.errors import UserError
from utils.files import list_images, load_yaml


def convert(source: Path, out: Path, **choices: Any) -> Summary:
    """ExDark's classes, unless others are asked for."""
    return convert_all(source, out, **{"classes": "exdark", **choices})


OBJECT = """
  <object><name>{name}</name><difficult>{difficult}</difficult>
    <bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>
  </object>"""


def annotation(name: str, objects: list[tuple], size: tuple[int, int] = (40, 30), database: str = "Unknown") -> str:
    """A VOC file; objects: (class, (xmin, ymin, xmax, ymax), difficult)."""
    entries = "".join(OBJECT.format(name=kind, box=box, difficult=hard) for kind, box, hard in objects)
    return (
        f"<annotation><folder>VOC</folder><filename>{name}</filename><source><database>{database}</database></source>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{entries}</annotation>"
    )


@pytest.fixture
def devkit(tmp_path, make_image) -> Path:
    """VOC2007 with three images: 000001 train, 000002 val, 000003 test."""
    year = tmp_path / "VOCdevkit" / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main"):
        (year / folder).mkdir(parents=True)
    contents = {
        "000001": [("person", (5, 7, 20, 22), 0), ("motorbike", (1, 1, 40, 30), 0), ("sheep", (3, 3, 9, 9), 0)],
        "000002": [("diningtable", (11, 11, 20, 20), 0), ("car", (1, 1, 5, 5), 1)],
        "000003": [("aeroplane", (1, 1, 5, 5), 0)],
    }
    for name, objects in contents.items():
        make_image(year / "JPEGImages" / f"{name}.jpg", width=40, height=30)
        text = annotation(f"{name}.jpg", objects, database="The VOC2007 Database")
        (year / "Annotations" / f"{name}.xml").write_text(text)
    lists = {"train": "000001\n", "val": "000002\n", "trainval": "000001\n000002\n", "test": "000003\n"}
    for name, lines in lists.items():
        (year / "ImageSets/Main" / f"{name}.txt").write_text(lines)
    return year.parent


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_devkit_becomes_voco(devkit, tmp_path):
    """Person (5,7)-(20,22), counted from 1 with the last pixel inside, is 4..20 x 6..22 of 40 x 30:

    x = 12/40 = .3, y = 14/30 = .466667, w = 16/40 = .4, h = 16/30 = .533333. The motorbike fills the image.
    """
    before = {path: path.read_bytes() for path in devkit.rglob("*") if path.is_file()}
    summary = convert(devkit, tmp_path / "voco")
    assert tree(tmp_path / "voco") == [
        "data.yaml",
        "images/train/VOC2007/000001.jpg",
        "images/val/VOC2007/000002.jpg",
        "labels/train/VOC2007/000001.txt",
        "labels/val/VOC2007/000002.txt",
    ]
    assert (tmp_path / "voco/labels/train/VOC2007/000001.txt").read_text() == (
        "10 0.300000 0.466667 0.400000 0.533333\n9 0.500000 0.500000 1.000000 1.000000\n"
    )
    assert (tmp_path / "voco/labels/val/VOC2007/000002.txt").read_text() == "11 0.375000 0.500000 0.250000 0.333333\n"
    assert (summary.images, summary.boxes, summary.clipped, summary.backgrounds) == (2, 3, 0, 1)
    assert summary.dropped == {"another class": 2, "marked difficult (--difficult keeps them)": 1}
    assert "1 images without a wanted object skipped (--backgrounds keeps them)" in summary.lines()
    content = load_yaml(tmp_path / "voco/data.yaml")
    assert (content["path"], content["train"], content["names"][10]) == (".", "images/train", "people")
    assert {path: path.read_bytes() for path in devkit.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("choices", "images", "boxes"),
    [
        ({}, 2, 3),
        ({"difficult": True}, 2, 4),
        ({"backgrounds": True}, 3, 3),
        ({"classes": "all"}, 3, 5),
        ({"classes": "sheep,person"}, 1, 2),
        ({"trainval": True}, 2, 3),
    ],
)
def test_choices(devkit, tmp_path, choices, images, boxes):
    summary = convert(devkit, tmp_path / "out", **choices)
    assert (summary.images, summary.boxes) == (images, boxes)


def test_trainval_trains_on_both(devkit, tmp_path):
    summary = convert(devkit / "VOC2007", tmp_path / "out", trainval=True, backgrounds=True)
    assert summary.per_split == {"train": 2, "val": 1}


def test_own_classes_keep_the_given_order(devkit, tmp_path):
    convert(devkit, tmp_path / "out", classes="sheep,person")
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == {0: "sheep", 1: "person"}


def test_lists_in_another_encoding(devkit, tmp_path):
    (devkit / "VOC2007/ImageSets/Main/train.txt").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"train\.txt: expected UTF-8 text"):
        convert(devkit, tmp_path / "out")


def test_names_in_lists_may_hold_spaces(devkit, tmp_path):
    """The line `a b` is a name as there is a file of it; of `000001  1`, as lists of a class have it, the first word is."""
    year = devkit / "VOC2007"
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (year / folder / f"000002.{suffix}").rename(year / folder / f"a b.{suffix}")
    (year / "ImageSets/Main/train.txt").write_text("000001  1\na b\n")
    (year / "ImageSets/Main/val.txt").unlink()
    convert(devkit, tmp_path / "out")
    assert sorted(path.stem for path in (tmp_path / "out/images/train").rglob("*.jpg")) == ["000001", "a b"]


def plain(folder: Path, make_image, **files: str) -> Path:
    for name, text in files.items():
        make_image(folder / "images" / f"{name}.png", width=40, height=30)
        (folder / f"{name}.xml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("box", "size", "row"),
    [
        ((4, 6, 20, 22), (40, 30), "0.300000 0.466667 0.400000 0.533333"),  # other tools: from 0, last pixel outside
        ((4.5, 6, 20.5, 22), (40, 30), "0.312500 0.466667 0.400000 0.533333"),
        ((8, 12, 40, 44), (80, 60), "0.300000 0.466667 0.400000 0.533333"),  # annotated at twice the size
        ((4, 6, 20, 22), (0, 0), "0.300000 0.466667 0.400000 0.533333"),  # size not stated: the file's
        ((-10, 0, 20, 40), (40, 30), "0.250000 0.500000 0.500000 1.000000"),  # clipped
    ],
)
def test_boxes_by_hand(tmp_path, make_image, box, size, row):
    source = plain(tmp_path / "set", make_image, a=annotation("a.png", [("dog", box, 0)], size))
    summary = convert(source, tmp_path / "out", images=source / "images")
    assert (tmp_path / "out/labels/train/voc/a.txt").read_text() == f"8 {row}\n"
    assert summary.clipped == (box[0] < 0)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((20, 6, 20, 22), "no area inside the image"),
        ((20, 6, 4, 22), "no area inside the image"),
        ((50, 6, 60, 22), "no area inside the image"),
        (("nan", 6, 4, 22), "not a number"),
        (("inf", 6, 4, 22), "not a number"),
        (("x", 6, 4, 22), "not a number"),
        (("", 6, 4, 22), "not a number"),
    ],
)
def test_boxes_that_are_none_are_counted(tmp_path, make_image, box, reason):
    text = annotation("a.png", [("dog", box, 0), ("dog", (1, 1, 9, 9), 0)])
    summary = convert(plain(tmp_path / "set", make_image, a=text), tmp_path / "out")
    assert (summary.boxes, summary.dropped) == (1, {reason: 1})


@pytest.mark.parametrize(
    ("xml", "image"),
    [
        ("{}/1.xml", "{}/1.png"),
        ("{}/1.xml", "{}/images/1.png"),
        ("{}/xml/1.xml", "{}/images/1.png"),
        ("Annotations/{}/1.xml", "JPEGImages/{}/1.png"),
    ],
)
def test_splits_may_repeat_names(tmp_path, make_image, xml, image):
    """The cat is in the image of train, the dog in that of val."""
    for seed, (split, kind) in enumerate((("train", "cat"), ("val", "dog"))):
        make_image(tmp_path / "set" / image.format(split), width=40, height=30, seed=seed)
        file = tmp_path / "set" / xml.format(split)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(annotation("1.png", [(kind, (4, 6, 20, 22), 0)]))
    summary = convert(tmp_path / "set", tmp_path / "out", classes="cat,dog")
    assert (summary.per_split, summary.skipped) == ({"train": 1, "val": 1}, [])
    for split, number in (("train", "0"), ("val", "1")):
        assert (tmp_path / f"out/labels/{split}/voc/1.txt").read_text()[0] == number
        original = tmp_path / "set" / image.format(split)
        assert (tmp_path / f"out/images/{split}/voc/1.png").read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("base", "folder", "split"),
    [
        ("set", "valid", "val"),
        ("set", "Validation/images", "val"),
        ("set", "train", "train"),
        ("set", "test/train", "train"),
        ("test/plain", "images", "train"),
        ("val/test", "images", "train"),
        ("test/plain", "valid", "val"),
    ],
)
def test_only_folders_below_the_source_name_splits(tmp_path, make_image, base, folder, split):
    source = tmp_path / base
    make_image(source / folder / "1.png", width=40, height=30)
    (source / folder / "1.xml").write_text(annotation("1.png", [("cat", (4, 6, 20, 22), 0)]))
    assert convert(source, tmp_path / "out").per_split == {split: 1}


def test_a_list_may_be_called_valid(tmp_path, make_image):
    texts = {name: annotation(f"{name}.png", [("cat", (4, 6, 20, 22), 0)]) for name in "abc"}
    source = plain(tmp_path / "set", make_image, **texts)
    for name, lines in {"train": "a", "valid": "b", "validation": "c"}.items():
        (source / f"{name}.txt").write_text(f"{lines}\n")
    assert convert(source, tmp_path / "out").per_split == {"train": 1, "val": 2}


def test_a_devkit_with_the_lists_of_the_other_protocol(devkit, tmp_path):
    lists = devkit / "VOC2007/ImageSets/Main"
    for name in ("train", "val", "test"):
        (lists / f"{name}.txt").unlink()
    message = r"Main: has no train\.txt or val\.txt or test\.txt\. There is trainval\.txt: --trainval trains on it"
    with pytest.raises(UserError, match=message):
        convert(devkit, tmp_path / "out")
    assert convert(devkit, tmp_path / "out", trainval=True).per_split == {"train": 2}
    (lists / "trainval.txt").rename(lists / "train.txt")
    with pytest.raises(UserError, match=r"There is train\.txt: leave --trainval out"):
        convert(devkit, tmp_path / "out", trainval=True)
    (lists / "train.txt").rename(lists / "first.txt")
    with pytest.raises(UserError, match=r"test\.txt\. Add one of them"):
        convert(devkit, tmp_path / "out")


def test_a_year_without_lists_beside_one_with_them_is_named(devkit, tmp_path):
    for folder in ("Annotations", "ImageSets/Main"):
        (devkit / "VOC2012" / folder).mkdir(parents=True)
    summary = convert(devkit, tmp_path / "out")
    assert [reason for _, reason in summary.skipped] == ["has no train.txt or val.txt or test.txt"]


def test_images_that_cannot_be_told_apart(tmp_path, make_image):
    for place in ("a", "b"):
        make_image(tmp_path / "set" / place / "1.png", width=40, height=30)
    (tmp_path / "set/1.xml").write_text(annotation("1.png", [("cat", (4, 6, 20, 22), 0)]))
    with pytest.raises(UserError, match=r"1\.xml: several images have its name"):
        convert(tmp_path / "set", tmp_path / "out", classes="all")


def test_objects_without_a_name_are_counted_and_make_no_class(tmp_path, make_image):
    text = annotation("a.png", [("", (4, 6, 20, 22), 0), ("dog", (1, 1, 9, 9), 0)])
    summary = convert(plain(tmp_path / "set", make_image, a=text), tmp_path / "out", classes="all")
    assert (summary.boxes, summary.dropped) == (1, {"without a name": 1})
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == {0: "dog"}


def test_bad_files_are_skipped_and_listed(tmp_path, make_image):
    good = annotation("a.png", [("dog", (1, 1, 9, 9), 0)])
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>'
    theft = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'
    odd = f'<?xml version="1.0" encoding="foo-99"?>{good}'
    source = plain(
        tmp_path / "set", make_image, a=good, b=bomb, c=theft, d="<annotation>", e=good, f=good, g=good, h=odd
    )
    (source / "images/e.png").write_bytes((source / "images/e.png").read_bytes()[:-20])
    (source / "images/f.png").unlink()
    (source / "f.xml").write_text(annotation("../../f.png", [("dog", (1, 1, 9, 9), 0)]))
    (source / "g.xml").write_text(annotation("g.png", [("dog", (1, 1, 9, 9), 0)], size=(30, 40)))
    summary = convert(source, tmp_path / "out")
    reasons = {path.stem: reason for path, reason in summary.skipped}
    assert summary.images == 1
    assert set(reasons) == {"b", "c", "d", "e", "f", "g", "h"}
    assert "EntitiesForbidden" in reasons["b"]
    assert "EntitiesForbidden" in reasons["c"]
    assert "truncated" in reasons["e"]
    assert "foo-99" in reasons["h"]
    assert reasons["f"] == "its image is missing"
    assert reasons["g"] == "annotated as 30 x 40 px, but the file is 40 x 30"
    assert any("skipped" in line and "e.png" in line for line in summary.lines())


def test_what_cannot_start(tmp_path, make_image, devkit):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds neither a VOC layout"):
        convert(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(UserError, match="zebra cannot be used; the set has aeroplane, car"):
        convert(devkit, tmp_path / "out", classes="zebra", difficult=True)
    source = plain(tmp_path / "set", make_image, a=annotation("a.png", [("sheep", (1, 1, 9, 9), 0)]))
    with pytest.raises(UserError, match="no image with a wanted object"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_same_set_is_not_written_twice(devkit, tmp_path):
    convert(devkit, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(UserError, match="VOC2007 already exists"):
        convert(devkit, tmp_path / "out")
    with pytest.raises(UserError, match="has other classes"):
        convert(devkit, tmp_path / "out", classes="all")
    assert tree(tmp_path / "out") == before


REAL = [("raccoon", "raccoon", 200, 217, 0), ("bccd", "RBC,WBC,Platelets", 364, 4886, 2)]


@pytest.mark.parametrize(("name", "classes", "images", "boxes", "without_area"), REAL)
def test_real_voc_files_give_the_known_labels(shared, tmp_path, name, classes, images, boxes, without_area):
    source = shared / "data" / name
    summary = run(
        "voc", source / "voc_xml", tmp_path / "out", images=source / "images", classes=classes, link="symbolic"
    )
    assert (summary.images, summary.boxes, summary.skipped) == (images, boxes, [])
    assert summary.dropped["no area inside the image"] == without_area
    count = len(classes.split(","))
    for converted in list_images(tmp_path / "out/images"):
        split = converted.relative_to(tmp_path / "out/images").parts[0]
        ours = read_label(label_path(converted), count)
        known = read_label(source / "labels" / split / f"{converted.stem}.txt", count)
        order, known_order = np.lexsort(ours.round(4).T), np.lexsort(known.round(4).T)
        np.testing.assert_allclose(ours[order], known[known_order], atol=2e-3)


@pytest.mark.parametrize("folder", [".", "ImageSets", "main"])
def test_lists_at_the_root_decide(tmp_path, make_image, folder):
    """ExDark in VOC form: published test images stay test images, and what no list names is skipped and listed."""
    text = annotation("x", [("Bicycle", (1, 1, 9, 9), 0)])
    source = plain(tmp_path / "set", make_image, a=text, b=text, c=text, d=text, e=text)
    (source / folder).mkdir(exist_ok=True)
    (source / folder / "train.txt").write_text("a\nJPEGImages/b.jpg\n")
    (source / folder / "test.txt").write_text("c.xml 1\nd\n\n")
    summary = convert_all(source, tmp_path / "out")
    assert summary.per_split == {"train": 2, "test": 2}
    assert [(path.name, reason) for path, reason in summary.skipped] == [("e.xml", "in none of the lists")]
