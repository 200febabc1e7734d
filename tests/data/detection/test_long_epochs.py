"""In an epoch of many batches images are mixed with those that were loaded lately: the same ones, whatever is in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import methods.registry  # noqa: F401 - declares the lines of data YAMLs that methods read
from data.config import load_data
from data.detection import dataset as module
from data.detection.dataset import ViewDataset, build_dataset
from data.detection.options import AugmentOptions
from data.detection.views import View
from data.sampling import EarlierBatches, EpochSampler
from tests.engine.tiny import write_dataset

IMAGES, SIZE = 260, 4  # 65 batches
EPOCH = 3
MIXED = AugmentOptions(mosaic=0.8, mixup=0.5, cutmix=0.3, close_mosaic=0)
PAIR = (View("pair", "paired"),)

Build = Callable[..., ViewDataset]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("long")
    write_dataset(root, images=IMAGES, side=32)
    return root / "world.yaml"


@pytest.fixture
def build(data: Path, tmp_path: Path) -> Build:
    """A training set of 32 px that mixes images in the order of the sampler."""

    def make(order: EpochSampler | None = None, **options: Any) -> ViewDataset:
        defaults = {"imgsz": 32, "augment": True, "options": MIXED, "cache": "none", "cache_folder": tmp_path}
        dataset = build_dataset(load_data(data), "train", **{**defaults, **options})
        dataset.mix_in_order(order or sampler())
        return dataset

    return make


def sampler(start: int = 0, **options: Any) -> EpochSampler:
    chosen = EpochSampler(IMAGES, SIZE, seed=5, **options)
    chosen.set_epoch(EPOCH, start)
    return chosen


def batches(dataset: ViewDataset, start: int = 0, workers: int = 0) -> list[Tensor]:
    """The images (4, 3, 32, 32) of the batches that are left of an epoch."""
    loader = DataLoader(dataset, batch_sampler=sampler(start), num_workers=workers, collate_fn=dataset.collate_fn)
    return [torch.cat([batch[view] for view in ("img", "pair") if view in batch], 1) for batch in loader]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_images_come_from_earlier_batches(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item of batch 42 with mosaic and mixup: itself, three others, another one and its three, all of batches 2, 10, ..."""
    dataset = build(options=AugmentOptions(mosaic=1.0, mixup=1.0, close_mosaic=0))
    taken: list[int] = []
    monkeypatch.setattr(dataset, "load_image", lambda i: (taken.append(i), ViewDataset.load_image(dataset, i))[1])
    key = list(sampler())[42][1]
    dataset[key]
    order = sampler().order(EPOCH)
    earlier = {index for batch in range(2, 42, 8) for index in order[4 * batch : 4 * batch + 4]}
    own, *others = taken
    assert own == key[1] and len(others) == 7 and set(others) <= earlier
    assert len(set(others[:3])) == len(set(others[4:])) == 3


@pytest.mark.parametrize("views", [(), PAIR])
@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_a_cache_changes_nothing(build: Build, cache: str, views: tuple[View, ...]) -> None:
    dataset = build(cache=cache, views=views)
    assert dataset.recent is None and same(batches(dataset), batches(build(views=views)))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_processes_changes_nothing(build: Build, workers: int) -> None:
    assert same(batches(build(), workers=workers), batches(build()))


@pytest.mark.parametrize("start", [5, 40])
def test_a_resume_changes_nothing(build: Build, start: int) -> None:
    assert same(batches(build(), start), batches(build())[start:])


def test_what_was_loaded_before_changes_nothing(build: Build) -> None:
    dataset = build()
    [dataset[(EPOCH - 1, index)] for index in range(0, IMAGES, 3)]
    assert same(batches(dataset), batches(build()))


def test_ranks_see_what_one_process_would(build: Build) -> None:
    whole = batches(build())
    parts = [build(sampler(rank=rank, ranks=2)) for rank in (0, 1)]
    for batch, keys in list(enumerate(sampler()))[::9]:
        halves = [parts[place // 2][key]["img"] for place, key in enumerate(keys)]
        assert torch.equal(torch.stack(halves), whole[batch])


def test_an_image_is_decoded_once(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the ninth batch on: 57 batches of four; before that mosaics of the whole set, of images not yet in memory."""
    dataset = build()
    read = counted(monkeypatch)
    keys = [key for batch in sampler() for key in batch]
    [dataset[key] for key in keys[: 8 * SIZE]]
    before = len(read)
    [dataset[key] for key in keys[8 * SIZE :]]
    assert 8 * SIZE * 2 < before < 8 * SIZE * 8
    assert len(read) - before <= 57 * SIZE and len(set(read)) == IMAGES


def test_memory_is_bounded(build: Build) -> None:
    """64 batches of four and one more, however many images there are."""
    dataset = build()
    assert dataset.recent is not None and dataset.recent.most == 65 * SIZE
    dataset.recent.images = 20
    for key in (key for batch in sampler() for key in batch):
        dataset[key]
        assert len(dataset.recent.kept) <= 20 + SIZE


def test_where_little_is_free_little_is_kept(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of 32 px takes 3072 bytes, a pair twice that: an eighth of 1 MB has room for 42 and 21."""
    expected = batches(build())
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**20))
    dataset = build()
    assert dataset.recent is not None and dataset.recent.images == 42
    assert same(batches(dataset), expected)
    pairs = build(views=PAIR)
    assert pairs.recent is not None and pairs.recent.images == 21


def test_without_mixing_nothing_is_kept(build: Build) -> None:
    assert build(options=AugmentOptions(mosaic=0.0)).recent is None
    assert build(options=AugmentOptions(mosaic=0.0, mixup=0.1)).recent is not None


def test_short_epochs_are_as_without_an_order(data: Path, build: Build) -> None:
    """260 images in batches of five: 52 batches."""
    plain = build_dataset(load_data(data), "train", imgsz=32, augment=True, options=MIXED, cache="none")
    dataset = build(EpochSampler(IMAGES, 5, seed=5))
    assert dataset.recent is None
    assert all(torch.equal(dataset[(EPOCH, i)]["img"], plain[(EPOCH, i)]["img"]) for i in range(0, IMAGES, 9))


def test_long_epochs_begin_as_without_an_order(data: Path, build: Build) -> None:
    plain = build_dataset(load_data(data), "train", imgsz=32, augment=True, options=MIXED, cache="none")
    dataset, keys = build(), [key for batch in sampler() for key in batch]
    equal = [torch.equal(dataset[key]["img"], plain[key]["img"]) for key in keys]
    assert all(equal[: 8 * SIZE]) and np.mean(equal[8 * SIZE :]) < 0.3  # 0.2 * 0.5 * 0.7 have no other image


def test_a_damaged_image_is_replaced_in_every_pool(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were the next one, whether that is in memory or not."""
    bad, read = Path(build().im_files[17]), module.read_image

    def fails(file: Path, fraction: int = 1) -> Any:
        if file == bad:
            raise module.DamagedImage(str(file))
        return read(file, fraction)

    monkeypatch.setattr(module, "read_image", fails)
    dataset, other = build(), build(cache="disk")
    assert same(batches(dataset), batches(other))
    assert [path for path, _ in dataset.left_out()] == [bad]


def test_copies_of_an_image_are_mixed_with_others(build: Build) -> None:
    factors = torch.ones(IMAGES)
    factors[7] = 2
    order = sampler(factors=factors)
    dataset, mixed = build(order), EarlierBatches(order)
    pools = []
    for key in ((EPOCH, 7), (EPOCH, 7, 1)):
        dataset[key]
        pools.append(dataset.pool)
        assert dataset.pool == mixed(*key)
    assert pools[0] != pools[1]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from here on."""
    files: list[Path] = []
    read = module.read_image
    monkeypatch.setattr(module, "read_image", lambda file, fraction=1: (files.append(file), read(file, fraction))[1])
    return files
