"""Splits unlike train."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from data.checks.shift import Shift, compared, kind_of, rank_p, shift_findings
from tests.data.checks.sets import surveyed, write_clean_set


def test_rank_test_by_hand():
    """1 2 3 against 4 5 6: every pair is larger, U = 9 of 9, its spread sqrt(9 * 7 / 12) = 2.291: z = 4.5 / 2.291."""
    shift = compared(np.array([1.0, 2, 3]), np.array([4.0, 5, 6]))
    assert shift == Shift(2, 5, 1, pytest.approx(math.erfc(4.5 / math.sqrt(9 * 7 / 12) / math.sqrt(2))))


def test_ties_and_single_values_prove_nothing():
    assert rank_p(0.5, np.ones(10), 5, 5) == 1
    one = compared(np.arange(100.0), np.array([1000.0]))
    assert one is not None and one.p > 0.05 and kind_of("light", one) is None
    assert compared(np.array([np.nan]), np.array([1.0])) is None


@pytest.mark.parametrize(
    ("shift", "kind"),
    [
        (Shift(0.4, 0.2, -0.9, 1e-9), "shift-dark"),
        (Shift(0.2, 0.4, 0.9, 1e-9), "shift-bright"),
        (Shift(0.4, 0.35, -0.9, 1e-9), None),  # 1.14 times: certain, but too little
        (Shift(0.4, 0.2, -0.5, 1e-9), None),  # the two overlap
        (Shift(0.4, 0.2, -0.9, 1e-3), None),  # may be chance
    ],
)
def test_a_difference_must_be_certain_large_and_felt(shift, kind):
    assert kind_of("light", shift) == kind


CHANGES = {
    "shift-dark": lambda p, g: (p * 0.3).astype(np.uint8),
    "shift-haze": lambda p, g: (0.3 * p + 0.7 * 220).astype(np.uint8),
    "shift-blur": lambda p, g: cv2.GaussianBlur(p, (0, 0), 2),
    "shift-noise": lambda p, g: np.clip(p + g.normal(0, 20, p.shape), 0, 255).astype(np.uint8),
    "shift-low-resolution": lambda p, g: cv2.resize(cv2.GaussianBlur(p, (0, 0), 2), (32, 24)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_changed_splits(tmp_path, kind):
    file, generator = write_clean_set(tmp_path, ".png"), np.random.default_rng(0)
    for path in sorted((tmp_path / "images" / "val").iterdir()):
        cv2.imwrite(str(path), CHANGES[kind](cv2.imread(str(path)), generator))
    findings = {finding.kind: finding for finding in shift_findings(surveyed(file), 64)}
    assert kind in findings
    if kind != "shift-low-resolution":  # so few pixels are other scenes
        assert [*findings] == [kind]
    finding = findings[kind]
    assert finding.split == "val"
    assert finding.numbers["p"] < 1e-4 and abs(finding.numbers["delta"]) > 0.6


def test_equal_splits_and_smaller_objects(tmp_path):
    file = write_clean_set(tmp_path)
    assert [*shift_findings(surveyed(file), 64)] == []
    for label in (tmp_path / "labels" / "val").iterdir():
        label.write_text("0 0.5 0.5 0.1 0.1\n")
    (finding,) = shift_findings(surveyed(file), 64)
    assert finding.kind == "shift-small-objects" and finding.what.startswith("the objects of val are 4.")
