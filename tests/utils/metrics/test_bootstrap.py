"""Paired bootstrap: intervals by hand, what is paired and what is not, and average precision under resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics.bootstrap import (
    Interval,
    Matches,
    average_precision,
    crossed_bootstrap,
    paired_bootstrap,
    resample_weights,
    resampled_map,
)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.2, "better"),
        (-0.2, -0.1, "worse"),
        (-0.1, 0.1, "no difference shown"),
        (0.0, 0.1, "no difference shown"),  # zero is an answer
        (float("nan"), float("nan"), "no difference shown"),
    ],
)
def test_verdict(low, high, verdict):
    assert Interval(0.0, low, high).verdict == verdict


def test_equal_differences_leave_no_width():
    """0.2 - 0.1 in every pair, however the pairs are drawn; that the values themselves wander does not matter."""
    interval = paired_bootstrap([0.2, 0.5, 0.9], [0.1, 0.4, 0.8])
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.1, 0.1, 0.1))
    assert interval.verdict == "better"


def test_two_pairs_by_hand():
    """Differences 0 and 1: drawn means are 0 (1/4), 0.5 (1/2) and 1 (1/4), so the 95 % interval is all of [0, 1]."""
    interval = paired_bootstrap([1.0, 3.0], [1.0, 2.0])
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert interval.contains_zero
    narrow = paired_bootstrap([1.0, 3.0], [1.0, 2.0], level=0.4)  # 30 % to 70 %: inside the half that is 0.5
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_many_pairs_come_near_the_normal_interval():
    """Mean difference 0.1, sd 1, 400 pairs: 0.1 +- 1.96 / 20, to the noise of drawing."""
    differences = np.random.default_rng(1).normal(0, 1, 400)
    differences = (differences - differences.mean()) / differences.std() + 0.1
    interval = paired_bootstrap(differences, np.zeros(400))
    assert interval.mean == pytest.approx(0.1)
    assert (interval.low, interval.high) == pytest.approx((0.1 - 0.098, 0.1 + 0.098), abs=0.006)


def test_one_pair_shows_nothing():
    interval = paired_bootstrap([0.9], [0.1])
    assert interval.mean == pytest.approx(0.8)
    assert interval.verdict == "no difference shown"


def test_seed_decides():
    a, b = np.arange(5.0), np.arange(5.0)[::-1]
    assert paired_bootstrap(a, b, seed=3, samples=50) == paired_bootstrap(a, b, seed=3, samples=50)
    assert paired_bootstrap(a, b, seed=3, samples=50) != paired_bootstrap(a, b, seed=4, samples=50)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_no_pairs_is_an_error(a, b):
    with pytest.raises(ValueError, match="equal"):
        paired_bootstrap(a, b)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.lists(st.floats(-1, 1), min_size=6, max_size=6))
@settings(max_examples=30, deadline=None)
def test_interval_lies_within_the_differences(a, b):
    differences = np.subtract(a, b[: len(a)])
    interval = paired_bootstrap(a, b[: len(a)], samples=200)
    slack = 1e-9
    assert differences.min() - slack <= interval.low <= interval.high <= differences.max() + slack
    turned = paired_bootstrap(b[: len(a)], a, samples=200)
    assert (turned.low, turned.high) == pytest.approx((-interval.high, -interval.low))


def test_crossed_cancels_what_both_runs_share():
    """The resample shifts both runs alike, the difference is 0.1 for every seed: no width."""
    shift = np.random.default_rng(0).normal(0, 1, (1, 200))
    interval = crossed_bootstrap(0.6 + np.tile(shift, (3, 1)), 0.5 + np.tile(shift, (3, 1)), 0.1)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.1, 0.1, 0.1))


def test_crossed_counts_seeds_and_images():
    """Images alone spread the difference by sd 0.1; two seeds at 0 and 1 spread it far more."""
    noise = np.random.default_rng(0).normal(0, 0.1, 2000)
    a, b = np.stack([noise, noise + 1]), np.zeros((2, 2000))
    images_only = crossed_bootstrap(a, b, 0.5, seeds_too=False)
    assert (images_only.low, images_only.high) == pytest.approx((0.5 - 0.196, 0.5 + 0.196), abs=0.02)
    both = crossed_bootstrap(a, b, 0.5)
    assert both.low < 0 < 1 < both.high


def test_crossed_with_one_seed_needs_the_images():
    table = np.random.default_rng(0).normal(1, 0.1, (1, 100))
    assert crossed_bootstrap(table, 0 * table, 1.0).contains_zero
    assert crossed_bootstrap(table, 0 * table, 1.0, seeds_too=False).verdict == "better"
    with pytest.raises(ValueError, match="equal"):
        crossed_bootstrap(table, table[:, :5], 0.0)


@pytest.mark.parametrize(
    ("right", "counts", "objects", "expected"),
    [
        ([1], [1], 1, 0.995),  # all found: 100 of the 101 steps at 1, half a step at the end
        ([1], [1], 2, 0.5),  # recall stops at 1/2, precision 1 until there
        ([0, 1], [1, 1], 1, 0.5 * 0.995),  # a wrong one first: precision 1/2
        ([0, 1], [0, 1], 1, 0.995),  # the wrong one is not in this resample
        ([0, 1], [2, 2], 2, 0.5 * 0.995),  # every image twice changes nothing
        ([0], [3], 1, 0.0),
        ([], [], 1, 0.0),
        ([1], [0], 1, 0.0),  # nothing drawn
    ],
)
def test_average_precision_by_hand(right, counts, objects, expected):
    area = average_precision(np.array(right, bool), np.array([counts], int), np.array([objects]))
    assert area == pytest.approx([expected], abs=0.006 if objects == 2 and len(right) == 1 else 1e-9)


def random_matches(seed: int, images: int = 8, classes: int = 3) -> tuple[Matches, list[np.ndarray]]:
    """Matches, and the rows of each image's detections."""
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(0, images, 60))
    objects = rng.integers(0, 4, (images, classes))
    matches = Matches(rng.random(60) < 0.5, rng.permutation(60) / 60, rng.integers(0, classes, 60), owner, objects)
    return matches, [np.flatnonzero(owner == number) for number in range(images)]


@pytest.mark.parametrize("seed", range(5))
def test_weights_mean_what_repeating_images_means(seed):
    """Ultralytics' own average precision over a set in which images stand several times."""
    from ultralytics.utils.metrics import ap_per_class

    matches, rows = random_matches(seed)
    weights = resample_weights(8, 4, seed)
    for number, drawn in enumerate(weights):
        chosen = np.concatenate([np.tile(rows[p], count) for p, count in enumerate(drawn)]).astype(int)
        targets = np.repeat(np.tile(np.arange(3), 8), (matches.objects * drawn[:, None]).ravel())
        tp = np.repeat(matches.true_positive[chosen][:, None], 10, 1)
        theirs = ap_per_class(tp, matches.conf[chosen], matches.cls[chosen], targets)[5]
        assert resampled_map(matches, weights)[number] == pytest.approx(theirs[:, 0].mean(), abs=1e-9)


def test_classes_without_an_object_in_the_resample_do_not_count():
    """Image 0 has class 0, found; image 1 has class 1, missed: 0.995, 0, and (0.995 + 0) / 2 for both."""
    matches = Matches(np.array([True]), np.array([0.9]), np.array([0]), np.array([0]), np.array([[1, 0], [0, 1]]))
    assert resampled_map(matches, np.array([[2, 0], [0, 2], [1, 1]])) == pytest.approx([0.995, 0.0, 0.4975])


def test_resample_weights_draw_as_many_as_there_are():
    weights = resample_weights(7, 300, seed=1)
    assert weights.shape == (300, 7)
    assert (weights.sum(1) == 7).all()
    assert weights.mean(0) == pytest.approx(np.ones(7), abs=0.2)
    assert (weights == resample_weights(7, 300, seed=1)).all()
