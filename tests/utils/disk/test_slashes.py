"""Entries that Windows wrote."""

from __future__ import annotations

import pytest

from utils.disk.slashes import with_slashes


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (r"images\train", "images/train"),
        (r"..\other", "../other"),
        ("images/train", "images/train"),
        (r"a\b", r"a\b"),  # a name of its own
        ("a\\" + 300 * "b", "a/" + 300 * "b"),  # no file system can have it
    ],
)
def test_backslashes(tmp_path, entry, expected):
    (tmp_path / r"a\b").touch()
    assert with_slashes(tmp_path, entry) == expected
