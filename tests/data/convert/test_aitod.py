"""data.convert.aitod: miniatures of both versions in the layouts that people unpack to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.config import load_data
from data.convert import run
from data.convert.aitod import convert
from data.convert.class_lists import AITOD
from utils.errors import UserError
from utils.files import load_yaml

CATEGORIES = [{"id": number, "name": name} for number, name in enumerate(AITOD, 1)]


def note(box: list, category: int = 6, **more: object) -> dict:
    return {"id": 1, "image_id": 1, "category_id": category, "bbox": box, "iscrowd": 0, **more}


def annotate(file: Path, image: str, *annotations: dict) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": 1, "file_name": image, "width": 80, "height": 80}]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    """One image of 80 x 80 px in each of train, val and test; trainval holds the first two again in the release."""
    folder = tmp_path / "AI-TOD"
    for subset in ("train", "val", "test"):
        make_image(folder / "images" / subset / f"{subset}__1_0.png", width=80, height=80)
        file = folder / "annotations" / f"aitod_{subset}_v1_1.0.json"
        annotate(file, f"{subset}__1_0.png", note([8, 16, 4, 8], area=32.0), note([8, 16, 4, 8], 8, area=20.0))
    return folder


def test_the_published_layout(source, tmp_path):
    """Vehicle (6th): left 8, top 16, 4 x 8 of 80 x 80: x = 10/80, y = 20/80, w = 4/80, h = 8/80.

    The wind-mill's area of 20 differs from 4 x 8; labels keep the box.
    """
    summary = convert(source, tmp_path / "out")
    for split in ("train", "val", "test"):
        label = tmp_path / "out/labels" / split / f"aitod-{split}" / f"{split}__1_0.txt"
        assert label.read_text() == ("5 0.125000 0.250000 0.050000 0.100000\n7 0.125000 0.250000 0.050000 0.100000\n")
    assert (summary.images, summary.boxes, summary.dropped) == (3, 6, {})
    assert load_data(tmp_path / "out").names == load_data("aitod.yaml", need=()).names == dict(enumerate(AITOD))


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (note([8, 8, 0.9, 8], area=7.2), "under 1 px wide or high, or without area"),
        (note([8, 8, 8, 0.9], area=7.2), "under 1 px wide or high, or without area"),
        (note([8, 8, 8, 8], area=0), "under 1 px wide or high, or without area"),
        (note([8, 8, -8, 8], area=64), "under 1 px wide or high, or without area"),
        (note([100.3, 8, 8, 8], area=64), "no area inside the image"),
        (note([float("nan"), 8, 8, 8], area=64), "not a number"),
        (note([8, 8, 8], area=64), "not a number"),
        (note([8, 8, 8, 8], category=9, area=64), "of an unknown category"),
        (note([20.3, 20.3, 1, 1], area=1), None),  # 20.3 + 1 - 20.3 is a little below 1
        (note([8, 8, 8, 8]), None),
    ],
)
def test_which_boxes_stay(source, tmp_path, annotation, reason):
    good = note([8, 16, 4, 8], area=32)
    annotate(source / "annotations/aitod_train_v1_1.0.json", "train__1_0.png", good, annotation)
    summary = convert(source, tmp_path / "out")
    assert summary.dropped == ({reason: 1} if reason else {})
    assert summary.boxes == 5 + (reason is None)


@pytest.mark.parametrize("names", ["aitod_{}.json", "aitod_{}_v1_1.0.json", "small_{}_v1_1.0.json"])
def test_trainval_is_made_of_the_images_of_train(source, tmp_path, names):
    for file in (source / "annotations").iterdir():
        file.unlink()
    annotate(source / names.format("trainval"), "train__1_0.png", note([8, 16, 4, 8]))
    annotate(source / names.format("test"), "test__1_0.png", note([8, 16, 4, 8]))
    with pytest.raises(UserError, match="aitod_train.json, is not in it. That of trainval is: add --trainval"):
        convert(source, tmp_path / "out")
    assert convert(source, tmp_path / "out", trainval=True).per_split == {"train": 1, "val": 1}
    assert (tmp_path / "out/images/val/aitod-test/test__1_0.png").is_file()


@pytest.mark.parametrize("folder", ["train", "train/images", "images/trainval", "."])
def test_other_places_of_the_images(source, tmp_path, folder):
    (source / folder).mkdir(parents=True, exist_ok=True)
    (source / "images/train/train__1_0.png").rename(source / folder / "train__1_0.png")
    assert convert(source, tmp_path / "out").images == 3
    assert convert(source, tmp_path / "again", images=source / "images").images == (3 if "images/t" in folder else 2)


@pytest.mark.parametrize("names", ["aitodv2_{}.json", "aitod_v2_{}.json", "small_{}_v2_2.0.json"])
def test_both_versions_side_by_side(source, tmp_path, names):
    annotate(source / "annotations" / names.format("train"), "train__1_0.png", note([0, 0, 80, 80], 1))
    run("aitodv2", source, tmp_path / "v2")
    assert (tmp_path / "v2/labels/train/aitod-train/train__1_0.txt").read_text().startswith("0 0.5")
    assert run("aitod", source, tmp_path / "v1").boxes == 6
    with pytest.raises(UserError, match="--version does not apply"):
        run("aitodv2", source, tmp_path / "out", version="1.0")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png"])
def test_what_is_missing_or_leads_out_is_listed(source, tmp_path, make_image, name):
    make_image(tmp_path / "secret.png", width=80, height=80)
    annotate(source / "annotations/aitod_train_v1_1.0.json", name, note([8, 16, 4, 8]))
    (source / "images/val/val__1_0.png").unlink()
    summary = convert(source, tmp_path / "out")
    assert {reason for _, reason in summary.skipped} == {
        f"the name {name!r} leads out of the data set's folder",
        "there is no such file",
    }
    assert load_yaml(tmp_path / "out/data.yaml")["val"] == "images/val"
    assert not list((tmp_path / "out").rglob("secret*"))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"version": "3.0"}, "--version 3.0: expected one of 1.0, 2.0"),
        ({"version": "2.0"}, "annotation file of train for version 2.0, such as aitodv2_train.json"),
        ({"trainval": True}, "such as aitod_trainval.json, is not in it. See docs"),
    ],
)
def test_annotations_that_are_not_there(source, tmp_path, choices, message):
    with pytest.raises(UserError, match=message):
        convert(source, tmp_path / "out", **choices)


def test_two_files_of_one_subset(source, tmp_path):
    annotate(source / "small_val_v1_1.0.json", "val__1_0.png")
    with pytest.raises(UserError, match="both are annotations of val"):
        convert(source, tmp_path / "out")
