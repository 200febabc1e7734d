"""Calibration: bins and D-ECE by hand, and that a temperature is found again."""

from __future__ import annotations

import numpy as np
import pytest

from utils.metrics.calibration import detection_ece, fit_temperature, reliability, scaled


@pytest.mark.parametrize(
    ("scores", "hit", "expected"),
    [
        ([1.0, 1.0], [1, 1], 0.0),  # perfect
        ([1.0], [0], 1.0),
        ([0.8, 0.8, 0.8, 0.8, 0.8], [1, 1, 1, 1, 0], 0.0),
        ([0.9, 0.3], [1, 1], (0.1 + 0.7) / 2),
        ([0.1], [0], np.nan),  # below what is used
        ([np.nan, 0.9], [1, 1], 0.1),  # NaN is left out
        ([], [], np.nan),
    ],
)
def test_ece_by_hand(scores, hit, expected):
    assert detection_ece(np.array(scores, float), np.array(hit, bool)) == pytest.approx(expected, nan_ok=True)


def test_bins():
    rows = reliability(np.array([0.26, 0.29, 0.99, 1.0]), np.array([True, False, True, True]))
    assert [(row["from"], row["to"], row["detections"], row["precision"]) for row in rows] == [
        (0.25, 0.3, 2, 0.5),
        (0.95, 1.0, 2, 1.0),
    ]
    assert rows[0]["confidence"] == pytest.approx(0.275)


def test_a_temperature_of_two_is_found():
    """Detections are right as often as confidences say; these are then sharpened: logits times two."""
    rng = np.random.default_rng(0)
    true = rng.uniform(0.3, 0.98, 20000)
    hit = rng.random(20000) < true
    sharp = scaled(true, 0.5)
    temperature = fit_temperature(sharp, hit, lowest=0)
    assert temperature == pytest.approx(2, rel=0.05)
    assert scaled(sharp, temperature) == pytest.approx(true, abs=0.02)
    assert detection_ece(scaled(sharp, temperature), hit, lowest=0) < 0.02 < detection_ece(sharp, hit, lowest=0)


def test_order_stays():
    scores = np.linspace(0, 1, 50)
    assert (np.diff(scaled(scores, 3.0)) >= 0).all()
    assert scaled(np.array([0.5]), 7.0)[0] == 0.5


@pytest.mark.parametrize(("hit", "limit"), [(True, 0.1), (False, 10.0)])
def test_all_right_or_all_wrong_ends_at_a_limit(hit, limit):
    assert fit_temperature(np.full(30, 0.8), np.full(30, hit)) == pytest.approx(limit)


def test_too_few():
    with pytest.raises(ValueError, match="at least 20"):
        fit_temperature(np.full(19, 0.8), np.ones(19, bool))
