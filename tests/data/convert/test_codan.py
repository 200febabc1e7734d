"""data.convert.codan and exdark_cls: miniatures in the layouts of the published archives, and the rule for COCO images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data.classification.dataset import labelled
from data.config import load_data
from data.convert import run
from data.convert.codan import NAMES
from data.convert.exdark_cls import image_class
from data.convert.items import Box
from data.convert.writer import Summary
from utils.errors import UserError
from utils.files import list_images


@pytest.fixture
def codan(tmp_path, make_image) -> Path:
    """Two classes of each split, in a folder below the source."""
    for number, split in enumerate(("train", "val", "test_day", "test_night")):
        for name in ("Bicycle", "Cup"):
            make_image(tmp_path / "original" / "data" / split / name / f"{split}_{name}.jpg", seed=number)
    return tmp_path / "original"


def test_codan(codan, tmp_path):
    (codan / "data" / "train" / "Cup" / "bad.jpg").write_bytes(b"no image")
    summary = run("codan", codan, tmp_path / "codan")
    assert isinstance(summary, Summary) and not summary.boxed and summary.images == 8 and len(summary.skipped) == 1
    assert summary.lines()[0] == "8 images (train 2, val 2, test_day 2, test_night 2)"
    data = load_data(tmp_path / "codan")
    assert data.names == load_data("codan", need=()).names == dict(enumerate(NAMES)) and data.task == "classify"
    assert [image.number for image in labelled(data, "test")] == [0, 8]
    assert data.conditions == {"train": "train", "val": "day", "test": "night", "test2": "day"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda source, out: (source / "data/val/Cup").rename(source / "data/val/Mug"), "Mug is not a class of CODaN"),
        (lambda source, out: (source / "data").rename(source.parent / "away"), "expected CODaN's folders"),
        (lambda source, out: (out / "val").mkdir(parents=True), "already exists"),
        (lambda source, out: out.write_text(""), "a file is in the way"),
    ],
)
def test_what_is_wrong_with_codan(codan, tmp_path, spoil, message):
    spoil(codan, tmp_path / "codan")
    with pytest.raises(UserError, match=message):
        run("codan", codan, tmp_path / "codan")
    assert not list_images_or_none(tmp_path / "codan")


def list_images_or_none(folder: Path) -> list[Path]:
    return list_images(folder) if folder.is_dir() and any(folder.rglob("*.jpg")) else []


def box(name: str, width: float, height: float) -> Box:
    return Box(name, 0, 0, width, height)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([box("dog", 30, 20)], 8),  # 600 of 10,000
        ([box("dog", 20, 20)], None),  # 400 is under 5 %
        ([box("motorcycle", 50, 50), box("person", 25, 50)], 9),  # 1250 is half of 2500, and may be
        ([box("motorcycle", 50, 50), box("person", 26, 50)], None),  # 1300 is more
        ([box("cup", 20, 30), box("cup", 20, 30), box("chair", 25, 36)], None),  # 1200 against 900
        ([box("cup", 20, 30), box("cup", 20, 30), box("chair", 20, 30)], 7),  # 1200 against 600
        ([box("zebra", 90, 90), box("dining table", 30, 20)], 11),  # other classes do not count
        ([box("zebra", 90, 90)], None),
        ([], None),
    ],
)
def test_the_class_of_a_coco_image(boxes, expected):
    """Images of 100 x 100 px."""
    assert image_class(boxes, 100, 100) == expected


def write_coco(source: Path, make_image) -> None:
    """A dog in a training image, a bus too small, and a cat in a validation image."""
    names = {17: "cat", 18: "dog", 6: "bus"}
    objects = {
        "train2017": [("d.jpg", 18, [0, 0, 16, 12]), ("b.jpg", 6, [0, 0, 3, 3])],
        "val2017": [("c.jpg", 17, [0, 0, 32, 24])],
    }
    for subset, rows in objects.items():
        content = {"images": [], "annotations": [], "categories": [{"id": k, "name": v} for k, v in names.items()]}
        for number, (file, category, bbox) in enumerate(rows):
            make_image(source / subset / file, seed=number + len(subset))
            content["images"].append({"id": number, "file_name": file, "width": 32, "height": 24})
            content["annotations"].append({"id": number, "image_id": number, "category_id": category, "bbox": bbox})
        target = source / "annotations" / f"instances_{subset}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))


def test_coco_and_exdark_become_one_set(tmp_path, make_image):
    write_coco(tmp_path / "coco", make_image)
    rows = ["Name | Class | Light | In/Out | Train/Val/Test"]
    for number, (folder, split) in enumerate((("Dog", 1), ("Cat", 2), ("Table", 3))):
        make_image(tmp_path / "ExDark" / folder / f"2015_{number}.JPG", seed=50 + number)
        rows.append(f"2015_{number}.jpg {(9, 6, 12)[number]} 2 1 {split}")
    (tmp_path / "ExDark" / "imageclasslist.txt").write_text("\n".join([*rows, "2015_9.jpg 1 2 1 3"]))
    by_day = run("exdark-cls", tmp_path / "coco", tmp_path / "out")
    by_night = run("exdark-cls", tmp_path / "ExDark", tmp_path / "out")
    assert by_day.dropped == {"COCO images without a clear class": 1} and by_day.per_split == {"train": 1, "val_day": 1}
    assert by_night.per_split == {"unlabeled": 1, "val": 1, "test": 1} and by_night.skipped[0][0].name == "2015_9.jpg"
    data = load_data(tmp_path / "out")
    assert data.names == load_data("exdark-cls", need=()).names
    found = {split: [image.number for image in labelled(data, split)] for split in ("train", "val", "val2", "test")}
    assert found == {"train": [8], "val": [5], "val2": [5], "test": [11]}
    assert [path.name for path in list_images(data.splits["unlabeled"][0])] == ["2015_0.JPG"]


@pytest.mark.parametrize(("line", "message"), [("a.jpg 13 1 1 1", "class of 1 to 12"), ("a.jpg x 1", ":1: expected")])
def test_a_list_of_another_form(tmp_path, make_image, line, message):
    make_image(tmp_path / "ExDark" / "a.jpg")
    (tmp_path / "ExDark" / "imageclasslist.txt").write_text(line)
    with pytest.raises(UserError, match=message):
        run("exdark-cls", tmp_path / "ExDark", tmp_path / "out")


def test_neither_of_the_two(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="expected ExDark with imageclasslist.txt, or COCO"):
        run("exdark-cls", tmp_path / "empty", tmp_path / "out")


@pytest.mark.parametrize(("plain", "key"), [(True, "test3"), (False, "test")])
def test_the_copy_that_wiid_prepared(codan, tmp_path, make_image, plain, key):
    """Darkened images are paired; enhanced ones are tested on beside the plain ones, or in their place."""
    for split, name in (
        ("train_day2night", "train_Cup"),
        ("train_day2night", "train_Bicycle"),
        ("test_night_zdce", "1_Cup"),
    ):
        make_image(codan / "data" / split / name.rpartition("_")[2] / f"{name}.jpg")
    if not plain:
        shutil.rmtree(codan / "data" / "test_night")
    run("codan", codan, tmp_path / "codan")
    data = load_data(tmp_path / "codan")
    assert data.splits["pair"] == (tmp_path / "codan/train_night",)
    assert data.splits[key] == (tmp_path / "codan/test_night_zdce",) and data.conditions[key] == "night-zdce"
    assert data.conditions["test"] == ("night" if plain else "night-zdce")
