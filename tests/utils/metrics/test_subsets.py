"""Groups of values, and recall at a precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics.subsets import OTHER, UNKNOWN, Groups, by_value, equal_parts, ranges, recall_at_precision


def test_fifths_of_ten():
    groups = equal_parts(np.arange(10.0)[::-1], "dark", "bright")
    assert groups.of.tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert groups.names[0] == "1/5 dark, 0 to 1" and groups.names[4] == "5/5 bright, 8 to 9"


@pytest.mark.parametrize(
    ("values", "names", "of"),
    [
        ([], (), []),
        ([0.5], ("1/1, 0.5 to 0.5",), [0]),  # a split of one image
        ([2.0] * 7, ("1/1, 2 to 2",), [0] * 7),
        ([1.0, np.nan, 2.0], ("1/2, 1 to 1", "2/2, 2 to 2", UNKNOWN), [0, 2, 1]),
        ([np.nan, np.inf], (UNKNOWN,), [0, 0]),
    ],
)
def test_few_values(values, names, of):
    groups = equal_parts(np.array(values, float))
    assert groups.names == names and groups.of.tolist() == of


@given(st.lists(st.floats(-5, 5) | st.just(float("nan")), max_size=60))
@settings(max_examples=50, deadline=None)
def test_parts_are_ordered_and_whole(values):
    array = np.array(values, float)
    groups = equal_parts(array)
    known = np.isfinite(array)
    assert np.bincount(groups.of, minlength=len(groups.names)).sum() == len(values)
    assert (np.bincount(groups.of, minlength=len(groups.names)) > 0).all()
    assert all(array[known][groups.of[known] < n].max(initial=-9) <= array[known][groups.of[known] >= n].min(initial=9)
               for n in range(5))  # fmt: skip


def test_ranges_hold_their_lower_end():
    groups = ranges(np.array([0, 7.9, 8, 16, 99]), (8, 16), ("tiny", "small", "large"))
    assert groups.of.tolist() == [0, 0, 1, 2, 2]


def test_texts():
    groups = by_value(["fog", "rain", "", "fog", "snow", "rain", "fog"], most=2)
    assert groups.names == ("fog", "rain", OTHER, UNKNOWN)
    assert groups.of.tolist() == [0, 1, 3, 0, 2, 1, 0]
    assert by_value([f"{n}" for n in range(10_000)]).names[-1] == OTHER


def test_crossed():
    one, two = Groups(("a", "b"), np.array([0, 1, 1])), Groups(("x", "y"), np.array([1, 0, 1]))
    both = one.crossed(two)
    assert [both.names[place] for place in both.of] == ["a, y", "b, x", "b, y"]
    assert both.take(np.array([2, 2])).of.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("hit", "scores", "objects", "precision", "recall"),
    [
        ([1, 1, 1], [0.9, 0.8, 0.7], 3, 1.0, 1.0),
        ([1, 0, 1], [0.9, 0.8, 0.7], 2, 0.6, 1.0),  # 1/1, 1/2, 2/3
        ([1, 0, 1], [0.9, 0.8, 0.7], 2, 0.7, 0.5),
        ([0, 1], [0.9, 0.8], 1, 0.9, 0.0),
        ([1, 0], [0.5, 0.5], 1, 0.9, 0.0),  # no threshold parts the two
        ([], [], 2, 0.9, 0.0),
        ([0], [0.5], 0, 0.9, np.nan),
    ],
)
def test_recall_at_precision_by_hand(hit, scores, objects, precision, recall):
    found = recall_at_precision(np.array(hit, bool), np.array(scores, float), objects, precision)
    assert found == pytest.approx(recall, nan_ok=True)
