"""Letterboxes by hand, and boxes back into the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.io.letterbox import Letterbox, to_tensor


@pytest.mark.parametrize(
    ("height", "width", "size", "rectangular", "new", "corner", "whole"),
    [
        (720, 1280, 640, True, (360, 640), (12, 0), (384, 640)),  # 720 / 2 = 360, padded to 12 * 32 = 384
        (720, 1280, 640, False, (360, 640), (140, 0), (640, 640)),
        (1280, 720, 640, True, (640, 360), (0, 12), (640, 384)),
        (640, 640, 640, True, (640, 640), (0, 0), (640, 640)),
        (100, 100, 640, True, (640, 640), (0, 0), (640, 640)),  # small images grow
        (3, 3000, 640, True, (1, 640), (15, 0), (32, 640)),  # a side never vanishes
        (375, 500, 640, True, (480, 640), (0, 0), (480, 640)),
    ],
)
def test_letterbox_by_hand(
    height: int, width: int, size: int, rectangular: bool, new: tuple, corner: tuple, whole: tuple
) -> None:
    letterbox = Letterbox((size, size), 32, rectangular)
    assert letterbox.plan(height, width) == (new, corner, whole)
    out = letterbox(np.full((height, width, 3), 200, np.uint8))
    assert out.shape == (*whole, 3)
    top, left = corner
    assert (out[top : top + new[0], left : left + new[1]] == 200).all()
    assert (out == 114).all(2).sum() == whole[0] * whole[1] - new[0] * new[1]


@pytest.mark.parametrize("shape", [(720, 1280), (1280, 720), (333, 517), (50, 40)])
def test_boxes_come_back_to_where_they_were(shape: tuple[int, int]) -> None:
    height, width = shape
    letterbox = Letterbox((640, 640))
    (new_height, new_width), (top, left), _ = letterbox.plan(height, width)
    there = torch.tensor([[0.1, 0.2, 0.6, 0.9]]) * torch.tensor([width, height] * 2)
    scaled = there * torch.tensor([new_width / width, new_height / height] * 2) + torch.tensor([left, top] * 2)
    back = letterbox.back(torch.cat([scaled, torch.tensor([[0.9, 1.0]])], 1), height, width)
    torch.testing.assert_close(back, torch.cat([there, torch.tensor([[0.9, 1.0]])], 1), atol=1e-3, rtol=1e-5)


def test_boxes_are_cut_at_the_edge_of_the_image() -> None:
    back = Letterbox((640, 640)).back(torch.tensor([[-50.0, -50.0, 900.0, 900.0, 0.5, 0.0]]), 360, 640)
    assert back.tolist() == [[0.0, 0.0, 640.0, 360.0, 0.5, 0.0]]


def test_a_square_letterbox_by_hand() -> None:
    """4 x 2 px into 8: twice as large, 8 x 4, with 2 grey rows above and below."""
    fitted = Letterbox((8, 8), rectangular=False)(np.full((2, 4, 3), 9, np.uint8))
    assert fitted.shape == (8, 8, 3)
    assert (fitted[:2] == 114).all() and (fitted[2:6] == 9).all() and (fitted[6:] == 114).all()


def test_to_tensor_is_rgb_first() -> None:
    tensor = to_tensor(np.full((2, 4, 3), (1, 2, 3), np.uint8))
    assert tensor.shape == (3, 2, 4) and tensor.dtype == torch.uint8 and tensor[:, 0, 0].tolist() == [3, 2, 1]
