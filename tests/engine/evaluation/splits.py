"""The results of a split, put together by hand."""

from __future__ import annotations

from engine.evaluation.subsets import SplitResults
from engine.results import DetectionStats, ImageResult


def split_of(*images: tuple[ImageResult, DetectionStats]) -> SplitResults:
    """What an evaluation of these images gathers."""
    split = SplitResults()
    for result, _ in images:
        split(result)
    split.stats = tuple(stats for _, stats in images)
    return split
