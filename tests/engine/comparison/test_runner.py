"""What a comparison keeps of each image, and what earlier versions kept."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from engine.comparison.runner import _fingerprint_in, _load_images, _matches_file, _save_images
from engine.results import ClassificationStats, DetectionStats, Report

STATS = (ClassificationStats("a.png", True, True), ClassificationStats("b.png", False, True))
REPORT = Report("night", "test", 2, 2, {"top1": 0.5, "top5": 1.0}, [], {}, STATS)


def test_classifiers_images_come_back(tmp_path):
    _save_images(tmp_path / "row.json", REPORT)
    assert _load_images(tmp_path / "row.json", vars(REPORT)) == STATS


def test_classifiers_images_of_earlier_versions_are_read(tmp_path):
    """They stood in a detector's record: column 0 of `tp` was top-1, the others top-5."""
    tp = np.array([[True] * 10, [False] + [True] * 9])
    ones = dict.fromkeys(("conf", "pred_cls", "target_cls", "detections", "objects"), np.ones(2, int))
    np.savez(_matches_file(tmp_path / "row.json", "test"), tp=tp, files=np.array(["a.png", "b.png"]), **ones)
    assert _load_images(tmp_path / "row.json", vars(REPORT)) == STATS


def test_detectors_images_come_back(tmp_path):
    images = tuple(
        DetectionStats(name, np.ones((n, 10), bool), np.linspace(1, 0.5, n), np.zeros(n), np.zeros(2))
        for name, n in (("a.png", 3), ("b.png", 0))
    )
    report = Report("night", "test", 2, 4, {"mAP50": 0.5}, [], {}, images)
    _save_images(tmp_path / "row.json", report)
    for image, again in zip(images, _load_images(tmp_path / "row.json", vars(report)), strict=True):
        for (key, value), other in zip(asdict(image).items(), asdict(again).values(), strict=True):
            np.testing.assert_array_equal(value, other, err_msg=key)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_mark_is_that_of_no_run(tmp_path, content):
    (tmp_path / "compare.json").write_bytes(content)
    assert _fingerprint_in(tmp_path / "compare.json") == ""
