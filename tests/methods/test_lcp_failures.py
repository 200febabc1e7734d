"""Failing cells and the loss of a map, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from methods.lcp_failures import cells_in, failed_boxes, failing_cells, failure_loss

HIT = [0.0, 0.0, 16.0, 16.0]
MISSED = [32.0, 0.0, 48.0, 16.0]
FALSE = [0.0, 32.0, 16.0, 48.0]


def found(*rows: tuple[list[float], int]) -> torch.Tensor:
    return torch.tensor([[*box, 0.9, kind] for box, kind in rows]).reshape(-1, 6)


def test_missed_objects_and_false_alarms() -> None:
    objects, classes = torch.tensor([HIT, MISSED]), torch.tensor([0, 0])
    assert failed_boxes(found((HIT, 0), (FALSE, 0)), objects, classes).tolist() == [MISSED, FALSE]
    assert failed_boxes(found((HIT, 1)), objects, classes).tolist() == [HIT, MISSED, HIT]  # another class is both
    assert failed_boxes(found(), objects, classes).tolist() == [HIT, MISSED]
    assert failed_boxes(found((FALSE, 0)), torch.zeros(0, 4), torch.zeros(0)).tolist() == [FALSE]


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ([0.0, 0.0, 16.0, 8.0], [(0, 0), (0, 1)]),
        ([7.0, 7.0, 9.0, 9.0], [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ([-5.0, 17.0, 3.0, 90.0], [(2, 0)]),
    ],
)
def test_cells_that_a_box_overlaps(box: list[float], cells: list[tuple[int, int]]) -> None:
    assert [tuple(cell) for cell in cells_in(torch.tensor([box]), 24, 16).nonzero().tolist()] == cells
    assert not cells_in(torch.zeros(0, 4), 24, 16).any()


def test_cells_of_a_batch() -> None:
    """The second image has an object of 16 px at the upper left, and finds nothing."""
    batch = {
        "img": torch.zeros(2, 3, 32, 32),
        "bboxes": torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]),
        "cls": torch.zeros(2, 1),
        "batch_idx": torch.tensor([0.0, 1.0]),
    }
    cells = failing_cells([found((HIT, 0)), found()], batch)
    assert cells.shape == (2, 4, 4) and not cells[0].any()
    assert cells[1].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_the_loss_is_balanced() -> None:
    """One cell of four fails. A map of 0.5 everywhere: ln 2. One that is right: nothing."""
    cells = torch.tensor([[[True, False], [False, False]]])
    flat = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    loss = failure_loss(flat, cells)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    gradient = flat.grad[0, 0]
    assert gradient[:8, :8].sum().item() == pytest.approx(-1) and gradient.sum().item() == pytest.approx(0, abs=1e-6)
    right = torch.zeros(1, 1, 16, 16)
    right[..., :8, :8] = 1
    assert failure_loss(right, cells).item() == pytest.approx(0, abs=1e-3)
    assert math.isfinite(failure_loss(right, ~cells).item())
    assert failure_loss(flat, torch.zeros_like(cells)).item() == pytest.approx(math.log(2) / 2)  # none fails
