"""Tiles of an image, and its objects from what the tiles show, each once and none cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from utils.tiles import merge_tiles, tile_windows

TWO = tile_windows(100, 180, 100, 0.2)  # 0..100 and 80..180: they share 20 px


@pytest.mark.parametrize(
    ("height", "width", "size", "overlap", "expected"),
    [
        (100, 100, 100, 0.2, [[0, 0, 100, 100]]),
        (50, 40, 100, 0.2, [[0, 0, 40, 50]]),  # smaller than a tile: as it is
        (50, 101, 100, 0.2, [[0, 0, 100, 50], [1, 0, 101, 50]]),  # the last one moved back from 80..180
        (100, 180, 100, 0.2, [[0, 0, 100, 100], [80, 0, 180, 100]]),
        (20, 10, 10, 0.0, [[0, 0, 10, 10], [0, 10, 10, 20]]),
        (10, 12, 10, 0.95, [[0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10]]),  # a step is at least a pixel
    ],
)
def test_windows_by_hand(height: int, width: int, size: int, overlap: float, expected: list) -> None:
    assert tile_windows(height, width, size, overlap).tolist() == expected


def test_windows_of_a_large_image() -> None:
    """Step 512: 4000 px take 0, 512 ... 3072 and 3360, eight; 3000 px take 0 ... 2048 and 2360, six."""
    windows = tile_windows(3000, 4000, 640)
    assert windows.shape == (48, 4)
    assert windows[7].tolist() == [3360, 0, 4000, 640] and windows[40].tolist() == [0, 2360, 640, 3000]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 120), st.floats(0, 0.9))
def test_windows_cover_and_overlap(height: int, width: int, size: int, overlap: float) -> None:
    windows = tile_windows(height, width, size, overlap)
    for side, near in ((width, 0), (height, 1)):
        starts, ends = np.unique(windows[:, near]), np.unique(windows[:, near + 2])
        assert starts[0] == 0 and ends[-1] == side and (ends - starts == min(size, side)).all()
        assert (ends[:-1] - starts[1:] >= min(size * overlap, size - 1) - 1e-6).all()
    assert len(windows) == len(np.unique(windows[:, 0])) * len(np.unique(windows[:, 1]))


@pytest.mark.parametrize("wrong", [(0, 9, 9, 0.2), (9, 0, 9, 0.2), (9, 9, 0, 0.2), (9, 9, 9, 1.0), (9, 9, 9, -0.1)])
def test_windows_that_make_no_sense(wrong: tuple) -> None:
    with pytest.raises(ValueError, match="expected sides of at least 1"):
        tile_windows(*wrong)


def in_windows(*rows: tuple[int, list[float]], windows: np.ndarray = TWO) -> list[Tensor]:
    """(window, x1 y1 x2 y2 confidence class in px of the image) -> a tensor a window, in its own pixels."""
    found: list[list[list[float]]] = [[] for _ in windows]
    for number, (x1, y1, x2, y2, *rest) in rows:
        left, top = windows[number, :2]
        found[number].append([x1 - left, y1 - top, x2 - left, y2 - top, *rest])
    return [torch.tensor(each, dtype=torch.float32).reshape(-1, 6) for each in found]


WHOLE = [(0, [85, 10, 95, 20, 0.8, 0]), (1, [85, 10, 95, 20, 0.9, 0])]
CUT = [(0, [70, 10, 95, 30, 0.7, 0]), (1, [80, 10, 95, 30, 0.9, 0])]
LARGE = [(0, [60, 10, 100, 30, 0.6, 0]), (1, [80, 10, 150, 30, 0.8, 0])]


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        (WHOLE, {}, [[85, 10, 95, 20, 0.9, 0]]),  # the surer
        (CUT, {}, [[70, 10, 95, 30, 0.7, 0]]),  # the whole one, although less sure
        (LARGE, {}, [[60, 10, 150, 30, 0.8, 0]]),  # no window shows it whole: the union
        (LARGE, {"how": "nms"}, [[80, 10, 150, 30, 0.8, 0]]),
        ([(0, [60, 10, 98, 30, 0.6, 0]), LARGE[1]], {}, [[60, 10, 150, 30, 0.8, 0]]),  # ends 2 px short of the border
        ([LARGE[0], (1, [80, 10, 150, 30, 0.8, 1])], {}, [[80, 10, 150, 30, 0.8, 1], [60, 10, 100, 30, 0.6, 0]]),
        ([LARGE[0], (1, [80, 10, 150, 30, 0.8, 1])], {"agnostic": True}, [[60, 10, 150, 30, 0.8, 1]]),
        # pieces that agree in too little of what both windows show: 20 x 4 of 20 x 36 px
        ([LARGE[0], (1, [80, 26, 150, 46, 0.8, 0])], {}, [[80, 26, 150, 46, 0.8, 0], [60, 10, 100, 30, 0.6, 0]]),
        # a tiny box seen 2 px further right and 1 px lower: IoU 20 / 52, IoS 20 / 36
        ([(0, [84, 10, 90, 16, 0.8, 0]), (1, [86, 11, 92, 17, 0.7, 0])], {}, [[84, 10, 90, 16, 0.8, 0]]),
        # a small object inside a large one, both in both windows
        (
            [(0, [83, 10, 97, 50, 0.9, 0]), (0, [86, 20, 92, 26, 0.8, 0])]
            + [(1, [83, 10, 97, 50, 0.9, 0]), (1, [86, 20, 92, 26, 0.8, 0])],
            {},
            [[83, 10, 97, 50, 0.9, 0], [86, 20, 92, 26, 0.8, 0]],
        ),
        # what is hardly sure is no reason to drop a sure piece, nor a part of it
        (
            [(0, [60, 10, 100, 30, 0.9, 0]), (1, [82, 0, 160, 60, 0.01, 0]), (1, [80, 10, 99, 31, 0.02, 0])],
            {},
            [[60, 10, 100, 30, 0.9, 0], [80, 10, 99, 31, 0.02, 0], [82, 0, 160, 60, 0.01, 0]],
        ),
        # a third box of the piece's own window, inside the joined object, goes with it
        ([*LARGE, (0, [90, 12, 100, 28, 0.5, 0])], {}, [[60, 10, 150, 30, 0.8, 0]]),
        (
            [(0, [10, 10, 20, 20, 0.3, 0]), (1, [150, 10, 160, 20, 0.6, 0])],
            {"max_det": 1},
            [[150, 10, 160, 20, 0.6, 0]],
        ),
        ([], {}, []),
    ],
)
def test_merging_by_hand(rows: list, options: dict, expected: list) -> None:
    merged = merge_tiles(in_windows(*rows), TWO, (100, 180), **options)
    torch.testing.assert_close(merged, torch.tensor(expected, dtype=torch.float32).reshape(-1, 6))


def test_windows_that_only_touch() -> None:
    """Without overlap the pieces meet at x = 10; continued over the border they agree."""
    windows = tile_windows(10, 20, 10, 0.0)
    found = in_windows((0, [4, 2, 10, 8, 0.5, 0]), (1, [10, 2, 17, 8, 0.9, 0]), windows=windows)
    assert merge_tiles(found, windows, (10, 20)).tolist() == [[4, 2, 17, 8, pytest.approx(0.9), 0]]


def test_the_whole_image_as_one_more_window() -> None:
    windows = np.concatenate([TWO, [[0, 0, 180, 100]]])
    found = in_windows(*LARGE, (2, [58, 9, 151, 31, 0.7, 0]), windows=windows)
    torch.testing.assert_close(merge_tiles(found, windows, (100, 180)), torch.tensor([[58, 9, 151, 31, 0.7, 0.0]]))


def test_one_window_is_only_sorted() -> None:
    boxes = torch.tensor([[0, 0, 9, 9, 0.2, 0], [0, 0, 9, 9, 0.7, 0]])
    assert merge_tiles([boxes], tile_windows(9, 9, 10), (9, 9)).tolist() == boxes.flip(0).tolist()


@pytest.mark.parametrize(("found", "how"), [(1, "nmm"), (2, "wbf")])
def test_mistakes_in_the_call(found: int, how: str) -> None:
    with pytest.raises(ValueError, match="expected boxes for each of 2 windows"):
        merge_tiles([torch.zeros(0, 6)] * found, TWO, (100, 180), how=how)


def perfect(objects: Tensor, windows: np.ndarray, noise: float = 0.0, seed: int = 0) -> list[Tensor]:
    """What a detector that finds all would say of each window; noise: px by which each side errs."""
    generator, found = torch.Generator().manual_seed(seed), []
    for x1, y1, x2, y2 in windows.tolist():
        boxes = objects.clone()
        boxes[:, :4] += noise * (2 * torch.rand(len(boxes), 4, generator=generator) - 1)
        boxes[:, 0:4:2] = boxes[:, 0:4:2].clamp(x1, x2) - x1
        boxes[:, 1:4:2] = boxes[:, 1:4:2].clamp(y1, y2) - y1
        found.append(boxes[(boxes[:, 2] - boxes[:, 0] > noise) & (boxes[:, 3] - boxes[:, 1] > noise)])
    return found


def scattered(seed: int, count: int, low: float, high: float, classes: int = 2) -> Tensor:
    """Objects in an image of 1000 x 800 px with sides from low to high; none has IoU 0.4 or more with another."""
    generator, kept = np.random.default_rng(seed), np.zeros((0, 6))
    for _ in range(count):
        sides = generator.uniform(low, high, 2)
        corner = generator.uniform((0, 0), (1000, 800) - sides)
        box = np.array([*corner, *(corner + sides), generator.uniform(0.3, 1), generator.integers(classes)])
        shared = (np.minimum(kept[:, 2:4], box[2:4]) - np.maximum(kept[:, :2], box[:2])).clip(0).prod(1)
        sums = (kept[:, 2:4] - kept[:, :2]).prod(1) + sides.prod()
        if (shared < 0.4 * (sums - shared)).all():
            kept = np.concatenate([kept, box[None]])
    return torch.tensor(kept, dtype=torch.float32)


def assert_same(found: Tensor, objects: Tensor, tolerance: float = 1e-2) -> None:
    """The same boxes, by descending confidence."""
    expected = objects[objects[:, 4].argsort(descending=True)]
    assert len(found) == len(expected)
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("size", "overlap"), [(200, 0.2), (256, 0.25), (300, 0.5), (640, 0.1)])
def test_objects_below_the_overlap_come_out_exactly(seed: int, size: int, overlap: float) -> None:
    objects = scattered(seed, 150, 4, min(size * overlap - 5, size * overlap / 1.1))  # clear of the borders somewhere
    windows = tile_windows(800, 1000, size, overlap)
    for how in ("nmm", "nms"):
        assert_same(merge_tiles(perfect(objects, windows), windows, (800, 1000), how=how), objects)


@pytest.mark.parametrize("seed", range(3))
def test_objects_above_the_overlap_become_their_union(seed: int) -> None:
    """One object per cell of 250 x 266 px, 120 to 240 px large; windows of 200 px share 40."""
    generator = np.random.default_rng(seed)
    rows = []
    for left in range(0, 1000, 250):
        for top in range(0, 798, 266):
            sides = generator.uniform(120, 240, 2)
            corner = (left, top) + generator.uniform(0, (248, 264) - sides)
            rows.append([*corner, *(corner + sides), generator.uniform(0.3, 1), 0])
    objects, windows = torch.tensor(rows, dtype=torch.float32), tile_windows(800, 1000, 200, 0.2)
    assert_same(merge_tiles(perfect(objects, windows), windows, (800, 1000)), objects)
    assert len(merge_tiles(perfect(objects, windows), windows, (800, 1000), how="nms")) == len(objects)


@pytest.mark.parametrize("seed", range(3))
def test_sides_that_err_by_a_pixel_change_nothing_else(seed: int) -> None:
    objects, windows = scattered(seed, 150, 10, 35), tile_windows(800, 1000, 200, 0.2)
    merged = merge_tiles(perfect(objects, windows, noise=1.0, seed=seed), windows, (800, 1000))
    assert_same(merged, objects, tolerance=1.01)


@pytest.mark.parametrize("size", [256, 400])
def test_real_labels_come_out_of_their_tiles(shared: Path, size: int) -> None:
    """Dense crowns of up to 102 px, 377 in all; tiles of 256 px share only 51, so some crowns are joined pieces."""
    sizes = {"2019_YELL_2_541000_4977000_image_crop": (1035, 1249), "OSBS_029": (400, 400), "SOAP_061": (400, 400)}
    total = 0
    for name, (height, width) in sizes.items():
        rows = torch.tensor(np.loadtxt(shared / f"data/deepforest/labels/val/{name}.txt"), dtype=torch.float32)
        scale = torch.tensor([width, height] * 2)
        half = rows[:, 3:] / 2
        boxes = (torch.cat([rows[:, 1:3] - half, rows[:, 1:3] + half], 1) * scale).clamp(min=0)
        boxes = torch.cat([torch.minimum(boxes, scale), torch.linspace(1, 0.5, len(rows))[:, None], rows[:, :1]], 1)
        windows = tile_windows(height, width, size)
        assert_same(merge_tiles(perfect(boxes, windows), windows, (height, width)), boxes, 0.1)
        total += len(boxes)
    assert total == 377
