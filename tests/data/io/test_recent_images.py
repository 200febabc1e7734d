"""A few decoded images stay in memory; what comes out never depends on which."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from data.io import recent_images
from data.io.image_cache import Decoded
from data.io.recent_images import RecentImages


class Files:
    """Decodes an image of one pixel with its index as value, and notes it."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def get(self, recent: RecentImages, index: int, keep: bool = True) -> None:
        def decode() -> Decoded:
            self.read.append(index)
            return np.full((1, 1, 3), index, np.uint8), (index, index)

        image, shape = recent(index, decode, keep)
        assert image[0, 0, 0] == index and shape == (index, index)


def test_the_oldest_go_first() -> None:
    """Two images and a batch of one: three are kept."""
    files, recent = Files(), RecentImages(2, batch_size=1)
    for index in (1, 2, 3, 1, 4, 1, 2):
        files.get(recent, index)
    assert files.read == [1, 2, 3, 4, 1, 2]  # 4 took the place of 1, though 1 was asked for last
    assert list(recent.kept) == [4, 1, 2]


def test_what_is_not_to_be_kept_takes_no_place() -> None:
    files, recent = Files(), RecentImages(1, batch_size=1)
    for index, keep in ((1, True), (2, True), (3, False), (3, False), (1, False), (2, False)):
        files.get(recent, index, keep)
    assert files.read == [1, 2, 3, 3] and list(recent.kept) == [1, 2]


@pytest.mark.parametrize(("workers", "expected"), [(None, 68), (1, 68), (8, 12), (3, 25), (100, 4)])
def test_processes_share_the_room(monkeypatch: pytest.MonkeyPatch, workers: int | None, expected: int) -> None:
    worker = None if workers is None else SimpleNamespace(num_workers=workers)
    monkeypatch.setattr(recent_images, "get_worker_info", lambda: worker)
    files, recent = Files(), RecentImages(64, batch_size=4)
    for index in range(200):
        files.get(recent, index)
    assert recent.most == len(recent.kept) == expected
    assert list(recent.kept) == list(range(200 - expected, 200))
