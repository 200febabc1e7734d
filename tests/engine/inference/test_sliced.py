"""Large images through the detector in tiles, and back as one list of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.checkpoint import save_checkpoint
from engine.inference.api import stream
from engine.inference.factory import open_predictor
from engine.inference.predictor import Predictor
from engine.inference.sliced import MERGING, SlicedPredictor, Tiling, tiling_of
from engine.options.detect import DetectOptions
from models.detector import build
from tests.engine.tiny import NETWORK
from utils.errors import UserError
from utils.options import build as build_options

GREY, BRIGHT = 100, 250


class BrightNetwork:
    """Finds bright rectangles: a row a group of columns, as a network gives them, all as sure and of class 0."""

    names, stride, size, overlaps = {0: "light"}, 32, None, True

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        self.batches.append((len(images), *images[0].shape))
        found = [torch.tensor(_rectangles(image), dtype=torch.float32).reshape(-1, 5) for image in images]
        out = torch.zeros(len(images), 5, max(1, *map(len, found)) if found else 1)
        for place, rows in zip(out, found, strict=True):
            place[:, : len(rows)] = rows.T
        return out


def _rectangles(image: np.ndarray) -> list[tuple[float, ...]]:
    """Centre, size and confidence of rectangles that do not share columns."""
    bright = (image[..., 0] > 200).any(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bright, [False]])))
    rows = []
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        high = np.flatnonzero((image[:, left:right, 0] > 200).any(1))
        top, bottom = high[0], high[-1] + 1
        rows.append(((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.9))
    return rows


def scene(*boxes: tuple[int, int, int, int], height: int = 96, width: int = 256) -> np.ndarray:
    """A grey image with bright rectangles x1 y1 x2 y2."""
    image = np.full((height, width, 3), GREY, np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = BRIGHT
    return image


def corners(boxes: Tensor) -> list[list[int]]:
    """x1 y1 x2 y2 of boxes, rounded, from left to right."""
    return sorted(boxes[:, :4].round().int().tolist())


def sliced(network: BrightNetwork | None = None, preprocess: Any = None, **tiling: Any) -> SlicedPredictor:
    """Tiles of 96 px at 96 px; those of 256 x 96 px begin at 0, 76, 152 and 160."""
    return SlicedPredictor(Predictor(network or BrightNetwork(), imgsz=(96, 96)), Tiling(96, **tiling), preprocess)


SMALL, LARGE = [(10, 5, 30, 20), (78, 40, 90, 52), (200, 60, 215, 90)], [(60, 30, 190, 60)]


@pytest.mark.parametrize(
    ("boxes", "options"),
    [(SMALL, {}), (SMALL, {"how": "nms"}), (LARGE, {}), (SMALL, {"whole": True}), (LARGE, {"whole": True}), ([], {})],
)
def test_objects_are_found_once_and_whole(boxes: list, options: dict) -> None:
    (found,) = sliced(**options)([scene(*boxes)])
    if options.get("whole") and boxes == LARGE:  # seen whole at 96/256 of its size only: 3 px are one there
        np.testing.assert_allclose(corners(found), np.array(boxes), atol=3)
    else:
        assert corners(found) == sorted(map(list, boxes))


def test_images_share_batches_and_keep_their_boxes() -> None:
    """4 tiles of the first, the second as it is, 4 of the third: nine at once, or four at a time."""
    images = [scene(*SMALL), scene((5, 5, 15, 15), height=64, width=96), scene((100, 3, 112, 14))]
    expected = [sorted(map(list, SMALL)), [[5, 5, 15, 15]], [[100, 3, 112, 14]]]
    for batch, batches in (
        (16, [(8, 96, 96, 3), (1, 64, 96, 3)]),
        (4, [(4, 96, 96, 3), (1, 64, 96, 3), (3, 96, 96, 3), (1, 96, 96, 3)]),
    ):
        network = BrightNetwork()
        predictor = sliced(network, batch=batch)
        assert [corners(found) for found in predictor(images)] == expected
        assert network.batches == batches
        assert (predictor.tiles, predictor.shapes) == ([4, 1, 4], [(96, 96), (64, 96), (96, 96)])


def test_counters_are_of_images() -> None:
    predictor = sliced()
    predictor([scene(*SMALL)])
    predictor([scene(*SMALL), scene(*LARGE)])
    assert predictor.seen == 3 and predictor.milliseconds > 0 and predictor.names == {0: "light"}
    assert list(predictor.spent) == ["preprocess", "inference", "postprocess", MERGING]
    assert all(seconds > 0 for seconds in predictor.spent.values())
    assert predictor([]) == [] and predictor.shapes == []


def test_max_det_counts_after_merging() -> None:
    (found,) = sliced(max_det=2)([scene(*SMALL)])
    assert len(found) == 2


def test_preprocess_sees_the_whole_image() -> None:
    seen = []

    def brighten(image: np.ndarray) -> np.ndarray:
        seen.append(image.shape)
        return image + 100

    image = np.full((96, 256, 3), 20, np.uint8)
    image[40:52, 78:90] = 150
    (found,) = sliced(preprocess=brighten)([image])
    assert seen == [(96, 256, 3)] and corners(found) == [[78, 40, 90, 52]]


def options(**given: Any) -> DetectOptions:
    return build_options([DetectOptions], given)[0]


def test_options_become_a_tiling() -> None:
    assert tiling_of(options(), 32) is None
    given = {"slice": 64, "overlap": 0.3, "merge": "nms", "slice_batch": 4, "slice_whole": True, "max_det": 7}
    assert tiling_of(options(**given, agnostic_nms=True), 32) == Tiling(64, 0.3, "nms", 4, True, 7, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slice": 31}, "slice"),
        ({"slice": 64, "overlap": 0.95}, "overlap"),
        ({"slice": 64, "overlap": -0.1}, "overlap"),
        ({"slice": 64, "merge": "wbf"}, "nmm"),
        ({"slice": 64, "slice_batch": 0}, "slice.batch"),
        ({"slice": 40}, "--slice 40: expected tiles at least as large as the detector's stride, 64 px"),
        ({"slice_whole": True}, "--slice-whole: .* such as --slice 640"),
    ],
)
def test_mistakes(given: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        tiling_of(options(**given), 64)


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_the_script_opens_it_for_every_network(tmp_path: Path, make_image: Any, suffix: str) -> None:
    """An image of 150 x 70 px is three tiles of 64 x 64 px per row, in two rows; each engine gives boxes inside it."""
    torch.manual_seed(0)
    weights = tmp_path / f"best{suffix}"
    model = build(dict(NETWORK, scale="n"), {0: "square", 1: "bar"}).eval()
    if suffix == ".pt":
        save_checkpoint(weights, model, epoch=1, options={}, metrics={})
    else:
        pytest.importorskip("onnxruntime")
        model.model[-1].export = True
        torch.onnx.export(model, (torch.zeros(1, 3, 64, 64),), weights, opset_version=18, dynamo=False)
    img = make_image(tmp_path / "wide.png", 150, 70)
    given = {"weights": weights, "imgsz": (64,), "slice": 64, "conf_thres": 0.0, "max_det": 50, "device": "cpu"}
    for dnn in (False, True) if suffix == ".onnx" else (False,):
        predictor = open_predictor(options(**given, dnn=dnn))
        assert isinstance(predictor, SlicedPredictor) and predictor.tiling.windows(70, 150).shape == (6, 4)
        ((_, _, image, boxes),) = stream(detector=predictor, source=str(img))
        assert image.shape == (70, 150, 3) and 0 < len(boxes) <= 50 and predictor.tiles == [6]
        assert (boxes[:, :4] >= 0).all() and (boxes[:, 2] <= 150).all() and (boxes[:, 3] <= 70).all()
