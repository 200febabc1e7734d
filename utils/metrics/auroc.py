"""The area under the ROC curve."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Probability that a positive has a higher score than a negative, a tie counting half; nan without both kinds.

    scores, positive: of equal size, any shape. Source: Hanley and McNeil, Radiology 1982 (Mann-Whitney U).

    >>> auroc([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0])
    0.75
    """
    values, truth = np.ravel(scores), np.ravel(positive).astype(bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return math.nan
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts - 1) / 2  # mean rank of equal scores, from 1
    above = ranks[place][truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
