"""data.convert: the table of converters, class names across sets, and two sets written into one."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.config import load_data
from data.convert import CONVERTERS, run
from data.convert import writer as layout
from data.convert.class_lists import EXDARK, ClassTable
from data.convert.class_writer import ClassImage, write_class_folders
from data.convert.items import Box, Item
from data.convert.writer import Summary, inside, write_yolo
from utils.errors import UserError
from utils.files import list_images


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("person", 10), ("Person", 10), ("people", 10), ("motorcycle", 9), ("motorbike", 9), ("diningtable", 11),
        ("dining table", 11), ("table", 11), ("cup", 7), ("bicycle", 0), ("sheep", None), ("", None),
    ],
)  # fmt: skip
def test_the_twelve_classes_and_their_other_names(name, number):
    table = ClassTable("exdark", ["person"])
    assert table.names == list(EXDARK)
    assert table.number(name) == number


@pytest.mark.parametrize(
    ("choice", "name", "number"),
    [
        ("aitod", "Wind-Mill", 7), ("aitod", "windmill", None), ("visdrone", "motor", 9), ("tinyperson", "person", 0),
        ("tinyperson", "earth_person", 0), ("dota-1.0", "swimming-pool", 14), ("dota-1.0", "container-crane", None),
        ("dota-1.5", "container-crane", 15), ("dota-2.0", "helipad", 17),
        ("duo", "echinus", 1), ("urpc2020", "echinus", 0), ("ruod", "jellyfish", 9), ("cityscapes", "rider", 7),
        ("cityscapes", "motorbike", 5), ("kitti", "Cyclist", 2), ("kitti", "Van", None),
        ("rtts", "motorcycle", 3), ("dawn", "motorbike", 3), ("dawn", "train", None),
    ],
)  # fmt: skip
def test_lists_hold_whatever_was_found(choice, name, number):
    assert ClassTable(choice, []).number(name) == number


def test_all_names_are_sorted_and_given_ones_keep_their_order():
    assert ClassTable("all", ["b", "a", "", "b"]).names == ["a", "b"]
    assert ClassTable("b, a", ["b", "a"]).names == ["b", "a"]


@pytest.mark.parametrize(
    ("choice", "names", "numbers"),
    [
        ("all", ["Car", "bus", "car"], [0, 2, 0]),
        ("car,Car", ["car", "Car"], [1, 0, 0]),
        ("Car", ["Car"], [0, 0, 0]),  # one of the two is asked for: it takes both
        (["Car", "car"], ["Car", "car"], [0, 1, 0]),
    ],
)
def test_classes_that_differ_in_case_only_stay_apart(choice, names, numbers):
    table = ClassTable(choice, ["car", "Car", "bus"])
    assert (table.names, [table.number(name) for name in ("Car", "car", "CAR")]) == (names, numbers)


def test_listed_classes_can_be_named_though_there_is_no_object_of_them():
    assert ClassTable("c,a", ["a"], ["a", "b", "c"]).names == ["c", "a"]
    assert ClassTable("all", ["a"], ["a", "b", "c"]).names == ["a"]


@pytest.mark.parametrize(
    ("choice", "found"),
    [("a,a", ["a"]), ("", ["a"]), ("all", []), ("c", ["a", "b"]), ("a,A", ["a"])],
)
def test_names_that_cannot_be_used(choice, found):
    with pytest.raises(UserError, match="cannot be used"):
        ClassTable(choice, found)


@pytest.mark.parametrize(("name", "expected"), [("a.jpg", "a.jpg"), ("x/a.jpg", "x/a.jpg"), ("x\\a.jpg", "x/a.jpg")])
def test_names_inside_a_folder(name, expected):
    assert inside(Path("set"), name) == Path("set", expected)


@pytest.mark.parametrize("name", ["", "..", "../a", "a/../../b", "/a", "\\a", "C:\\a", "a\0b", "\\\\server\\a"])
def test_names_outside_a_folder(name):
    with pytest.raises(ValueError, match="leads out"):
        inside(Path("set"), name)


def one_item(image: Path, split: str = "train", group: str = "g") -> Item:
    return Item(image, split, group, (Box("dog", 1, 1, 9, 9),))


def write(items: list[Item], out: Path, link: str = "copy") -> Summary:
    return write_yolo(items, out, Summary(), classes="exdark", link=link, backgrounds=False)


def test_two_sets_become_one(tmp_path, make_image):
    first, second = make_image(tmp_path / "a/1.png"), make_image(tmp_path / "b/1.png")
    write([one_item(first, "train", "voc")], tmp_path / "out")
    write([one_item(second, "train", "coco"), one_item(second, "val", "coco")], tmp_path / "out")
    data = load_data(tmp_path / "out")
    assert set(data.splits) == {"train", "val"}
    assert len(list_images(data.splits["train"][0])) == 2


def test_two_images_of_one_name_are_not_mixed_up(tmp_path, make_image):
    images = [make_image(tmp_path / f"{name}/1.png", seed=seed) for seed, name in enumerate("ab")]
    summary = write([one_item(image) for image in images], tmp_path / "out")
    assert (summary.images, summary.skipped) == (2, [])
    for image, name in zip(images, "ab", strict=True):
        assert (tmp_path / f"out/images/train/g/{name}_1.png").read_bytes() == image.read_bytes()
        assert (tmp_path / f"out/labels/train/g/{name}_1.txt").is_file()


def test_two_images_of_one_name_in_one_folder_are_not_mixed_up(tmp_path, make_image):
    summary = write([one_item(make_image(tmp_path / f"a/1.{suffix}")) for suffix in ("png", "bmp")], tmp_path / "out")
    assert summary.images == 1
    assert summary.skipped[0][1] == "another image of the same name was converted already"


def test_an_interrupted_conversion_leaves_nothing(tmp_path, make_image, monkeypatch):
    def stop(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(layout.LINKS, "copy", stop)
    with pytest.raises(KeyboardInterrupt):
        write([one_item(make_image(tmp_path / "a/1.png"))], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize(
    ("out", "message"), [("out", "a file is in the way"), ("out/x", "cannot be written .(Not a dir|File exists)")]
)
def test_a_file_in_the_way(tmp_path, make_image, out, message):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=message):
        write([one_item(make_image(tmp_path / "a/1.png"))], tmp_path / out)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EXDEV, "--link hard: needs --out on the same disk as --source. Use --link copy or --link symbolic"),
        (
            errno.ENOSPC,
            "out: cannot be written .No space left on device.. Choose a writable location with enough space",
        ),
        (errno.EACCES, "out: cannot be written .Permission denied.. Choose a writable location with enough space"),
    ],
)
def test_a_place_that_takes_nothing(tmp_path, make_image, monkeypatch, number, message):
    def refuse(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number), source)

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UserError, match=message):
        write([one_item(make_image(tmp_path / "a/1.png"))], tmp_path / "out", link="hard")
    with pytest.raises(UserError, match=message):
        images = [ClassImage(tmp_path / "a/1.png", "train", "dog")]
        write_class_folders(
            images, tmp_path / "out", Summary(boxed=False), names=["dog"], keys={}, conditions={}, link="hard"
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_where_nothing_is_left_the_most_frequent_reason_is_said(tmp_path, make_image):
    """Two boxes without area, one not a number."""
    boxes = [Box("dog", 5, 5, 5, 9), Box("dog", 5, 5, 9, 5), Box("dog", math.nan, 5, 9, 9)]
    items = [Item(make_image(tmp_path / "a/1.png"), "train", "g", tuple(boxes))]
    with pytest.raises(UserError, match=r"was found\. 2 boxes were skipped: no area inside the image\. Check"):
        write(items, tmp_path / "out")


@pytest.mark.parametrize("classes", ["all", "dog", "exdark"])
def test_where_no_object_was_read_the_first_skipped_file_is_named(tmp_path, classes):
    summary = Summary(skipped=[(Path("a.xml"), "its image is missing")])
    with pytest.raises(UserError, match=r"was found\. The first, a\.xml: its image is missing\. Check"):
        write_yolo([], tmp_path / "out", summary, classes=classes, link="copy", backgrounds=False)


def test_half_a_character_in_a_name_can_be_printed():
    skipped = [(Path("\ud800.jpg"), "there is no such file")]
    for summary in (Summary(skipped=skipped), Summary(skipped=skipped, boxed=False)):
        assert summary.lines()[-1] == "skipped \\ud800.jpg: there is no such file"


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("cocoa", {}, "no such converter. Did you mean 'coco'"),
        ("exdark", {"trainval": True}, "--trainval does not apply to this data set"),
        ("coco", {"trainval": None}, "expected COCO annotations"),
    ],
)
def test_run_says_what_is_wrong(tmp_path, name, choices, message):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match=message):
        run(name, tmp_path / "source", tmp_path / "out", **choices)


def test_run_names_a_source_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        run("voc", tmp_path / "missing", tmp_path / "out")


def test_run_keeps_source_and_result_apart(tmp_path):
    with pytest.raises(UserError, match="lies in --source"):
        run("voc", tmp_path, tmp_path / "out")


def test_converters_need_no_torch(root):
    code = (
        "import sys, importlib, json\nfrom data.convert import CONVERTERS\n"
        "[importlib.import_module(name) for name in CONVERTERS.values()]\n"
        "print(json.dumps(['torch' in sys.modules, 'ultralytics' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False]
    assert list(CONVERTERS) == [
        "coco", "exdark", "voc", "aitod", "aitodv2", "visdrone", "tinyperson", "dota", "urpc2020", "duo", "ruod",
        "cityscapes", "foggy-cityscapes", "rainy-cityscapes", "rtts", "dawn", "kitti",
        "lvis", "imagenet-lvis", "codan", "exdark-cls", "arid", "yolo",
    ]  # fmt: skip
