"""Theoretical receptive fields, traced: the table of the RFLA specification, section 4.2, and layers counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models.detector import build
from models.receptive_field import ReceptiveField, effective_fields, levels, trace
from utils.errors import UserError

TABLE = {
    "yolov8n": {8: 95, 16: 239, 32: 399},
    "yolov8s": {8: 95, 16: 239, 32: 399},
    "yolov8m": {8: 175, 16: 447, 32: 735},
    "yolov8l": {8: 255, 16: 655, 32: 1071},
    "yolo11n": {8: 63, 16: 207, 32: 495},
    "yolo26n": {8: 63, 16: 207, 32: 495},
    "yolov8n-p2": {4: 23, 8: 95, 16: 239, 32: 399},
    "yolo26n-p2": {4: 23, 8: 63, 16: 207, 32: 495},
    "yolov5n": {8: 58, 16: 170, 32: 266},  # a 6 x 6 stem: even sides
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    assert trace(build(name, {0: "thing"})) == TABLE[name]


@pytest.mark.parametrize(("name", "rows"), [("yolov8n", [4, 6, 8]), ("yolo26n", [4, 6, 8]), ("yolov5n", [4, 6, 8])])
def test_the_layer_stands_before_pyramid_and_attention(name: str, rows: list[int]) -> None:
    """SPPF (row 9) and C2PSA (row 10) have stride 32 too, but a field that says nothing about the level."""
    found = levels(build(name, {0: "thing"}))
    assert [level.index for level in found.values()] == rows


def test_cells_lie_half_a_pixel_off_the_corner_of_their_stride() -> None:
    """Padding 1 before a 3 x 3 kernel of stride 2 keeps the middle of cell p at pixel p * stride, middle 0.5."""
    found = levels(build("yolov8n-p2", {0: "thing"}))
    assert {(level.field.first + level.field.last + 1) / 2 for level in found.values()} == {0.5}


def test_where_every_layer_of_a_stride_attends_the_last_one_stands_for_it() -> None:
    assert set(trace(build("yolo12n", {0: "thing"}))) == {8, 16, 32}


@pytest.mark.parametrize("imgsz", [64, 100, 320])
def test_the_size_of_the_image_does_not_matter(imgsz: int) -> None:
    assert trace(build("yolov8n", {0: "thing"}), imgsz) == TABLE["yolov8n"]


def test_nothing_of_the_model_is_moved() -> None:
    model = build("yolov8n", {0: "thing"})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model)
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("steps", "first", "last", "jump"),
    [
        ([(3, 1, 1, 1)], -1, 1, 1),  # 3 x 3: one pixel to each side
        ([(3, 2, 1, 1), (3, 2, 1, 1)], -3, 3, 4),  # 1 + 2 * 1 to each side: 7 px, cells 4 px apart
        ([(3, 1, 2, 2)], -2, 2, 1),  # dilation 2: 5 px
        ([(6, 2, 2, 1)], -2, 3, 2),  # even: 6 px, the middle half a pixel further
        ([(1, 1, 0, 1)], 0, 0, 1),  # 1 x 1 changes nothing
    ],
)
def test_windows_by_hand(steps: list[tuple[int, int, int, int]], first: float, last: float, jump: float) -> None:
    field = ReceptiveField()
    for step in steps:
        field = field.window(*step)
    assert (field.first, field.last, field.jump) == (first, last, jump)
    assert field.size == last - first + 1


def test_enlarging_and_joining_by_hand() -> None:
    """Behind stride 4 (pixels -3..3), doubled: cell 1 is a copy of cell 0, so first moves back by one new jump of 2."""
    coarse = ReceptiveField(-3, 3, 4).enlarged(2)
    assert coarse == ReceptiveField(-5, 3, 2)
    assert coarse.joined(ReceptiveField(-1, 4, 2)) == ReceptiveField(-5, 4, 2)


class Small(nn.Module):
    """A network in the form that is walked: `model` with rows, and the strides of its head."""

    def __init__(self, rows: list[nn.Module], strides: list[int]) -> None:
        super().__init__()
        self.model = nn.Sequential(*rows, nn.Identity())
        self.stride = torch.tensor(strides)
        for index, layer in enumerate(self.model):
            layer_: Any = layer
            layer_.i, layer_.f = index, -1


def test_a_network_counted_by_hand() -> None:
    """3/2 then pooling 2/2 (3 + 1 * 2 = 5 px), a 3/1 at stride 4 (5 + 2 * 4 = 13 px); the pyramid 5/1 behind is left out."""
    rows = [nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, 1, 1), nn.MaxPool2d(5, 1, 2)]
    assert trace(Small(rows, [2, 4])) == {2: 3, 4: 13}


def test_a_stride_without_a_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no layer of stride \[8\]"):
        trace(Small([nn.Conv2d(3, 4, 3, 2, 1)], [2, 8]))


def test_effective_fields() -> None:
    model = build("yolov8n", {0: "thing"})
    assert effective_fields(model) == {8: 47.5, 16: 119.5, 32: 199.5}
    assert effective_fields(model, given={8: 45.5}) == {8: 45.5, 16: 119.5, 32: 199.5}
    with pytest.raises(UserError, match="no stride 4; its strides are 8, 16, 32"):
        effective_fields(model, given={4: 10.0})
