"""The area under the ROC curve, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from utils.metrics.auroc import auroc


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([3, 2, 1, 0], [1, 1, 0, 0], 1.0),
        ([0, 1, 2, 3], [1, 1, 0, 0], 0.0),
        ([1, 1, 1, 1], [1, 0, 1, 0], 0.5),  # a constant says nothing
        ([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0], 0.75),  # 3 of 4 pairs in order
        ([2, 2, 1], [1, 0, 0], 0.75),  # a tie counts half
        ([1, 2], [1, 1], math.nan),
    ],
)
def test_by_hand(scores: list[float], positive: list[int], expected: float) -> None:
    assert auroc(scores, positive) == pytest.approx(expected, nan_ok=True)


def test_any_shape() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert auroc(scores, scores > 0.5) == 1.0
