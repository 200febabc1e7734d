"""data.convert.yolo: a set with YOLO labels comes through with its boxes, classes and backgrounds, and a val of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.config import load_data
from data.convert.yolo import convert
from data.io.labels import label_path
from data.io.pairs import match_pairs
from utils.errors import UserError
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


YAML = """
train: images/train
extra: images/extra
val: {night: images/val, day: images/val2}
test: images/test
test2: images/test2
pair: images/night
reference: images/clear
conditions: {test2: fog}
method: wiid
names: [cat, dog]
frequency: [r, f]
"""


@pytest.fixture
def full_set(tiny_set, make_image) -> Path:
    """The tiny set with all splits: images 0 to 3 in cam1 of train and night, 0 and 1 in cam2; one image in each other split."""
    for kind in ("images", "labels"):
        for split in ("train", "night"):
            files = sorted((tiny_set / kind / split).iterdir())
            for folder in ("cam1", "cam2"):
                (tiny_set / kind / split / folder).mkdir()
            for file in files:
                file.rename(file.parent / "cam1" / file.name)
    for split in ("train", "night"):
        for number in range(2):
            make_image(tiny_set / f"images/{split}/cam2/{number}.png", seed=10 + number)
    for split in ("extra", "val2", "test", "test2", "clear"):
        make_image(tiny_set / f"images/{split}/{split}.png")
        (tiny_set / f"labels/{split}").mkdir()
        (tiny_set / f"labels/{split}/{split}.txt").write_text("1 0.5 0.5 1 1\n")
    (tiny_set / "data.yaml").write_text(YAML)
    return tiny_set


def test_all_splits_and_keys_come_along(full_set, tmp_path):
    out = tmp_path / "out"
    summary = convert(full_set, out)
    assert dict(summary.per_split) == {"train": 6, "extra": 1, "val": 2, "val2": 1, "test": 1, "test2": 1}
    assert (summary.unlabelled, summary.skipped) == ({"pair": 6, "reference": 1}, [])
    assert "6 pair images, without labels" in summary.lines()
    content = load_yaml(out / "data.yaml")
    assert content["conditions"] == {"val": "night", "val2": "day", "test2": "fog"}
    assert (content["method"], content["frequency"]) == ("wiid", ["r", "f"])
    config = load_data(out)
    assert {split: place.relative_to(out).as_posix() for split, (place,) in config.splits.items()} == {
        split: f"images/{split}" for split in ("train", "pair", "reference", "extra", "val", "val2", "test", "test2")
    }
    assert (out / "labels/test2/yolo/test2.txt").read_text() == "1 0.500000 0.500000 1.000000 1.000000\n"


def test_pairs_are_called_as_their_images(full_set, tmp_path):
    """0 and 1 are in both cameras; each written image finds the night image that the original one has."""
    convert(full_set, tmp_path / "out")
    train, night = (list_images(tmp_path / f"out/images/{split}") for split in ("train", "pair"))
    names = ["2", "3", "cam1_0", "cam1_1", "cam2_0", "cam2_1"]
    assert [image.stem for image in train] == [image.stem for image in night] == names
    assert match_pairs(train, night) == night
    for image in night:
        *camera, number = image.stem.split("_")
        original = full_set / "images/night" / (camera[0] if camera else "cam1") / f"{number}.png"
        assert image.read_bytes() == original.read_bytes()


def test_pairs_of_held_out_images_are_left_out(full_set, tmp_path):
    (full_set / "data.yaml").write_text("train: images/train\npair: images/night\nnames: [cat, dog]\n")
    summary = convert(full_set, tmp_path / "out", val_share=0.5)
    train, night = (list_images(tmp_path / f"out/images/{split}") for split in ("train", "pair"))
    assert [image.stem for image in train] == [image.stem for image in night]
    left = 6 - len(train)
    assert f"{left} images of 'pair' belong to no training image and were left out" in summary.notes


def test_what_does_not_come_along_is_named(full_set, tmp_path):
    (full_set / "images/night/cam1/3.png").unlink()
    (full_set / "attributes.csv").write_text("image,weather\n")
    (full_set / "data.yaml").write_text(YAML + "teacher: soft\nfederated: known.json\n")
    summary = convert(full_set, tmp_path / "out", classes="dog,cat")
    assert any("'pair' is not converted: " in note and "3.png: no paired image" in note for note in summary.notes)
    assert any("not converted: teacher, federated, frequency, attributes.csv." in note for note in summary.notes)
    content = load_yaml(tmp_path / "out/data.yaml")
    assert content["names"] == {0: "dog", 1: "cat"} and "pair" not in content and "frequency" not in content


def test_a_set_of_another_task_is_refused(tiny_set, tmp_path):
    (tiny_set / "data.yaml").write_text("task: classify\ntrain: images/train\nnames: [cat, dog]\n")
    with pytest.raises(UserError, match="its task is 'classify'; only sets with boxes"):
        convert(tiny_set, tmp_path / "out")
