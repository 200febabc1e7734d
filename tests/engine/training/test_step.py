"""engine.training.step: ranks keep gradients to themselves until a step is due."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest
from torch import nn

from engine.training.step import TrainStep


@pytest.mark.parametrize(("ranks", "due", "alone"), [(2, False, True), (2, True, False), (1, False, False)])
def test_gradients_of_gathered_batches_stay_on_their_rank(ranks: int, due: bool, alone: bool) -> None:
    parallel: Any = mock.Mock(spec=nn.parallel.DistributedDataParallel) if ranks > 1 else nn.Linear(1, 1)
    found = TrainStep._gathering(cast(TrainStep, SimpleNamespace(parallel=parallel)), due)
    assert (ranks > 1 and found is parallel.no_sync.return_value) is alone
    assert alone or isinstance(found, contextlib.nullcontext)
