"""The places of a mask as rows."""

from __future__ import annotations

import torch

from models.loss.rows import POINTS_PER_OBJECT, rows_of
from tests.accelerator.device import simulated


def test_on_the_cpu_exactly_the_places() -> None:
    image, point, real = rows_of(torch.tensor([[False, True, False], [True, False, True]]), objects=0)
    assert (image.tolist(), point.tolist(), real.tolist()) == ([0, 1, 1], [1, 0, 2], [True] * 3)


def test_on_a_device_as_many_rows_as_there_can_be_and_no_wait() -> None:
    mask = torch.zeros(2, 100, dtype=torch.bool)
    mask[0, 7] = mask[1, 99] = True
    with simulated() as trace:
        image, point, real = rows_of(mask.to("simulated"), objects=1)
        assert trace.count("wait") == 0
        found = torch.stack([image, point, real.long()], 1).cpu()
    assert len(found) == POINTS_PER_OBJECT and found[:2].tolist() == [[0, 7, 1], [1, 99, 1]]
    assert not found[2:, 2].any() and found.min() == 0
