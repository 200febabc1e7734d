"""The places of a mask as rows, without asking a device how many there are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

POINTS_PER_OBJECT = 32  # most feature points of one object: TAL gives up to 13, ties of nearest points a few more


class Rows(NamedTuple):
    """image, point: (K,) int64, row and column of each place; real: (K,) bool, False in rows that only fill up."""

    image: Tensor
    point: Tensor
    real: Tensor


def rows_of(mask: Tensor, objects: int) -> Rows:
    """Where a mask (B, A) of matched feature points is True, in its order. objects: that points were matched with.

    On the CPU exactly these places. On a device as many rows as there can be, so that the host need not wait for their number.

    >>> rows_of(torch.tensor([[False, True], [True, False]]), objects=2).point.tolist()
    [1, 0]
    """
    if mask.device.type == "cpu":
        image, point = mask.nonzero(as_tuple=True)
        return Rows(image, point, torch.ones_like(image, dtype=torch.bool))
    most = min(mask.numel(), POINTS_PER_OBJECT * objects)
    found = torch.nonzero_static(mask, size=most, fill_value=-1)  # (K, 2)
    image, point = found.clamp(min=0).unbind(1)
    return Rows(image, point, found[:, 0] >= 0)
