"""data.convert.split_folders: which split the folders below a data set's own say."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.convert.split_folders import folder_split


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("set/train/images/1.jpg", "train"),
        ("set/Valid/1.jpg", "val"),
        ("set/testing/validation/1.jpg", "val"),  # the nearest
        ("set/test.jpg", None),
        ("set/my-test/1.jpg", None),
        ("elsewhere/test/1.jpg", None),
    ],
)
def test_the_nearest_folder_below_the_source(file, split):
    assert folder_split(Path("/test", file), Path("/test/set")) == split
