"""data.convert.unlabelled: which images may be shown without labels, and what write_yolo makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data.config import load_data
from data.convert import run
from data.convert.items import Box, Item
from data.convert.unlabelled import leaking, reference_items
from data.convert.writer import REFERENCE, Summary, write_yolo
from utils.errors import UserError
from utils.files import load_yaml, save_yaml


def item(image: Path, split: str) -> Item:
    return Item(image, split, "g", (Box("dog", 1, 1, 9, 9),))


@pytest.fixture
def images(tmp_path, make_image) -> Path:
    """One image in train and one in test; reference: another one, copies of both, and one with the test one's name."""
    for number, name in enumerate(("train/a.png", "test/b.png", "pool/c.png", "pool/B.jpg")):
        make_image(tmp_path / name, seed=number)
    for source, target in (("train/a.png", "pool/deep/d.png"), ("test/b.png", "pool/deep/e.png")):
        (tmp_path / target).parent.mkdir(exist_ok=True)
        shutil.copyfile(tmp_path / source, tmp_path / target)
    return tmp_path


def test_held_out_scenes_are_left_out_and_listed(images):
    """Left are c, which is new, and d, a copy of a training image. B has the name of b, e its bytes."""
    summary = Summary()
    items = [item(images / "train/a.png", "train"), item(images / "test/b.png", "test")]
    found = reference_items(images / "pool", items, "g", summary)
    assert [(one.image.name, one.split, one.boxes) for one in found] == [
        ("c.png", REFERENCE, ()),
        ("d.png", REFERENCE, ()),
    ]
    assert {path.name for path, _ in summary.skipped} == {"B.jpg", "e.png"}


@pytest.mark.parametrize(("held_out", "expected"), [("test/b.png", 2), ("train/a.png", 1), ("test/gone.png", 0)])
def test_leaking(images, held_out, expected):
    assert len(leaking(sorted((images / "pool").rglob("*.*")), [images / held_out])) == expected


def test_reference_images_have_no_labels(images):
    (images / "pool/bad.png").write_bytes(b"none")
    summary = Summary()
    items = [item(images / "train/a.png", "train")]
    items += reference_items(images / "pool", items, "pool", summary)
    write_yolo(items, images / "out", summary, classes="exdark", link="copy", backgrounds=False)
    data = load_data(images / "out", need=("train", "reference"))
    assert sorted(path.name for path in (data.splits["reference"][0] / "pool").iterdir()) == [
        "B.jpg", "c.png", "d.png", "e.png",
    ]  # fmt: skip
    assert not (images / "out/labels/reference").exists()
    assert (summary.images, summary.reference, summary.boxes, summary.backgrounds) == (1, 4, 1, 0)
    assert [path.name for path, _ in summary.skipped] == ["bad.png"]
    assert "4 reference images, without labels" in summary.lines()


def test_a_set_of_an_earlier_version_keeps_its_reference_images(images):
    """Its data.yaml has another key and folder for them; what is added lies beside, and both are read."""
    out = images / "out"
    write_yolo([item(images / "test/b.png", "test")], out, Summary(), classes="exdark", link="copy", backgrounds=False)
    save_yaml(out / "data.yaml", load_yaml(out / "data.yaml") | {"favoured": "images/favoured"})
    (out / "images/favoured").mkdir()
    items = [item(images / "train/a.png", "train"), *reference_items(images / "pool", [], "pool", Summary())]
    write_yolo(items, out, Summary(), classes="exdark", link="copy", backgrounds=False)
    assert load_yaml(out / "data.yaml")["reference"] == ["images/favoured", "images/reference"]
    assert [folder.name for folder in load_data(out).splits["reference"]] == ["favoured", "reference"]


def test_two_reference_images_of_one_name(images, make_image):
    make_image(images / "pool/deep/c.png", seed=9)
    make_image(images / "pool/deep/c.bmp", seed=9)
    summary = Summary()
    items = [item(images / "train/a.png", "train")]
    items += reference_items(images / "pool", items, "pool", summary)
    write_yolo(items, images / "out", summary, classes="exdark", link="copy", backgrounds=False)
    names = {path.name for path in (images / "out/images/reference/pool").iterdir()}
    assert names >= {"c.png", "deep_c.bmp", "deep_c.png"}


def test_a_reference_image_that_is_listed_twice(images):
    summary = Summary()
    twice = [Item(images / "pool/c.png", REFERENCE, "pool", ())] * 2
    write_yolo([item(images / "train/a.png", "train"), *twice], images / "out", summary, classes="exdark")
    assert [reason for _, reason in summary.skipped] == ["another image of the same name was converted already"]


def test_reference_images_alone_are_no_set(images):
    items = reference_items(images / "pool", [], "pool", Summary())
    with pytest.raises(UserError, match="no image with a wanted object"):
        write_yolo(items, images / "out", Summary(), classes="exdark", link="copy", backgrounds=False)
    assert not (images / "out").exists()


@pytest.mark.parametrize(("folder", "message"), [("gone", "no such folder"), ("empty", "holds no image")])
def test_a_folder_that_holds_none(images, folder, message):
    (images / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        reference_items(images / folder, [], "g", Summary())


def test_sets_without_a_reference_part_say_so(images):
    with pytest.raises(UserError, match="--reference does not apply"):
        run("rtts", images, images.parent / "elsewhere", reference=images / "pool")
