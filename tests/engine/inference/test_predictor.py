"""From images to boxes in the images' own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.inference.predictor import Predictor
from tests.engine.inference.live import plain_image


class FixedNetwork:
    """Finds the same in every image: rows (x, y, width, height, score of class 0, of class 1) in its pixels."""

    def __init__(self, *rows: tuple[float, ...], size: tuple[int, int] | None = None, overlaps: bool = True) -> None:
        self.names, self.stride, self.size, self.overlaps = {0: "a", 1: "b"}, 32, size, overlaps
        self.rows = rows
        self.batches: list[tuple[int, ...]] = []
        self.seen: list[np.ndarray] = []

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        self.batches.append((len(images), *images[0].shape))
        self.seen.extend(images)
        rows = torch.tensor(self.rows, dtype=torch.float32).reshape(-1, 6)
        return (rows.T if self.overlaps else rows).expand(len(images), -1, -1).contiguous()


def test_a_prediction_in_network_pixels_becomes_a_box_in_the_image() -> None:
    """1280 x 720 is seen at 640 x 360 with 12 rows of grey above: centre (100, 112), size (40, 20) is

    x 80..120 -> 160..240, y (102 - 12)..(122 - 12) = 90..110 -> 180..220.
    """
    predictor = Predictor(FixedNetwork((100, 112, 40, 20, 0.2, 0.8)))
    (boxes,) = predictor([plain_image(0, 720, 1280)])
    torch.testing.assert_close(boxes, torch.tensor([[160.0, 180.0, 240.0, 220.0, 0.8, 1.0]]))
    assert predictor.shapes == [(384, 640)] and predictor.seen == 1
    assert predictor.milliseconds > 0 and all(seconds > 0 for seconds in predictor.spent.values())


A, A_NEAR, B_SAME = (100, 100, 40, 40, 0.9, 0.0), (102, 100, 40, 40, 0.8, 0.0), (100, 100, 40, 40, 0.0, 0.7)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(0.9, 0), (0.7, 1)]),  # A suppresses its neighbour (IoU 38 / 42), not the other class
        ({"agnostic": True}, [(0.9, 0)]),
        ({"iou": 0.95}, [(0.9, 0), (0.8, 0), (0.7, 1)]),
        ({"conf": 0.85}, [(0.9, 0)]),
        ({"conf": 0.95}, []),
        ({"classes": (1,)}, [(0.7, 1)]),
        ({"classes": (0, 1), "max_det": 1}, [(0.9, 0)]),
    ],
)
def test_nms(settings: dict, expected: list) -> None:
    (boxes,) = Predictor(FixedNetwork(A, A_NEAR, B_SAME), **settings)([plain_image(0, 640, 640)])
    assert [(round(score, 2), int(number)) for score, number in boxes[:, 4:].tolist()] == expected


def test_a_head_without_overlaps_is_only_filtered() -> None:
    rows = (10, 10, 50, 50, 0.9, 1), (11, 10, 50, 50, 0.8, 1), (10, 10, 50, 50, 0.1, 0)  # corners, score, class
    (boxes,) = Predictor(FixedNetwork(*rows, overlaps=False))([plain_image(0, 640, 640)])
    assert boxes[:, 4].tolist() == pytest.approx([0.9, 0.8])


def test_equal_shapes_go_through_together_and_come_back_in_order() -> None:
    network = FixedNetwork((100, 100, 40, 40, 0.9, 0))
    predictor = Predictor(network)
    found = predictor([plain_image(1, 720, 1280), plain_image(2, 640, 640), plain_image(3, 360, 640)])
    assert network.batches == [(2, 384, 640, 3), (1, 640, 640, 3)]
    assert predictor.shapes == [(384, 640), (640, 640), (384, 640)]
    assert [round(boxes[0, 2].item()) for boxes in found] == [240, 120, 120]  # 120 px there: twice, once, once here


def test_a_network_of_one_size_gets_that_size() -> None:
    network = FixedNetwork((50, 50, 10, 10, 0.9, 0), size=(192, 320))
    predictor = Predictor(network, imgsz=(640, 640))
    predictor([plain_image(0, 100, 400), plain_image(0, 400, 100)])
    assert network.batches == [(2, 192, 320, 3)]


def test_the_preprocess_seam_sees_the_image_first() -> None:
    network = FixedNetwork((50, 50, 10, 10, 0.9, 0))
    Predictor(network, preprocess=lambda image: image + 100)([plain_image(7, 640, 640)])
    assert (network.seen[0] == 107).all()


def test_no_images_no_boxes() -> None:
    assert Predictor(FixedNetwork())([]) == []
