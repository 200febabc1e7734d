"""What WiiD masks: cells, squares, what does not stand out; by hand or by the original program."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from methods.wiid_masks import (
    SALIENCY,
    cell_grid,
    cells_beside,
    inside,
    moving_cells,
    occlusion_cells,
    pixel_boxes,
    salient,
    spectral_saliency,
    spread,
    square_count,
    squares,
    squares_or_saliency,
    whole_boxes,
)

BOX = np.array([[200, 150, 400, 300]])


def test_cells_of_the_background_as_in_the_original() -> None:
    """480 x 640, grid 5: cells of 128 x 96; nine on the box, sixteen behind it; int(0.3 * 16) = 4 of them."""
    cells = occlusion_cells(480, 640, BOX, 5, 0.0, 0.3, random.Random(0))
    assert cells == [(4, 1), (4, 4), (1, 4), (0, 0)]
    assert spread(cell_grid([cells], 5), 480, 640).sum().item() == 49_152


def test_cells_of_both_kinds_as_in_the_original() -> None:
    cells = occlusion_cells(480, 640, BOX, 5, 0.5, 0.4, random.Random(0))
    assert cells[:4] == [(3, 1), (3, 3), (1, 1), (1, 3)]
    assert cells[4:] == [(4, 4), (1, 4), (4, 1), (0, 4), (2, 0), (1, 0)]


def test_front_is_the_box_grown_to_cells() -> None:
    front = occlusion_cells(480, 640, BOX, 5, 1.0, 0.0, random.Random(0))
    assert set(front) == {(column, row) for column in (1, 2, 3) for row in (1, 2, 3)}


def test_the_remainder_is_never_masked() -> None:
    """333 = 5 * 66 + 3 rows, 500 = 5 * 100 columns."""
    cells = occlusion_cells(333, 500, BOX, 5, 1.0, 1.0, random.Random(0))
    mask = spread(cell_grid([cells], 5), 333, 500)[0, 0]
    assert len(cells) == 25
    assert mask[:330].all() and not mask[330:].any()


def test_touching_edges_do_not_count() -> None:
    front = occlusion_cells(480, 640, np.array([[128, 0, 200, 96]]), 5, 1.0, 0.0, random.Random(0))
    assert front == [(1, 0)]


def test_no_boxes_means_all_background() -> None:
    assert len(occlusion_cells(100, 100, np.zeros((0, 4)), 5, 1.0, 1.0)) == 25


def test_saliency_finds_the_odd_one_out() -> None:
    ramp = torch.linspace(0, 0.3, 64)
    noise = 0.05 * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    image = (ramp[None, None, None] + noise).repeat(1, 3, 1, 1)
    image[..., 20:28, 36:44] += 0.6
    peak = int(spectral_saliency(image)[0, 0].argmax())
    assert 16 <= peak // 64 <= 32 and 32 <= peak % 64 <= 48


def test_pixel_boxes_by_hand() -> None:
    """Centre 0.5, size 0.25 of 64 px: 32 -+ 8."""
    batch = {
        "img": torch.zeros(1, 3, 64, 64),
        "bboxes": torch.tensor([[0.5, 0.5, 0.25, 0.25]]),
        "batch_idx": torch.zeros(1),
    }
    assert pixel_boxes(batch)[0].tolist() == [[24.0, 24.0, 40.0, 40.0]]


def test_inside_boxes_by_hand() -> None:
    """Boxes 2 to 4 by 1 to 3 and one outside on the left; an image without objects keeps everything."""
    batch = {"img": torch.zeros(2, 3, 4, 8), "batch_idx": torch.zeros(2)}
    batch["bboxes"] = torch.tensor([[3 / 8, 2 / 4, 2 / 8, 2 / 4], [-0.5, 0.5, 0.1, 0.1]])
    boxes = whole_boxes(batch)
    assert boxes.tolist() == [[[2, 1, 4, 3], [0, 2, 0, 2]], [[0, 0, 8, 4], [0, 0, 0, 0]]]
    kept = inside(boxes, 4, 8)[:, 0]
    assert kept[0].nonzero().tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]] and kept[1].all()


@pytest.mark.parametrize(
    ("side", "covered", "count"),
    [(32, 0.5, 24), (32, 0.6, 29), (48, 0.5, 10), (48, 0.6, 13), (63, 0.5, 6), (63, 0.6, 7)],
)
def test_number_of_squares(side: int, covered: float, count: int) -> None:
    """int(224^2 * covered / side^2), such as 50176 * .5 / 1024 = 24.5."""
    assert square_count(224, side, covered) == count


def test_squares_are_of_their_side_and_belong_to_the_image() -> None:
    """One square of 8 px on 16 px covers 64 pixels: int(256 * .25 / 64) = 1."""
    keep = squares([5, 6, 5], 16, 8, 0.25)
    assert keep.shape == (3, 1, 16, 16) and [int((1 - image).sum()) for image in keep] == [64, 64, 64]
    assert torch.equal(keep[0], keep[2]) and not torch.equal(keep[0], keep[1])


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
def test_saliency_removes_its_share(quantile: float) -> None:
    """A quantile of the pixels, not of a percent: half means half."""
    keep = salient(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), quantile)
    assert keep.float().mean().item() == pytest.approx(1 - quantile, abs=0.02)


def test_odds_of_masks() -> None:
    """Of 200 batches about 60 % squares, 10 % saliency and 30 % none: within three standard deviations, 21 and 13."""
    kinds = {"none": 0, "squares": 0, "saliency": 0}
    for iteration in range(200):
        keep = squares_or_saliency(16, [iteration], (0, iteration), (0.6, 0.1))
        kinds["none" if keep is None else "saliency" if keep is SALIENCY else "squares"] += 1
    assert abs(kinds["squares"] - 120) < 24 and abs(kinds["none"] - 60) < 20 and 5 <= kinds["saliency"] <= 35


def moving(size: int = 20) -> torch.Tensor:
    """Two clips; in the first something moves in the upper left 8 x 8 px."""
    motion = torch.zeros(2, size, size, dtype=torch.bool)
    motion[0, :8, :8] = True
    return motion


def test_moving_cells_by_hand() -> None:
    """20 px, 5 cells of 4 px: 8 x 8 moving px are the cells (0,0) (1,0) (0,1) (1,1). One px of 16 is a fraction of 0.06; of
    400 px in one cell, 0.0025, too few."""
    boxes = moving_cells(moving()[0].numpy(), 5)
    assert sorted(map(tuple, boxes.tolist())) == [(0, 0, 4, 4), (0, 4, 4, 8), (4, 0, 8, 4), (4, 4, 8, 8)]
    speck = np.zeros((20, 20), bool)
    speck[0, 0] = True
    assert len(moving_cells(speck, 5)) == 1 and len(moving_cells(speck, 1)) == 0


def test_erase_takes_moving_cells_and_patch_takes_others() -> None:
    """4 moving cells and 21 others: half of 4 is 2, a third of 21 is 6 (6.93 cut)."""
    batch: dict[str, Any] = {"img": torch.zeros(2, 3, 2, 20, 20), "motion": moving(), "seed": torch.tensor([7, 8])}
    mask = spread(cells_beside(batch, 5, 0.5, 0.33), 20, 20)[0, 0]  # (S, S)
    assert int(mask[:8, :8].sum()) == 2 * 16 and int(mask.sum()) == (2 + 6) * 16
