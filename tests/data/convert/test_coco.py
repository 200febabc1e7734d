"""data.convert.coco: a miniature of the published layout, and what hostile or broken files get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.convert.coco import convert as convert_all
from data.convert.writer import Summary
from utils.errors import UserError
from utils.files import load_yaml


def convert(source: Path, out: Path, **choices: Any) -> Summary:
    """ExDark's classes, unless others are asked for."""
    return convert_all(source, out, **{"classes": "exdark", **choices})


CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person"},
    {"id": 4, "name": "motorcycle", "supercategory": "vehicle"},
    {"id": 18, "name": "dog", "supercategory": "animal"},
    {"id": 67, "name": "dining table", "supercategory": "furniture"},
    {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
]


def note(image: int | str, category: int, box: object, crowd: int = 0) -> dict:
    return {"id": 1, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd, "area": 1.0}


def image(number: int, name: str, width: int = 40, height: int = 30) -> dict:
    return {"id": number, "file_name": name, "width": width, "height": height}


def write(folder: Path, subset: str, images: list[dict], annotations: list[dict]) -> Path:
    file = folder / "annotations" / f"instances_{subset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return file


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    folder = tmp_path / "coco"
    for subset, name in (("train2017", "1.jpg"), ("train2017", "2.jpg"), ("val2017", "3.jpg")):
        make_image(folder / subset / name, width=40, height=30)
    notes = [note(1, 1, [4, 6, 16, 16]), note(1, 4, [0, 0, 40, 30]), note(1, 18, [1, 1, 9, 9], crowd=1)]
    write(folder, "train2017", [image(1, "1.jpg"), image(2, "2.jpg")], [*notes, note(2, 90, [1, 1, 5, 5])])
    write(folder, "val2017", [image(3, "3.jpg")], [note(3, 67, [10, 10, 10, 10])])
    return folder


def test_coco_becomes_voco(source, tmp_path):
    """Person: left 4, top 6, 16 x 16 of 40 x 30: x = 12/40, y = 14/30, w = 16/40, h = 16/30."""
    summary = convert(source, tmp_path / "voco")
    labels = tmp_path / "voco/labels"
    assert (labels / "train/coco-train2017/1.txt").read_text() == (
        "10 0.300000 0.466667 0.400000 0.533333\n9 0.500000 0.500000 1.000000 1.000000\n"
    )
    assert (labels / "val/coco-val2017/3.txt").read_text() == "11 0.375000 0.500000 0.250000 0.333333\n"
    assert (summary.images, summary.boxes, summary.backgrounds) == (2, 3, 1)
    assert summary.dropped == {"marked as crowd (--difficult keeps them)": 1, "another class": 1}
    assert summary.per_split == {"train": 1, "val": 1}


@pytest.mark.parametrize(
    ("choices", "images", "boxes"),
    [({"difficult": True}, 2, 4), ({"backgrounds": True}, 3, 3), ({"classes": "all"}, 3, 4)],
)
def test_choices(source, tmp_path, choices, images, boxes):
    summary = convert(source, tmp_path / "out", **choices)
    assert (summary.images, summary.boxes) == (images, boxes)


def test_one_file_and_its_own_classes(source, tmp_path):
    file = source / "annotations/instances_train2017.json"
    summary = convert(file, tmp_path / "out", images=source / "train2017", classes="toothbrush,person")
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == {0: "toothbrush", 1: "person"}
    assert (summary.images, summary.boxes) == (2, 2)


@pytest.mark.parametrize("classes", [None, "person,motorcycle,dog", "person,motorcycle,dog,toothbrush"])
def test_files_one_by_one_of_which_the_second_shows_fewer_classes(source, tmp_path, classes):
    """The second file lists person and motorcycle, and shows a person."""
    first, second = (source / f"annotations/instances_{split}2017.json" for split in ("train", "val"))
    content = json.loads(second.read_text())
    content |= {"annotations": [note(3, 1, [1, 1, 9, 9])], "categories": CATEGORIES[:2]}
    second.write_text(json.dumps(content))
    convert(first, tmp_path / "out", classes=classes, difficult=True)
    names = load_yaml(tmp_path / "out/data.yaml")["names"]
    assert convert(second, tmp_path / "out", classes=classes).boxes == 1
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == names
    number = next(number for number, name in names.items() if name == "person")
    assert (tmp_path / "out/labels/val/coco-val2017/3.txt").read_text().startswith(f"{number} ")


def test_a_class_that_only_the_categories_list_can_be_named(source, tmp_path):
    file = source / "annotations/instances_val2017.json"  # a dining table
    convert(file, tmp_path / "out", classes="dog,dining table")
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == {0: "dog", 1: "dining table"}
    with pytest.raises(UserError, match=r"has other classes \(motorcycle, person, toothbrush not among them\)"):
        convert(source / "annotations/instances_train2017.json", tmp_path / "out", classes="all")


def test_flat_folders_of_foggy_and_clear_images_of_the_same_names(tmp_path, make_image):
    """As LCP's authors keep them: of the clear ones, that of the test scene is left out."""
    for name in ("1.jpg", "2.jpg"):
        for seed, weather in enumerate(("foggy", "clear")):
            make_image(tmp_path / "set" / weather / name, width=40, height=30, seed=seed)
    write(tmp_path / "set", "trainval2017", [image(1, "1.jpg")], [note(1, 1, [4, 6, 16, 16])])
    write(tmp_path / "set", "test2017", [image(2, "2.jpg")], [note(2, 1, [4, 6, 16, 16])])
    folders = {"images": tmp_path / "set/foggy", "reference": tmp_path / "set/clear"}
    summary = convert(tmp_path / "set", tmp_path / "out", classes="cityscapes", **folders)
    assert (summary.per_split, summary.reference) == ({"test": 1, "train": 1}, 1)
    assert [path.name for path in (tmp_path / "out/images/reference/coco").iterdir()] == ["1.jpg"]


@pytest.mark.parametrize("folder", ["images/train2017", "images"])
def test_other_usual_places_of_the_images(tmp_path, make_image, folder):
    make_image(tmp_path / "set" / folder / "1.jpg", width=40, height=30)
    write(tmp_path / "set", "train2017", [image(1, "1.jpg")], [note(1, 1, [4, 6, 16, 16])])
    assert convert(tmp_path / "set", tmp_path / "out").images == 1


@pytest.mark.parametrize(
    "name", ["../../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "..\\secret.jpg", "C:/x.jpg", ""]
)
def test_names_that_lead_out_of_the_folder(source, tmp_path, make_image, name):
    make_image(tmp_path / "secret.jpg", width=40, height=30)
    images = [image(1, "1.jpg"), image(9, name)]
    write(source, "train2017", images, [note(1, 1, [4, 6, 16, 16]), note(9, 1, [4, 6, 16, 16])])
    summary = convert(source, tmp_path / "out")
    assert [reason for _, reason in summary.skipped] == [f"the name {name!r} leads out of the data set's folder"]
    assert not list((tmp_path / "out").rglob("secret*"))


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([5, 5, 0, 9], "no area inside the image"),
        ([5, 5, -3, 9], "no area inside the image"),
        ([50, 50, 9, 9], "no area inside the image"),
        ([5, 5, 9], "not a number"),
        ("wide", "not a number"),
        (None, "not a number"),
        ([5, 5, "x", 9], "not a number"),
        ([5, 5, 10**400, 9], "not a number"),
    ],
)
def test_boxes_that_are_none_are_counted(source, tmp_path, box, reason):
    write(source, "train2017", [image(1, "1.jpg")], [note(1, 1, box), note(1, 1, [1, 1, 5, 5])])
    summary = convert(source, tmp_path / "out")
    assert summary.dropped == {reason: 1}


@pytest.mark.parametrize("width", [None, "wide", float("inf"), 0])
def test_a_stated_size_that_is_none(source, tmp_path, width):
    write(source, "train2017", [{**image(1, "1.jpg"), "width": width}], [note(1, 1, [4, 6, 16, 16])])
    assert convert(source, tmp_path / "out").images == 2


def test_a_stated_size_beyond_all_images(source, tmp_path):
    write(source, "train2017", [image(1, "1.jpg", height=10**400)], [note(1, 1, [4, 6, 16, 16])])
    summary = convert(source, tmp_path / "out")
    assert [reason for _, reason in summary.skipped] == ["the stated size of the image 1 is over 1000000000 px"]


@pytest.mark.parametrize(("name", "reason"), [(300 * "a" + ".jpg", "no such file"), ("\ud800.jpg", "surrogates")])
def test_names_that_no_disk_takes(source, tmp_path, name, reason):
    write(source, "val2017", [image(3, name)], [note(3, 1, [4, 6, 16, 16])])
    summary = convert(source, tmp_path / "out", reference=source / "train2017")
    assert (summary.images, summary.reference) == (1, 2)
    assert reason in summary.skipped[0][1]
    assert "\n".join(summary.lines()).encode()


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (note(1, 99, [4, 6, 16, 16]), "of an unknown category"),
        (note(7, 1, [4, 6, 16, 16]), "of an image that is not in the file"),
        (note("1", 1, [4, 6, 16, 16]), "of an image that is not in the file"),
    ],
)
def test_annotations_of_what_is_not_there_are_counted(source, tmp_path, annotation, reason):
    """The classes of the other annotations, dining table and person, keep their numbers."""
    write(source, "train2017", [image(1, "1.jpg")], [note(1, 1, [4, 6, 16, 16]), annotation])
    summary = convert(source, tmp_path / "out", classes="all")
    assert summary.dropped == {reason: 1}
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == {0: "dining table", 1: "person"}


def test_ids_of_two_kinds(source, tmp_path):
    file = write(source, "train2017", [image(1, "1.jpg")], 2 * [note("1", 1, [4, 6, 16, 16])])
    with pytest.raises(UserError, match="2 boxes were skipped: of an image that is not in the file"):
        convert(file, tmp_path / "out", classes="all")


def test_missing_images_are_listed(source, tmp_path):
    (source / "train2017/1.jpg").unlink()
    summary = convert(source, tmp_path / "out")
    assert [(path.name, reason) for path, reason in summary.skipped] == [("1.jpg", "there is no such file")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "expected COCO's 'images'"),
        ('{"images": [{"id": 1}]}', "expected COCO's 'images', a list with file_name, id in each entry"),
        ('{"images": [], "annotations": [3]}', "expected COCO's 'annotations'"),
        ('{"images": [], "annotations": []}', "expected COCO's 'categories'"),
        ('{"images": [{"id": [1], "file_name": "1.jpg"}]}', "expected COCO's 'images'"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_files_that_are_not_coco(source, tmp_path, text, message):
    (source / "annotations/instances_train2017.json").write_text(text)
    with pytest.raises(UserError, match=message):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_annotations_at_all(tmp_path):
    with pytest.raises(UserError, match="expected COCO annotations in it"):
        convert(tmp_path, tmp_path / "out")


def write_export(folder: Path, name: str, images: list[dict], annotations: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))


def test_an_export_of_roboflow(tmp_path, make_image):
    """Images beside their file, folders train, valid and test; all classes that objects have, sorted."""
    for split, name in (("train", "a.jpg"), ("valid", "b.jpg"), ("test", "c.jpg")):
        make_image(tmp_path / "export" / split / name, width=40, height=30)
        write_export(
            tmp_path / "export" / split, "_annotations.coco.json", [image(1, name)], [note(1, 90, [1, 1, 5, 5])]
        )
    (tmp_path / "export" / "other.json").write_text("{}")
    summary = convert_all(tmp_path / "export", tmp_path / "out")
    assert summary.per_split == {"train": 1, "val": 1, "test": 1}
    assert load_yaml(tmp_path / "out" / "data.yaml")["names"] == {0: "toothbrush"}


@pytest.mark.parametrize(
    ("source", "file", "split"),
    [
        ("my-test-project", "result.json", "train"),
        ("my-test-project/result.json", "", "train"),
        ("test/one", "labels/result.json", "train"),
        ("test", "result.json", "train"),
        ("set", "val/labels/result.json", "val"),
        ("set", "coco_test/result.json", "test"),
        ("set/valid/_annotations.coco.json", "", "val"),
        ("set/valid", "_annotations.coco.json", "val"),
        ("set/Test/result.json", "", "test"),
        ("test", "instances_val.json", "val"),
    ],
)
def test_only_folders_below_the_source_name_splits(tmp_path, make_image, source, file, split):
    place = tmp_path / source / file
    make_image(place.parent / "a.jpg", width=40, height=30)
    write_export(place.parent, place.name, [image(1, "a.jpg")], [note(1, 1, [1, 1, 5, 5])])
    assert convert_all(tmp_path / source, tmp_path / "out").per_split == {split: 1}


def test_an_export_of_cvat(tmp_path, make_image):
    """One file for all images, which lie in images/default; some of them become val."""
    names = [f"{number}.jpg" for number in range(20)]
    for name in names:
        make_image(tmp_path / "cvat" / "images" / "default" / name, width=40, height=30)
    rows = [image(number, name) for number, name in enumerate(names)]
    notes = [note(number, 1, [1, 1, 5, 5]) for number in range(20)]
    write_export(tmp_path / "cvat" / "annotations", "instances_default.json", rows, notes)
    summary = convert_all(tmp_path / "cvat", tmp_path / "out", val_share=0.3)
    assert summary.per_split["train"] + summary.per_split["val"] == 20 and 2 <= summary.per_split["val"] <= 10
    with pytest.raises(UserError, match="--val-share 0.3: the data set has validation images"):
        convert_all(tmp_path / "cvat", tmp_path / "out", val_share=0.3)


def test_images_elsewhere(source, tmp_path, make_image):
    """Where none is in a usual place, --images is asked for; in that folder a unique name counts without its folders."""
    make_image(tmp_path / "photos" / "x.jpg", width=40, height=30)
    make_image(tmp_path / "photos" / "same.jpg", width=40, height=30)
    names = ["cam/x.jpg", "a/same.jpg", "b/same.jpg", "../y.jpg"]
    rows = [image(number, name) for number, name in enumerate(names)]
    file = write(tmp_path / "mine", "default", rows, [note(number, 1, [1, 1, 5, 5]) for number in range(4)])
    with pytest.raises(UserError, match=r"none of the 3 images is there; .*x\.jpg\. Name their folder: --images DIR"):
        convert(file, tmp_path / "out")
    summary = convert(file, tmp_path / "out", images=tmp_path / "photos")
    assert summary.images == 1 and len(summary.skipped) == 3
    assert [path.name for path in (tmp_path / "out/images").rglob("*.jpg")] == ["x.jpg"]


def test_an_image_in_two_rows(source, tmp_path):
    write(
        source,
        "train2017",
        [image(1, "1.jpg"), image(5, "./1.jpg")],
        [note(1, 1, [4, 6, 16, 16]), note(5, 18, [1, 1, 5, 5])],
    )
    summary = convert(source, tmp_path / "out")
    assert len((tmp_path / "out/labels/train/coco-train2017/1.txt").read_text().splitlines()) == 2
    assert summary.notes == ["1 rows name an image that another row names already; their boxes were joined"]


def test_images_of_one_name_in_two_folders(tmp_path, make_image):
    names = ["cam1/0.jpg", "cam2/0.jpg", "cam2/1.jpg"]
    for seed, name in enumerate(names):
        make_image(tmp_path / "set/images" / name, width=40, height=30, seed=seed)
    rows = [image(number, name) for number, name in enumerate(names)]
    write(tmp_path / "set", "train", rows, [note(number, (1, 4, 18)[number], [1, 1, 5, 5]) for number in range(3)])
    summary = convert(tmp_path / "set", tmp_path / "out", classes="person,motorcycle,dog")
    assert (summary.images, summary.skipped) == (3, [])
    for number, name in enumerate(("cam1_0", "cam2_0", "1")):
        assert (tmp_path / f"out/labels/train/coco-train/{name}.txt").read_text()[0] == str(number)
        original = tmp_path / "set/images" / names[number]
        assert (tmp_path / f"out/images/train/coco-train/{name}.jpg").read_bytes() == original.read_bytes()


def test_files_that_list_different_classes(source, tmp_path):
    file = source / "annotations/instances_val2017.json"
    content = json.loads(file.read_bytes())
    file.write_text(json.dumps({**content, "categories": [*content["categories"][1:], {"id": 99, "name": "owl"}]}))
    (text,) = convert(source, tmp_path / "out").notes
    assert "list different classes (only the first: person; only the second: owl)" in text
