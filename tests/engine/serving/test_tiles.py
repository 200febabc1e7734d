"""Frames as a viewer gets them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from engine.serving.tiles import Tile, Tiles, reduced
from engine.tracking.result import TrackingResult


def tile(order: int = 1, number: int = 1, height: int = 100, width: int = 200, **given: object) -> Tile:
    boxes = np.array([[20, 10, 120, 60, 0.876, 2]], np.float32)
    return Tile(order, number, np.full((height, width, 3), 99, np.uint8), boxes, **given)  # type: ignore[arg-type]


def parts(message: bytes) -> tuple[dict, np.ndarray]:
    length = int.from_bytes(message[:4], "big")
    coded = np.frombuffer(message[4 + length :], np.uint8)
    return json.loads(message[4 : 4 + length]), cv2.imdecode(coded, cv2.IMREAD_COLOR)


def test_a_message_by_hand() -> None:
    head, image = parts(tile(3, 7, seen=TrackingResult(np.array([5]))).message(50))
    assert head == {"order": 3, "number": 7, "boxes": [[0.1, 0.1, 0.6, 0.6, 0.88, 2, 5]]}
    assert image.shape == (25, 50, 3) and abs(image.mean() - 99) < 2


def test_without_tracking_identities_are_0() -> None:
    assert tile().header()["boxes"][0][-1] == 0


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (1, 1, (1, 1)),
        (4500, 8000, (360, 640)),
        (8000, 1, (2560, 1)),
        (480, 640, (480, 640)),
        (1, 8000, (1, 640)),
        (60000, 10, (2560, 1)),
    ],
)
def test_images_of_any_size(height: int, width: int, size: tuple[int, int]) -> None:
    assert reduced(np.zeros((height, width, 3), np.uint8), 640).shape[:2] == size


def test_a_frame_is_coded_once_for_all_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    coded = []
    message = Tile.message
    monkeypatch.setattr(Tile, "message", lambda self, width: coded.append(width) or message(self, width))
    tiles = Tiles(1)
    tiles.put(tile(1, 1))
    assert tiles.coded(1, 100) is None and coded == []  # nobody looks: nothing is coded
    first = tiles.message(1, 100)
    assert tiles.message(1, 100) is first and tiles.coded(1, 100) is first and coded == [100]
    tiles.put(tile(1, 2))
    assert tiles.coded(1, 100) is None
    assert parts(tiles.message(1, 100)[1])[0]["number"] == 2 and coded == [100, 100]
    assert tiles.message(1, 100)[0] == tiles.versions()[1] > first[0]


@pytest.mark.parametrize(("sources", "width"), [(1, 1280), (4, 640), (9, 480), (16, 360)])
def test_many_sources_have_small_tiles(sources: int, width: int) -> None:
    assert Tiles(sources).width == width
