"""data.convert.lvis: miniatures of both versions, the sample's own entries, and what bad files get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.config import load_data
from data.convert import run
from data.convert.lvis import convert, image_names, read_classes
from data.detection.federated import FederatedLabels, read_verified, verified_of
from utils.errors import UserError
from utils.files import load_yaml

URL = "http://images.cocodataset.org/"
CATEGORIES = [  # out of order: ids from 1 are classes from 0
    {"id": 3, "name": "yak", "frequency": "r", "synset": "yak.n.02"},
    {"id": 1, "name": "aerosol_can", "frequency": "c", "synset": "aerosol.n.02"},
    {"id": 2, "name": "air_conditioner", "frequency": "f", "synset": "air_conditioner.n.01"},
]


def image(number: int, folder: str, absent: tuple = (), partial: tuple = (), **more: Any) -> dict[str, Any]:
    where = {"coco_url": f"{URL}{folder}/{number}.png", "width": 80, "height": 40}
    return {
        "id": number,
        **where,
        "neg_category_ids": list(absent),
        "not_exhaustive_category_ids": list(partial),
        **more,
    }


def note(image: int, category: int, box: list[float]) -> dict[str, Any]:
    return {"id": 1, "image_id": image, "category_id": category, "bbox": box, "segmentation": [[1, 2, 3, 4, 5, 6]]}


def annotate(file: Path, images: list, annotations: list, categories: Any = CATEGORIES) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    """Two training images, the second without objects, and a validation image from train2017, as v1 has them."""
    folder = tmp_path / "coco"
    for number, place in ((1, "train2017"), (2, "train2017"), (3, "train2017")):
        make_image(folder / place / f"{number}.png", width=80, height=40)
    train = [image(1, "train2017", absent=(3,), partial=(1,)), image(2, "train2017", absent=(2, 1))]
    annotate(folder / "annotations/lvis_v1_train.json", train, [note(1, 1, [8, 4, 16, 8]), note(1, 2, [0, 0, 80, 40])])
    annotate(folder / "annotations/lvis_v1_val.json", [image(3, "train2017")], [note(3, 3, [40, 20, 40, 20])])
    return folder


def test_both_splits_and_what_was_looked_for(source, tmp_path):
    """Class 0 (id 1): left 8, top 4, 16 x 8 of 80 x 40: x = 16/80, y = 8/40, w = 16/80, h = 8/40."""
    summary = run("lvis", source, tmp_path / "out")
    label = tmp_path / "out/labels/train/train2017/1.txt"
    assert label.read_text() == "0 0.200000 0.200000 0.200000 0.200000\n1 0.500000 0.500000 1.000000 1.000000\n"
    assert (tmp_path / "out/labels/train/train2017/2.txt").read_text() == ""  # without objects, yet it says something
    assert (summary.images, summary.boxes, dict(summary.per_split)) == (3, 3, {"train": 2, "val": 1})
    assert summary.lines()[-1] == "3 classes: 1 rare, 1 common, 1 frequent"
    data = load_data(tmp_path / "out")
    assert data.names == {0: "aerosol_can", 1: "air_conditioner", 2: "yak"}
    assert data.frequency == ("c", "f", "r") and data.federated is not None
    known = read_verified(data.federated, classes=3)
    images = [verified_of(known, data.root, data.root / f"images/train/train2017/{n}.png") for n in (1, 2)]
    assert images == [FederatedLabels(absent=(2,), partial=(0,)), FederatedLabels(absent=(0, 1))]


def test_one_file_after_the_other(source, tmp_path):
    """The validation part may come later: its images join those that are there."""
    for split in ("train", "val"):
        run("lvis", source / f"annotations/lvis_v1_{split}.json", tmp_path / "out", link="hard")
    assert load_yaml(tmp_path / "out/data.yaml")["val"] == "images/val"
    assert set(json.loads((tmp_path / "out/federated.json").read_text())) == {
        "images/train/train2017/1.png",
        "images/train/train2017/2.png",
    }


@pytest.mark.parametrize("where", ["val2017/5.png", "images/val2017/5.png", "5.png", "images/COCO_val2014_5.png"])
def test_version_05_names_its_images_twice(tmp_path, make_image, where):
    make_image(tmp_path / "coco" / where, width=80, height=40)
    entry = image(5, "val2017", file_name="COCO_val2014_5.png")
    annotate(tmp_path / "coco/lvis_v0.5_val.json", [entry], [note(5, 1, [8, 4, 16, 8])])
    annotate(tmp_path / "coco/lvis_v1_val.json", [], [])
    convert(tmp_path / "coco", tmp_path / "out", version="0.5")
    assert len(list((tmp_path / "out/images/val/val2017").iterdir())) == 1


def test_images_that_are_missing_or_lead_astray_are_listed(source, tmp_path):
    images = [image(1, "train2017"), image(9, "train2017"), image(4, "..")]
    images += [image(6, 300 * "a"), image(7, "train2017", height=10**400)]
    images.append({"id": 8, "neg_category_ids": [], "not_exhaustive_category_ids": []})
    annotate(source / "annotations/lvis_v1_train.json", images, [])
    reasons = [reason for _, reason in convert(source, tmp_path / "out").skipped]
    assert reasons == [
        "the name '../4.png' leads out of the data set's folder",
        "the stated size of the image 7 is over 1000000000 px",
        "the image 8 has neither coco_url nor file_name",
        "there is no such file",
        reasons[-1],
    ]
    assert "File name too long" in reasons[-1]


def changed(key: str, value: Any) -> list[dict[str, Any]]:
    return [CATEGORIES[0] | {key: value}, *CATEGORIES[1:]]


@pytest.mark.parametrize(
    ("images", "categories", "message"),
    [
        ([image(1, "train2017", absent=(9,))], CATEGORIES, "'neg_category_ids' of image 1 is not a list of categ"),
        ([image(1, "train2017", partial=([],))], CATEGORIES, "'not_exhaustive_category_ids' of image 1 is no"),
        ([{"id": 1}], CATEGORIES, "a list with id, neg_category_ids, not_exhaustive_category_ids in each entry"),
        ([], changed("frequency", "x"), "'frequency' of 'yak' is 'x'; expected r, c or f"),
        ([], changed("id", "abc"), "the ids of its categories are not all whole numbers .*'abc'"),
        ([], changed("name", "Aerosol_can"), "two categories have the same name"),
        ([], changed("name", "ox"), "has other classes than the other file"),
        ([], [{"id": 1, "name": "a"}], "a list with frequency, id, name, synset in each entry"),
    ],
)
def test_wrong_files(source, tmp_path, images, categories, message):
    annotate(source / "annotations/lvis_v1_val.json", images, [], categories)
    with pytest.raises(UserError, match=message) as problem:
        convert(source, tmp_path / "out")
    assert "lvis_v1_val.json" in str(problem.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000])
def test_a_damaged_federated_json_of_earlier_splits(source, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/federated.json").write_bytes(content)
    with pytest.raises(UserError, match=r"federated\.json: is damaged"):
        convert(source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["federated.json"]


def test_files_that_are_not_there_or_twice(source, tmp_path):
    with pytest.raises(UserError, match=r"expected lvis_v1_train\.json and lvis_v1_val\.json"):
        convert(tmp_path, tmp_path / "out")
    annotate(source / "lvis_v0.5_train.json", [], [])
    with pytest.raises(UserError, match="both are annotations of train. Choose with --version"):
        convert(source, tmp_path / "out")
    assert convert(source, tmp_path / "out", version="1").images == 3


def test_the_sample_has_classes_and_names_as_expected(shared):
    file = shared / "data" / "lvis_sample" / "lvis_val_100.json"
    content = json.loads(file.read_text())
    classes = read_classes(file, content)
    assert [classes.frequency.count(letter) for letter in "rcf"] == [454, 461, 315]
    assert (classes.names[0], classes.synsets[0], classes.numbers[1230]) == ("acorn", "acorn.n.01", 1229)
    assert image_names(content["images"][0]) == [
        "val2017/000000266409.jpg",
        "000000266409.jpg",
        "COCO_val2014_000000266409.jpg",
    ]


def test_the_sample_converts(shared, tmp_path, make_image):
    """Its first two images, drawn at a quarter of their size; boxes are fractions all the same."""
    content = json.loads((shared / "data" / "lvis_sample" / "lvis_val_100.json").read_text())
    images = content["images"][:2]
    for entry in images:
        make_image(tmp_path / "coco" / image_names(entry)[0], entry["width"] // 4, entry["height"] // 4)
    ids = {entry["id"] for entry in images}
    rows = [row for row in content["annotations"] if row["image_id"] in ids]
    annotate(tmp_path / "coco/lvis_v0.5_val.json", images, rows, content["categories"])
    summary = convert(tmp_path / "coco", tmp_path / "out")
    assert (summary.images, summary.boxes) == (2, len(rows))
    data = load_data(tmp_path / "out")
    known = read_verified(tmp_path / "out/federated.json", classes=1230)
    absent = verified_of(known, data.root, data.root / "images/val" / image_names(images[0])[0]).absent
    assert absent == tuple(sorted(number - 1 for number in images[0]["neg_category_ids"]))
