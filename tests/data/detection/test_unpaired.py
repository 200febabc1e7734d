"""Unlabelled images beside the training ones: how they are dealt, fitted, and kept apart from the test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.config import load_data
from data.detection.dataset import ViewDataset, build_dataset
from data.detection.unpaired import UnpairedImages, refuse_leaks
from data.detection.views import View
from utils.errors import UserError

FILES = [Path(f"{number}.png") for number in range(5)]


VIEWS = (View("reference", "unpaired"),)


def pool(seed: int = 0) -> UnpairedImages:
    return UnpairedImages(FILES, seed)


def test_every_image_comes_once_before_any_comes_twice() -> None:
    """12 items from 5 images: two whole deals and the start of a third."""
    order = [pool().chosen(3, index) for index in range(12)]
    assert sorted(order[:5]) == sorted(order[5:10]) == FILES
    assert order[:5] != order[5:10]


def test_no_epoch_repeats_an_order() -> None:
    orders = {tuple(pool().chosen(epoch, index) for index in range(5)) for epoch in range(20)}
    assert len(orders) > 15  # of 120 orders
    assert pool().chosen(2, 1) == pool().chosen(2, 1), "the same in any process"
    assert [pool(1).chosen(0, i) for i in range(5)] != [pool(2).chosen(0, i) for i in range(5)]


def test_they_ride_along_in_a_batch(tiny_set: Path) -> None:
    """The night images of the tiny set as a pool: no labels, no pairing."""
    data = tiny_set / "data.yaml"
    data.write_text(data.read_text().replace("pair:", "reference:"))
    dataset = build_dataset(load_data(data), "train", imgsz=32, augment=True, views=VIEWS)
    batch = ViewDataset.collate_fn([dataset[(1, index)] for index in range(4)])
    assert batch["reference"].shape == (4, 3, 32, 32) and batch["img"].shape == (4, 3, 32, 32)
    again = dataset[(1, 2)]["reference"]
    assert (again == batch["reference"][2]).all()


def test_they_have_the_geometry_and_the_colour_of_the_image_they_come_with(tiny_set: Path) -> None:
    """A pool that is the training set itself, in order: the same mosaics, flips and colours, pixel by pixel."""
    data = tiny_set / "data.yaml"
    data.write_text(data.read_text().replace("pair: images/night", "reference: images/train"))
    dataset = build_dataset(load_data(data), "train", imgsz=32, augment=True, views=VIEWS)
    assert "reference" in dataset.unpaired
    for index in range(4):
        place = dataset.unpaired["reference"].order.place(1, index)
        other = dataset.augmented(place, 1, index)["img"]
        assert (dataset[(1, index)]["reference"] == other).all()


@pytest.mark.parametrize("whole", [1, 0])
def test_images_that_cannot_be_read_are_listed_and_a_folder_of_them_is_refused(tiny_set: Path, whole: int) -> None:
    data = tiny_set / "data.yaml"
    data.write_text(data.read_text().replace("pair: images/night", "reference: images/pool"))
    (tiny_set / "images" / "pool").mkdir()
    for number in range(2):
        (tiny_set / "images" / "pool" / f"{number}.png").write_bytes(b"no image")
    if not whole:
        with pytest.raises(UserError, match=r"'reference': none of 2 images can be read, the first: .*0\.png"):
            build_dataset(load_data(data), "train", imgsz=32, augment=True, views=VIEWS)
        return
    cv2.imwrite(str(tiny_set / "images" / "pool" / "whole.png"), np.zeros((32, 32, 3), np.uint8))
    dataset = build_dataset(load_data(data), "train", imgsz=32, augment=True, views=VIEWS)
    assert [path.name for path, _ in dataset.left_out()] == ["0.png", "1.png"]


def test_a_missing_line_is_named(tiny_set: Path) -> None:
    with pytest.raises(UserError, match="has no 'reference' line"):
        build_dataset(load_data(tiny_set / "data.yaml"), "train", imgsz=32, augment=True, views=VIEWS)


@pytest.mark.parametrize(("copied", "leaks"), [(True, True), (False, False)])
def test_leaks_are_refused(tmp_path: Path, copied: bool, leaks: bool) -> None:
    """A copy under another name is still the test image; another image of the same size is not."""
    (tmp_path / "test.bmp").write_bytes(cv2.imencode(".bmp", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    other = np.zeros((4, 4, 3), np.uint8) if copied else np.ones((4, 4, 3), np.uint8)
    (tmp_path / "pool.bmp").write_bytes(cv2.imencode(".bmp", other)[1].tobytes())
    if not leaks:
        refuse_leaks([tmp_path / "pool.bmp"], [tmp_path / "test.bmp"], "my.yaml: 'reference'")
        return
    for name in ("pool.bmp", "test.bmp"):
        with pytest.raises(UserError, match="my.yaml: 'reference'.*also an image of the test split"):
            refuse_leaks([tmp_path / name], [tmp_path / "test.bmp"], "my.yaml: 'reference'")


@pytest.mark.parametrize("gone", ["reference", "test"])
def test_a_listed_image_that_is_missing(tiny_set: Path, gone: str) -> None:
    """It leaks nothing: one of the pool is listed as skipped, one of the test is passed over."""
    data = tiny_set / "data.yaml"
    data.write_text(data.read_text().replace("pair: images/night", "reference: reference.txt\ntest: test.txt"))
    lines = {"reference": ["images/night/3.png"], "test": ["images/val/0.png"]}
    lines[gone].append("images/gone.png")
    for split, listed in lines.items():
        (tiny_set / f"{split}.txt").write_text("\n".join(listed))
    left_out = build_dataset(load_data(data), "train", imgsz=32, augment=True, views=VIEWS).left_out()
    expected = [(tiny_set / "images/gone.png", "there is no such file")] if gone == "reference" else []
    assert left_out == expected
