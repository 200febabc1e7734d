"""data.convert.underwater: miniatures of URPC2020 in both forms, DUO and RUOD."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.config import load_data
from data.convert import run
from data.convert.class_lists import LISTS
from data.convert.underwater import convert
from utils.errors import UserError
from utils.files import load_yaml

XML = (  # the contest's files name no image
    "<annotation><frame>{0}</frame><object><name>{1}</name><bndbox><xmin>8</xmin><ymin>12</ymin><xmax>24</xmax>"
    "<ymax>18</ymax></bndbox></object><object><name>waterweeds</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>"
    "<ymax>9</ymax></bndbox></object></annotation>"
)
FOLDERS = {
    "urpc2020": ("annotations", "images"),
    "duo": ("annotations", "images/{}"),
    "ruod": ("RUOD_ANN", "RUOD_pic/{}"),
}


def contest(folder: Path, make_image, count: int, images: str = "train/image", boxes: str = "train/box") -> Path:
    (folder / boxes).mkdir(parents=True)
    for number in range(count):
        make_image(folder / images / f"{number:06}.jpg", width=40, height=30, seed=number)
        (folder / boxes / f"{number:06}.xml").write_text(XML.format(number, "scallop"))
    return folder


def coco(folder: Path, make_image, name: str, splits: tuple[str, ...] = ("train", "test")) -> Path:
    """A file per split, with one image and one starfish; the numbers of the classes are not those of the list."""
    annotations, images = FOLDERS[name]
    for number, split in enumerate(splits):
        make_image(folder / images.format(split) / f"{split}.jpg", width=40, height=30, seed=number)
        content = {
            "images": [{"id": 1, "file_name": f"{split}.jpg", "width": 40, "height": 30}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 3, "bbox": [8, 12, 16, 6], "iscrowd": 0},
                {"id": 2, "image_id": 1, "category_id": 3, "bbox": [8, 12, -16, 6], "iscrowd": 0},  # UTDAC has such
                {"id": 3, "image_id": 1, "category_id": 5, "bbox": [8, 12, 16, 6]},
            ],
            "categories": [{"id": 3, "name": "starfish"}, {"id": 5, "name": "waterweeds"}],
        }
        (folder / annotations).mkdir(exist_ok=True)
        (folder / annotations / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", FOLDERS)
def test_the_coco_files(tmp_path, make_image, name):
    """Starfish: left 8, top 12, 16 x 6 of 40 x 30: x = 16/40, y = 15/30, w = 16/40, h = 6/30. It is the last of four."""
    summary = run(name, coco(tmp_path / "set", make_image, name), tmp_path / "out")
    for split in ("train", "test"):
        label = (tmp_path / f"out/labels/{split}/{name}-{split}/{split}.txt").read_text()
        assert label == "3 0.400000 0.500000 0.400000 0.200000\n"
    assert summary.dropped == {"no area inside the image": 2, "another class": 2}
    data = load_data(tmp_path / "out")
    assert data.names == load_data(f"{name}.yaml", need=()).names == dict(enumerate(LISTS[name]))
    assert data.splits["val"] == data.splits["test"]


def test_the_contest_archive_holds_out_its_last_fifth(tmp_path, make_image):
    """Ten images, two of them held out: 000008 and 000009. Scallop: 8..24 of 40, 12..18 of 30, as above."""
    summary = convert(contest(tmp_path / "set", make_image, 10), tmp_path / "out")
    assert summary.per_split == {"train": 8, "test": 2}
    held_out = sorted((tmp_path / "out/labels/test/urpc2020-held-out").iterdir())
    assert [path.stem for path in held_out] == ["000008", "000009"]
    assert held_out[0].read_text() == "2 0.400000 0.500000 0.400000 0.200000\n"
    assert summary.dropped == {"another class": 10}
    assert "no other labelled part: the last 2 training images by name are held out as test" in summary.lines()


@pytest.mark.parametrize("outer", ["", "train-and-test"])
def test_labelled_test_parts_hold_nothing_out(tmp_path, make_image, outer):
    folder = contest(tmp_path / "set" / outer, make_image, 5)
    contest(folder, make_image, 2, "test-A-image", "test-A-box")
    make_image(folder / "test-B-image/1.jpg")  # without labels: not used
    summary = convert(tmp_path / "set", tmp_path / "out")
    assert (summary.per_split, summary.notes) == ({"train": 5, "test": 2}, [])
    assert (tmp_path / "out/images/test/urpc2020-test-A/000001.jpg").is_file()


def test_the_unmatched_and_the_broken_are_listed(tmp_path, make_image):
    source = contest(tmp_path / "set", make_image, 4)
    (source / "train/box/000000.xml").write_text('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><a>&a;</a>')
    (source / "train/box/000001.xml").unlink()
    (source / "train/image/000002.jpg").unlink()
    summary = convert(source, tmp_path / "out")
    reasons = {path.name: reason for path, reason in summary.skipped}
    assert "EntitiesForbidden" in reasons.pop("000000.xml")
    assert reasons == {"000001.jpg": "its annotation file is missing", "000002.xml": "its image is missing"}
    assert summary.images == 1


def test_reference_images_come_along_without_labels(tmp_path, make_image):
    source = coco(tmp_path / "set", make_image, "urpc2020")
    for name in ("u000001.jpg", "u000002.jpg", "test.jpg"):
        make_image(tmp_path / "dfui/images" / name, seed=7)
    summary = run("urpc2020", source, tmp_path / "out", reference=tmp_path / "dfui/images")
    assert (summary.reference, len(summary.skipped)) == (2, 1)
    assert load_yaml(tmp_path / "out/data.yaml")["reference"] == "images/reference"
    assert load_data("urpc2020", need=()).splits["reference"][0].name == "reference"
    assert not (tmp_path / "out/labels/reference").exists()


@pytest.mark.parametrize("file_name", ["../secret.jpg", "/etc/secret.jpg"])
def test_names_that_lead_out_of_the_folder(tmp_path, make_image, file_name):
    source = coco(tmp_path / "set", make_image, "ruod", ("train", "test"))
    file = source / "RUOD_ANN/instances_test.json"
    file.write_text(file.read_text().replace("test.jpg", file_name))
    make_image(tmp_path / "secret.jpg", width=40, height=30)
    summary = run("ruod", source, tmp_path / "out")
    assert [reason for _, reason in summary.skipped] == [f"the name {file_name!r} leads out of the data set's folder"]


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_there(tmp_path, name):
    with pytest.raises(UserError, match="instances_train.json and its images.*docs/data/underwater.md"):
        run(name, tmp_path, tmp_path.parent / "out")


def test_a_set_that_is_none_of_the_three(tmp_path):
    with pytest.raises(UserError, match="expected one of urpc2020, duo, ruod"):
        convert(tmp_path, tmp_path / "out", name="udd")
