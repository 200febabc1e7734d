"""data.classification.dataset: classes by folder, paired images by class and stem, night images that are never test images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data.classification.dataset import Augmentation, build_image_folders, labelled
from data.config import load_data
from tests.engine.classification.tiny_classes import write_classes
from utils.errors import UserError

VIEWS = ("pair", "unlabeled")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a set."""
    write_classes(tmp_path / "set")
    return tmp_path / "set"


def build(root: Path, split: str = "train", **choices):
    return build_image_folders(load_data(root / "data.yaml"), split, 24, **choices)


def test_classes_are_numbered_by_the_yaml_not_by_the_alphabet(root: Path):
    (root / "train" / "Bar").rename(root / "train" / "bar")  # case does not count
    found = labelled(load_data(root / "data.yaml"), "train")
    assert [(p.number, p.file.parent.name) for p in found[::4]] == [(0, "Square"), (1, "bar"), (2, "Ring")]


def test_both_members_share_crop_and_flip(root: Path):
    """The darkened image is a fifth of the day: a fifth of the day's view is the night's view, to rounding."""
    dataset = build(root, augmentation=Augmentation(0.5), views=VIEWS)
    for index in range(len(dataset)):
        item = dataset[(3, index)]
        difference = item["img"].float() / 5 - item["pair"].float()
        assert difference.abs().max() <= 1.5
        assert item["unlabeled"].shape == (3, 24, 24)


def test_independent_crops_differ(root: Path):
    items = [build(root, augmentation=Augmentation(0.5, True), views=VIEWS)[(0, index)] for index in range(4)]
    assert any((item["img"].float() / 5 - item["pair"].float()).abs().max() > 5 for item in items)


def test_items_depend_on_seed_epoch_and_index_alone(root: Path):
    def item(epoch: int, seed: int = 0):
        return build(root, augmentation=Augmentation(), views=VIEWS, seed=seed)[(epoch, 2)]

    assert all(torch.equal(item(1)[view], item(1)[view]) for view in ("img", *VIEWS))
    assert item(1)["seed"] == item(1)["seed"] != item(2)["seed"]
    assert not torch.equal(item(1)["img"], item(2)["img"]) and not torch.equal(item(1)["img"], item(1, seed=1)["img"])


def test_a_batch(root: Path):
    dataset = build(root, augmentation=Augmentation(), views=VIEWS)
    batch = dataset.collate_fn([dataset[0], dataset[5]])
    assert batch["pair"].shape == (2, 3, 24, 24) and batch["cls"].tolist() == [0, 1] and len(batch["seed"]) == 2


def test_a_damaged_member_takes_its_pair_along(root: Path):
    (root / "train_night" / "Bar" / "1.png").write_bytes(b"no image")
    dataset = build(root, augmentation=Augmentation(), views=VIEWS)
    assert len(dataset) == 11 and dataset.skipped[0][0].name == "1.png"
    assert root / "train" / "Bar" / "1.png" not in [image.file for image in dataset.images]


def rename(root: Path, old: str, new: str) -> None:
    (root / old).rename(root / new)


def copy_into(root: Path, old: str, new: str) -> None:
    shutil.copyfile(root / old, root / new)


def replace(root: Path, old: str, new: str) -> None:
    text = (root / "data.yaml").read_text()
    assert old in text
    (root / "data.yaml").write_text(text.replace(old, new))


def test_both_images_of_a_pair_lose_the_same_rectangle(root: Path):
    plain, erased = (build(root, augmentation=Augmentation(erasing=p), views=VIEWS)[(0, 1)] for p in (0.0, 1.0))
    holes = [(erased[view] == 0).all(0) & (plain[view] != 0).any(0) for view in ("img", "pair")]  # (S, S) each
    assert torch.equal(*holes) and 0 < holes[0].float().mean() < 0.34
    assert all(torch.equal(erased[view][:, ~holes[0]], plain[view][:, ~holes[0]]) for view in ("img", "pair"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: rename(r, "train_night/Bar", "train_night/Bra"), "Bra, which are no class"),
        (lambda r: shutil.rmtree(r / "train_night" / "Ring"), "differ: only 'train' has Ring"),
        (lambda r: shutil.rmtree(r / "train" / "Ring"), "'train' has no images of Ring"),
        (lambda r: rename(r, "train_night/Bar/1.png", "train_night/Bar/one.png"), "no paired image is named '1'"),
        (lambda r: replace(r, "pair: train_night", "pair: unlabeled"), "holds no folders of"),
        (lambda r: replace(r, "unlabeled: unlabeled", "unlabeled: test"), "also an image of the test split"),
        (lambda r: replace(r, "pair: train_night", "pair: test"), "also an image of the test split"),
        (lambda r: copy_into(r, "test/Bar/0.png", "unlabeled/new.png"), "also an image of the test split"),
        (lambda r: replace(r, "pair: train_night\n", ""), "no 'pair' line"),
        (lambda r: replace(r, "train: train\n", ""), "there is no 'train' split"),
    ],
)
def test_what_is_wrong_with_a_set(root: Path, spoil: Callable[[Path], None], message: str):
    spoil(root)
    with pytest.raises(UserError, match=message):
        build(root, augmentation=Augmentation(), views=VIEWS)


def test_members_of_other_sizes_are_refused_unless_crops_are_independent(root: Path, make_image):
    make_image(root / "train_night" / "Bar" / "1.png", 30, 40)
    with pytest.raises(UserError, match="must have the same size"):
        build(root, augmentation=Augmentation(), views=VIEWS)
    assert len(build(root, augmentation=Augmentation(independent=True), views=VIEWS)) == 12
