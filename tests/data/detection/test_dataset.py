"""Pairs stay pairs: whatever happens to an image happens to its paired image."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.config import DataConfig, load_data
from data.detection.dataset import ViewDataset, build_dataset, seeded
from data.detection.options import AugmentOptions
from data.detection.views import View
from methods.wiid import WiiD
from utils.errors import UserError
from utils.files import save_yaml

PAIR = (View("pair", "paired"),)


def write_set(root: Path, make_pair: Callable[[np.ndarray], np.ndarray], count: int = 6) -> DataConfig:
    """Images of 48 x 64 px with a bright square each, labels, and paired images made by `make_pair`."""
    generator = np.random.default_rng(0)
    for number in range(count):
        image = generator.integers(0, 90, (48, 64, 3), dtype=np.uint8)
        left, top = 8 + 5 * number, 10
        image[top : top + 16, left : left + 16] = (40, 220, 250)
        for folder, img in (("train", image), ("dark", make_pair(image)), ("val", image)):
            (root / "images" / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "images" / folder / f"{number}.png"), img)
        for folder in ("train", "val"):
            (root / "labels" / folder).mkdir(parents=True, exist_ok=True)
            box = f"0 {(left + 8) / 64} {(top + 8) / 48} {16 / 64} {16 / 48}\n"
            (root / "labels" / folder / f"{number}.txt").write_text(box)
    yaml = {
        "path": str(root),
        "train": "images/train",
        "train_night": "images/dark",
        "val": "images/val",
        "names": ["square"],
    }
    save_yaml(root / "set.yaml", yaml)
    return load_data(root / "set.yaml")


def same(image: np.ndarray) -> np.ndarray:
    return image


def inverted(image: np.ndarray) -> np.ndarray:
    return 255 - image


STRONG = AugmentOptions(mosaic=1.0, mixup=0.5, degrees=20, scale=0.5, shear=5, flipud=0.5, close_mosaic=0)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_equal_files_give_bit_identical_members(tmp_path: Path, mosaic: float) -> None:
    config = write_set(tmp_path, same)
    dataset = build_dataset(config, "train", imgsz=64, augment=True, views=PAIR, options=AugmentOptions(mosaic=mosaic))
    for index in range(len(dataset)):
        item = dataset[(0, index)]
        assert torch.equal(item["img"], item["pair"])


def test_geometry_is_shared_by_unequal_members(tmp_path: Path) -> None:
    """The paired image is 255 - image, so after any shared geometry both add up to 255; only the border (114 + 114) does not."""
    config = write_set(tmp_path, inverted)
    colourless = AugmentOptions(**{**vars(STRONG), "mixup": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0})
    dataset = build_dataset(config, "train", imgsz=64, augment=True, views=PAIR, options=colourless)
    for index in range(len(dataset)):
        item = dataset[(1, index)]
        total = item["img"].int() + item["pair"].int()
        inner = (total - 255).abs() <= 2
        border = (total - 228).abs() <= 2
        between = (total > 226) & (total < 257)  # interpolated between the two
        assert (inner | border | between).all()
        assert inner.float().mean() > 0.2


def test_colour_is_drawn_once_or_once_each(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    apart = AugmentOptions(mosaic=0.0, hsv_v=0.9)
    views = (View("pair", "paired", same_colour=False),)
    dataset = build_dataset(config, "train", imgsz=64, augment=True, views=views, options=apart)
    item = dataset[(0, 0)]
    assert not torch.equal(item["img"], item["pair"])


def test_an_item_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)

    def make(seed: int) -> ViewDataset:
        return build_dataset(config, "train", imgsz=64, augment=True, views=PAIR, options=STRONG, seed=seed)

    first, second, other = make(0), make(0), make(1)
    [second[(7, index)] for index in (5, 1, 3)]  # what was loaded before plays no part
    random.seed(99)
    assert torch.equal(first[(2, 4)]["img"], second[(2, 4)]["img"])
    assert first[(2, 4)]["seed"] == second[(2, 4)]["seed"]
    assert not torch.equal(first[(2, 4)]["img"], first[(3, 4)]["img"])
    assert not torch.equal(first[(2, 4)]["img"], other[(2, 4)]["img"])


def test_seeding_leaves_the_callers_generators_alone() -> None:
    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.rand())
    random.seed(5)
    np.random.seed(5)
    with seeded(1, 2, 3) as number:
        random.random(), np.random.rand()
    assert (random.random(), np.random.rand()) == expected
    with seeded(1, 2, 3) as again:
        assert again == number
    with seeded(1, 2, 4) as different:
        assert different != number


def test_the_last_epochs_have_no_mosaic(tmp_path: Path) -> None:
    """Without geometry but mosaic, the last epochs show the image itself: its one square."""
    config = write_set(tmp_path, same)
    still = AugmentOptions(mosaic=1.0, close_mosaic=2, translate=0, scale=0, fliplr=0, hsv_h=0, hsv_s=0, hsv_v=0)
    dataset = build_dataset(config, "train", imgsz=64, augment=True, options=still, epochs=5)
    plain = dataset[(3, 0)]
    assert len(plain["cls"]) == 1
    again = dataset[(4, 0)]
    assert torch.equal(plain["img"], again["img"])
    assert not torch.equal(dataset[(2, 0)]["img"], plain["img"])


def test_boxes_stay_on_their_squares(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    options = AugmentOptions(mosaic=1.0, scale=0.2, hsv_h=0, hsv_s=0, hsv_v=0)
    dataset = build_dataset(config, "train", imgsz=64, augment=True, views=PAIR, options=options)
    hits = 0
    for index in range(len(dataset)):
        item = dataset[(0, index)]
        for x, y, _, _ in (item["bboxes"] * 64).tolist():
            red = item["pair"][0, min(int(y), 63), min(int(x), 63)].item()
            hits += red > 180
        assert len(item["bboxes"]) == len(item["cls"])
    assert hits >= 5


def test_batches_stack_views_and_number_the_images(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    dataset = build_dataset(config, "train", imgsz=64, augment=True, views=PAIR, options=AugmentOptions(mosaic=0.0))
    batch = dataset.collate_fn([dataset[(0, index)] for index in range(3)])
    assert batch["img"].shape == batch["pair"].shape == (3, 3, 64, 64)
    assert batch["img"].dtype == torch.uint8
    assert set(batch["batch_idx"].tolist()) <= {0.0, 1.0, 2.0}
    assert len(batch["seed"]) == 3


@pytest.mark.parametrize("cache", ["ram", "none", "auto"])
def test_memory_changes_nothing(tmp_path: Path, cache: str) -> None:
    config = write_set(tmp_path, inverted)
    dataset = build_dataset(config, "train", imgsz=32, augment=True, views=PAIR, cache=cache)
    reference = build_dataset(config, "train", imgsz=32, augment=True, views=PAIR, cache="none")
    assert torch.equal(dataset[(0, 1)]["pair"], reference[(0, 1)]["pair"])
    assert torch.equal(dataset[(0, 1)]["pair"], reference[(0, 1)]["pair"])


def test_validation_images_are_letterboxed_only(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    item = build_dataset(config, "val", imgsz=64, batch_size=2)[0]
    assert item["img"].shape[1] % 32 == 0 and item["ori_shape"] == (48, 64)
    assert "seed" not in item


def test_a_missing_paired_image_is_named(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    (tmp_path / "images" / "dark" / "3.png").unlink()
    with pytest.raises(UserError, match="3.png"):
        build_dataset(config, "train", imgsz=64, augment=True, views=PAIR)


def test_a_paired_image_of_another_size_is_named(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    cv2.imwrite(str(tmp_path / "images" / "dark" / "2.png"), np.zeros((48, 60, 3), np.uint8))
    with pytest.raises(UserError, match=r"2\.png"):
        build_dataset(config, "train", imgsz=64, augment=True, views=PAIR)


@pytest.mark.parametrize("folder", ["train", "dark"])
def test_an_unreadable_member_takes_the_pair_out_and_is_listed(tmp_path: Path, folder: str) -> None:
    config = write_set(tmp_path, same)
    broken = tmp_path / "images" / folder / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    content = broken.read_bytes()
    dataset = build_dataset(config, "train", imgsz=64, augment=True, views=PAIR)
    assert len(dataset) == 5
    assert [path.name for path, _ in dataset.skipped] == ["1.png"]
    assert broken.read_bytes() == content


def test_a_method_that_wants_pairs_says_how_to_get_them(tmp_path: Path) -> None:
    write_set(tmp_path, same)
    save_yaml(
        tmp_path / "day.yaml",
        {"path": str(tmp_path), "train": "images/train", "val": "images/val", "names": ["square"]},
    )
    with pytest.raises(UserError, match="prepare.py darken"):
        build_dataset(load_data(tmp_path / "day.yaml"), "train", imgsz=64, augment=True, views=WiiD().views)


def test_a_missing_split_names_those_there_are(tmp_path: Path) -> None:
    config = write_set(tmp_path, same)
    with pytest.raises(UserError, match="'test' split.*train"):
        build_dataset(config, "test", imgsz=64)
