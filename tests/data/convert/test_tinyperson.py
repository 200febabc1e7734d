"""data.convert.tinyperson: a miniature of the unpacked tiny_set, and parts cut by its corner file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.config import load_data
from data.convert.tinyperson import convert
from utils.errors import UserError
from utils.files import load_yaml

BOTH = [{"id": 1, "name": "sea_person"}, {"id": 2, "name": "earth_person"}]
ERASED = "erase_with_uncertain_dataset"


def note(box: list, category: int = 1, image: int = 0, **flags: bool) -> dict:
    plain = {"ignore": False, "uncertain": False, "logo": False, "in_dense_image": False}
    return {"id": 0, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0, **plain, **flags}


def write(file: Path, images: list[dict], annotations: list[dict], categories: list[dict] = BOTH) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"type": "instance", "images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content))


def image(name: str = "labeled_images/a.png", number: int = 0, **more: object) -> dict:
    return {"file_name": name, "height": 30, "width": 40, "id": number, **more}


@pytest.fixture
def source(tmp_path, make_image) -> Path:
    folder = tmp_path / "tiny_set"
    for seed, subset in enumerate(("train", "test")):
        make_image(folder / subset / "labeled_images/a.png", width=40, height=30, seed=seed)
        notes = [note([8, 12, 16, 6]), note([0, 0, 4, 3], 2), note([1, 1, 9, 9], ignore=True, logo=True)]
        write(folder / f"annotations/tiny_set_{subset}.json", [image()], [*notes, note([1, 1, 9, 9], uncertain=True)])
    return folder


def test_the_published_layout(source, tmp_path):
    """Left 8, top 12, 16 x 6 of 40 x 30: x = 16/40, y = 15/30, w = 16/40, h = 6/30; both kinds are one class."""
    summary = convert(source, tmp_path / "out")
    for split in ("train", "test"):
        assert (tmp_path / f"out/labels/{split}/tinyperson-{split}/a.txt").read_text() == (
            "0 0.400000 0.500000 0.400000 0.200000\n0 0.050000 0.050000 0.100000 0.100000\n"
        )
    assert summary.dropped == {"marked ignore": 2, "marked uncertain": 2}
    assert any(line.startswith("no validation part") for line in summary.lines())
    data, known = load_data(tmp_path / "out"), load_data("tinyperson.yaml", need=())
    assert data.names == known.names == {0: "person"}
    assert data.splits["val"] == data.splits["test"]


def test_two_classes(source, tmp_path):
    convert(source, tmp_path / "out", classes="sea_person,earth_person")
    assert load_yaml(tmp_path / "out/data.yaml")["names"] == {0: "sea_person", 1: "earth_person"}
    assert "\n1 0.05" in (tmp_path / "out/labels/train/tinyperson-train/a.txt").read_text()


def test_erased_images_are_taken_for_training(source, tmp_path, make_image):
    erased = make_image(source / ERASED / "train/labeled_images/a.png", width=40, height=30, seed=7)
    write(source / ERASED / "annotations/tiny_set_train.json", [image()], [note([8, 12, 16, 6])])
    convert(source, tmp_path / "out")
    images = tmp_path / "out/images"
    assert (images / "train/tinyperson-train/a.png").read_bytes() == erased.read_bytes()
    assert (images / "test/tinyperson-test/a.png").read_bytes() == (source / "test/labeled_images/a.png").read_bytes()


def corner_file(source: Path, *parts: dict, name: str = "tiny_set_train_sw640_sh512.json") -> None:
    write(source / "annotations/corner" / name, list(parts), [note([2, 4, 8, 10], image=1), note([-3, 0, 4, 4])])


@pytest.mark.parametrize("name", ["tiny_set_train_sw640_sh512.json", "task/tiny_set_train_sw640_sh512_all.json"])
def test_parts_are_cut_by_the_corner_file(source, tmp_path, name):
    """The second part is 20 x 20 px from (20, 10): left 2, top 4, 8 x 10 gives x = 6/20, y = 9/20, w = .4, h = .5.

    The first, 20 x 30 px, has a box from -3 to 1, clipped to 0..1: x = .5/20, w = 1/20, y = 2/30, h = 4/30.
    """
    parts = (
        image(corner=[0, 0, 20, 30], width=20),
        image(number=1, corner=[20, 10, 40, 30], width=20, height=20),
    )
    corner_file(source, *parts, name=name)
    summary = convert(source, tmp_path / "out", corners=True, link="symbolic")
    assert (summary.per_split, summary.clipped) == ({"train": 2, "test": 1}, 1)
    folder = tmp_path / "out/labels/train/tinyperson-train"
    assert (folder / "a_20_10.txt").read_text() == "0 0.300000 0.450000 0.400000 0.500000\n"
    assert (folder / "a_0_0.txt").read_text() == "0 0.025000 0.066667 0.050000 0.133333\n"
    whole = cv2.imread(str(source / "train/labeled_images/a.png"))
    part = cv2.imread(str(tmp_path / "out/images/train/tinyperson-train/a_20_10.png"))
    np.testing.assert_array_equal(part, whole[10:30, 20:40])
    assert (tmp_path / "out/images/test/tinyperson-test/a.png").is_symlink()


def test_parts_of_a_jpeg_are_jpegs(source, tmp_path, make_image):
    original = make_image(source / "train/b.jpg", width=40, height=30)
    corner_file(source, image("b.jpg", corner=[8, 0, 24, 16], width=16, height=16))
    convert(source, tmp_path / "out", corners=True)
    part = cv2.imread(str(tmp_path / "out/images/train/tinyperson-train/b_8_0.jpg"))
    assert np.abs(part.astype(int) - cv2.imread(str(original))[:16, 8:24]).mean() < 3  # noise, the worst case, at 95


@pytest.mark.parametrize(
    ("corner", "reason"),
    [
        ([30, 0, 50, 30], "its part [30, 0, 50, 30] does not lie in its 40 x 30 px"),
        ([9, 0, 9, 30], "its part [9, 0, 9, 30] does not lie in its 40 x 30 px"),
        ([0, 0, 20], "its corner [0, 0, 20] is not left, top, right, bottom"),
        (["a", 0, 1, 1], "its corner ['a', 0, 1, 1] is not left, top, right, bottom"),
        (None, "its corner None is not left, top, right, bottom"),
        ([0, 0, 30, 10], "annotated as 20 x 30 px, but the file is 30 x 10"),
    ],
)
def test_corners_that_make_no_sense(source, tmp_path, corner, reason):
    corner_file(source, image(corner=corner, width=20))
    summary = convert(source, tmp_path / "out", corners=True)
    assert [found for _, found in summary.skipped] == [reason]
    assert summary.per_split == {"test": 1}


def test_a_part_of_a_damaged_image(source, tmp_path):
    path = source / "train/labeled_images/a.png"
    content = bytearray(path.read_bytes())
    content[200:1200] = bytes(1000)
    path.write_bytes(content)
    corner_file(source, image(corner=[0, 0, 20, 30], width=20))
    summary = convert(source, tmp_path / "out", corners=True)
    assert [file for file, _ in summary.skipped] == [path]


@pytest.mark.parametrize("name", ["../../secret.png", "/secret.png", "labeled_images/gone.png"])
def test_images_that_are_missing_or_outside(source, tmp_path, make_image, name):
    make_image(tmp_path / "secret.png", width=40, height=30)
    write(source / "annotations/tiny_set_train.json", [image(name)], [note([8, 12, 16, 6])])
    summary = convert(source, tmp_path / "out")
    assert (len(summary.skipped), summary.per_split) == (1, {"test": 1})


@pytest.mark.parametrize(("file", "corners"), [("train", False), ("test", False), ("train_sw640_sh512", True)])
def test_annotations_that_are_missing(source, tmp_path, file, corners):
    (source / f"annotations/tiny_set_{file}.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match=f"tiny_set_{file}.json: there is no such file. Give the unpacked tiny_set"):
        convert(source, tmp_path / "out", corners=corners)
