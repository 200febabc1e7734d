"""Images at their own size: padded to the stride, in batches of one shape, loaded pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.config import load_data
from data.detection.dataset import build_dataset, runs_of_equal
from data.io.images import read_image
from engine.evaluation.predictions import load
from engine.evaluation.settings import EvalSettings

SHAPES = [(24, 32), (33, 20), (64, 64), (20, 30), (30, 64)]  # height, width


@pytest.fixture
def sizes(tmp_path: Path, make_image: Any) -> Any:
    """A split of images of five sizes, each with one object in its middle; a function from batch size to data set."""
    for number, (height, width) in enumerate(SHAPES):
        make_image(tmp_path / "images" / "val" / f"{number}.png", width, height, number)
        label = tmp_path / "labels" / "val" / f"{number}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/val\nval: images/val\nnames: {0: cat}\n")
    config = load_data(tmp_path / "data.yaml")
    return lambda size, **more: build_dataset(config, "val", imgsz=640, batch_size=size, native=True, **more)


@pytest.mark.parametrize(
    ("rows", "most", "expected"),
    [
        ([[32, 32]], 4, [[0]]),
        ([[32, 32]] * 5, 2, [[0, 1], [2, 3], [4]]),
        ([[32, 32], [32, 64], [32, 64], [64, 32]], 8, [[0], [1, 2], [3]]),
    ],
)
def test_runs_by_hand(rows, most, expected):
    assert runs_of_equal(np.array(rows), most) == expected


@pytest.mark.parametrize("rect", [None, False])
@pytest.mark.parametrize("size", [1, 8])
def test_every_image_is_padded_by_itself(sizes, size, rect):
    """32 x 32 (24 x 32 and 20 x 30), 32 x 64 (30 x 64), 64 x 32 (33 x 20), 64 x 64: whatever the size of a batch."""
    dataset = sizes(size, rect=rect)
    batches = list(load(dataset, EvalSettings(size), torch.device("cpu")))
    assert [list(batch["img"].shape[2:]) for batch in batches for _ in batch["img"]] == [
        [32, 32], [32, 32], [32, 64], [64, 32], [64, 64],
    ]  # fmt: skip
    assert len(batches) == (5 if size == 1 else 4)


def test_pixels_are_the_files_own(sizes):
    """33 x 20 in 64 x 32: 15 rows above and 16 below (31 / 2), 6 columns at each side; grey 114 around."""
    dataset = sizes(8)
    item = next(item for item in map(dataset.__getitem__, range(5)) if item["ori_shape"] == (33, 20))
    (gain, (left, top)) = item["ratio_pad"]
    assert (gain, left, top) == ((1.0, 1.0), 6, 15)
    image = item["img"].numpy().transpose(1, 2, 0)[..., ::-1].copy()  # (H, W, 3) BGR
    assert (image[15:48, 6:26] == read_image(Path(item["im_file"]))).all()
    image[15:48, 6:26] = 114
    assert (image == 114).all()


def test_boxes_stay_on_their_object(sizes):
    """Half of each side of 33 x 20, in the middle: 10 x 16.5 px around (6 + 10, 15 + 16.5) of 32 x 64."""
    dataset = sizes(8)
    item = next(item for item in map(dataset.__getitem__, range(5)) if item["ori_shape"] == (33, 20))
    box = item["bboxes"][0].numpy() * [32, 64, 32, 64]
    assert box == pytest.approx([16, 31.5, 10, 16.5], abs=1e-3)
