"""Paired images that do not match."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.checks.pairs import pair_findings
from tests.data.checks.sets import scene, surveyed, write_clean_set


@pytest.fixture
def paired(tmp_path):
    return write_clean_set(tmp_path, pair=True, train=6, val=1)


def found(file) -> dict[str, list[str]]:
    return {f.kind: [place.file.name for place in f.places] for f in pair_findings(surveyed(file, "pair"))}


def test_pairs_that_match(paired):
    assert found(paired) == {}


def test_missing_ambiguous_resized_and_exchanged_pairs(paired):
    night = paired.parent / "images" / "train_night"
    (night / "train000.jpg").unlink()
    cv2.imwrite(str(night / "train001.png"), scene(np.random.default_rng(9)))
    cv2.imwrite(str(night / "train002.jpg"), cv2.resize(cv2.imread(str(night / "train002.jpg")), (32, 24)))
    first, second = ((night / f"train00{number}.jpg").read_bytes() for number in (3, 4))
    (night / "train003.jpg").write_bytes(second)
    (night / "train004.jpg").write_bytes(first)
    assert found(paired) == {
        "pair-missing": ["train000.jpg", "train001.jpg"],
        "pair-size": ["train002.jpg"],
        "pair-content": ["train003.jpg", "train004.jpg"],
    }
