"""Decoded images on the disk: kept once, decoded again when the image changes, never half."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.config import load_data
from data.detection import dataset as module
from data.detection.dataset import build_dataset
from data.detection.views import View
from data.io import image_cache
from data.io.image_cache import Decoded, ImageCache
from tests.engine.tiny import write_dataset
from utils.errors import UserError

IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


class Decoder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Decoded:
        self.calls += 1
        return IMAGE, (20, 40)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"image")
    return path


def test_an_image_is_decoded_once(file: Path, tmp_path: Path) -> None:
    decoder = Decoder()
    for _ in range(2):
        image, shape = ImageCache(tmp_path / "cache", 64)([file], decoder)
        assert (image == IMAGE).all() and image.dtype == np.uint8 and shape == (20, 40)
    assert decoder.calls == 1


def test_another_size_time_or_company_is_another_image(file: Path, tmp_path: Path) -> None:
    decoder = Decoder()
    ImageCache(tmp_path / "cache", 64)([file], decoder)
    ImageCache(tmp_path / "cache", 96)([file], decoder)
    ImageCache(tmp_path / "cache", 64)([file, file], decoder)
    os.utime(file, (1, 1))
    ImageCache(tmp_path / "cache", 64)([file], decoder)
    assert decoder.calls == 4 and len(list((tmp_path / "cache").iterdir())) == 4


def test_a_broken_file_is_made_again(file: Path, tmp_path: Path) -> None:
    cache, decoder = ImageCache(tmp_path / "cache", 64), Decoder()
    cache([file], decoder)
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(stored.read_bytes()[:50])
    assert (cache([file], decoder)[0] == IMAGE).all() and decoder.calls == 2
    assert (cache([file], decoder)[0] == IMAGE).all() and decoder.calls == 2


def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda folder: usage(2**30))
    ImageCache(tmp_path, 64).check_room(2**30)
    with pytest.raises(UserError, match="need 2.0 GiB.*1.0 GiB free"):
        ImageCache(tmp_path, 64).check_room(2**31)


def test_items_are_the_same_and_come_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_data(write_dataset(tmp_path, images=4)["data"])
    pair = (View("pair", "paired"),)

    def items(cache: str) -> list[dict[str, Any]]:
        options: dict[str, Any] = {"imgsz": 48, "augment": True, "views": pair, "cache_folder": tmp_path / "cache"}
        images = build_dataset(config, "train", cache=cache, **options)
        return [images[(0, index)] for index in range(4)]

    plain, first = items("none"), items("disk")
    monkeypatch.setattr(module, "read_image", None)  # from here on nothing is decoded
    for kept in (first, items("disk")):
        assert all(torch.equal(a[name], b[name]) for a, b in zip(plain, kept, strict=True) for name in ("img", "pair"))
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 4
