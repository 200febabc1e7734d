"""A data set, read once."""

from __future__ import annotations

import pytest

from data.checks.survey import changed, role_of
from tests.data.checks.sets import surveyed, write_clean_set
from utils.errors import UserError


def test_splits_labels_and_roles(tmp_path):
    found = surveyed(write_clean_set(tmp_path, pair=True, train=3, val=2), "pair")
    assert {
        name: (split.role, len(split.images), len(split.labels), split.paired) for name, split in found.splits.items()
    } == {
        "train": ("train", 3, 3, False),
        "pair": ("unlabelled", 3, 0, True),
        "val": ("val", 2, 2, False),
    }
    assert found.images == 8 and [*found.labelled] == ["train", "val"]
    assert [role_of(split) for split in ("extra", "val2", "test9", "reference")] == [
        "train",
        "val",
        "test",
        "unlabelled",
    ]


def test_a_split_without_a_usable_image_is_refused(tmp_path):
    file = write_clean_set(tmp_path, train=2, val=1)
    (tmp_path / "images" / "val" / "val000.jpg").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"'val' split has no usable image of 1; the first, .*val000.jpg: an empty file"
    ):
        surveyed(file)


def test_images_that_change_or_vanish_are_told(tmp_path):
    found = surveyed(write_clean_set(tmp_path, train=3, val=1))
    (tmp_path / "images" / "train" / "train001.jpg").write_bytes(b"other")
    (tmp_path / "images" / "train" / "train002.jpg").unlink()
    assert [path.name for path in changed(found)] == ["train001.jpg", "train002.jpg"]
