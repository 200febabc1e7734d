"""Damaged images are left out of a data set, and remembered by all of its processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from data.classification.dataset import Augmentation, ImageFolderDataset, Sample
from data.config import load_data
from data.detection.dataset import build_dataset
from data.detection.views import View
from data.io.damaged import REASON, Damaged
from data.io.images import DamagedImage, probe, read_image
from data.io.labels import scan
from utils.errors import UserError


def damage(path: Path) -> None:
    """Header and end marker stay, what lies between is overwritten."""
    content = path.read_bytes()
    place = content.index(b"IDAT")
    path.write_bytes(content[: place + 4] + b"\xff" * (len(content) - place - 16) + content[-12:])
    probe(path)  # taken by the scan


def load(whole: set[int]):
    """Loads itself where it is whole."""

    def read(index: int) -> int:
        if index not in whole:
            raise DamagedImage(f"{index}")
        return index

    return read


def test_the_next_whole_image_steps_in():
    damaged = Damaged(4)
    assert [damaged.or_next(index, load({1, 2})) for index in range(4)] == [1, 1, 2, 1]
    assert damaged.among(["a", "b", "c", "d"]) == [(Path("a"), REASON), (Path("d"), REASON)]


def test_none_is_whole():
    with pytest.raises(UserError, match="none of the 3 images"):
        Damaged(3).or_next(1, load(set()))


def test_other_errors_are_not_hidden():
    def gone(index):
        raise UserError("gone")

    for method in (Damaged(2).or_none, Damaged(2).or_next):
        with pytest.raises(UserError, match="gone"):
            method(0, gone)


def test_the_message_tells_damage_from_absence(tmp_path, make_image):
    path = make_image(tmp_path / "a.png")
    damage(path)
    with pytest.raises(DamagedImage, match=r"a\.png: cannot be decoded, it is damaged"):
        read_image(path)
    path.unlink()
    with pytest.raises(UserError, match="was there when the data were scanned") as missing:
        read_image(path)
    assert not isinstance(missing.value, DamagedImage)


@pytest.mark.parametrize("workers", [0, 1])
def test_validation_leaves_it_out(tiny_set, workers):
    damage(tiny_set / "images" / "val" / "0.png")
    config = load_data(tiny_set / "data.yaml")
    dataset = build_dataset(config, "val", imgsz=32, batch_size=1, cache="none")
    loader = DataLoader(dataset, 1, collate_fn=dataset.collate_fn, num_workers=workers)
    files = [batch["im_file"] for batch in loader if batch]
    assert [list(names) for names in files] == [[str(tiny_set / "images" / "val" / "1.png")]]
    assert dataset.left_out() == [(tiny_set / "images" / "val" / "0.png", REASON)]


@pytest.mark.parametrize("damaged", ["images/train/1.png", "images/night/1.png"])
def test_training_takes_the_next_one_with_its_pair(tiny_set, damaged):
    damage(tiny_set / damaged)
    config = load_data(tiny_set / "data.yaml")
    views = [View("pair", "paired")]
    dataset = build_dataset(config, "train", imgsz=32, augment=True, views=views, epochs=1, cache="none")
    item, other = (dataset[(0, index)] for index in (1, 2))
    assert item["im_file"] == other["im_file"] == str(tiny_set / "images" / "train" / "2.png")
    assert dataset.left_out() == [(tiny_set / "images" / "train" / "1.png", REASON)]


def test_a_pair_whose_header_lies_about_its_size(tiny_set, monkeypatch):
    config = load_data(tiny_set / "data.yaml")
    dataset = build_dataset(config, "train", imgsz=32, augment=True, views=[View("pair", "paired")], cache="none")
    night = tiny_set / "images" / "night" / "0.png"
    monkeypatch.setattr(
        "data.detection.dataset.read_image",
        lambda path, fraction=1: np.zeros((9, 9, 3) if path == night else (24, 32, 3), np.uint8),
    )
    dataset[(0, 0)]
    assert [path.name for path, _ in dataset.left_out()] == ["0.png"]


def test_an_image_that_is_turned_another_way_than_its_header_says(tiny_set, monkeypatch):
    """Two readers of one damaged EXIF mark: 24 x 32 px scanned, decoded on its side."""
    dataset = build_dataset(load_data(tiny_set / "data.yaml"), "train", imgsz=32, augment=True, cache="none")
    turned = tiny_set / "images" / "train" / "0.png"
    monkeypatch.setattr(
        "data.detection.dataset.read_image",
        lambda path, fraction=1: np.zeros((32, 24, 3) if path == turned else (24, 32, 3), np.uint8),
    )
    dataset[(0, 0)]
    assert [path.name for path, _ in dataset.left_out()] == ["0.png"]


def test_classification(tmp_path, make_image):
    files = [make_image(tmp_path / f"{number}.png") for number in range(3)]
    damage(files[1])
    samples = [Sample(file, number) for number, file in enumerate(files)]
    training = ImageFolderDataset(samples, 16, augmentation=Augmentation())
    assert training[(0, 1)]["cls"] == 2
    plain = ImageFolderDataset(samples, 16)
    assert plain.collate_fn([plain[index] for index in range(3)])["cls"].tolist() == [0, 2]
    assert plain.collate_fn([plain[1]]) == {}
    assert training.left_out() == plain.left_out() == [(files[1], REASON)]


def test_the_scan_takes_what_is_damaged_inside(tiny_set):
    damage(tiny_set / "images" / "val" / "0.png")
    found = scan([tiny_set / "images" / "val" / "0.png"], 2)
    assert not found.skipped
