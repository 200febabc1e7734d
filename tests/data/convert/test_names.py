"""data.convert.names: one name per image, with folders only where they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.convert.names import LONGEST, distinct_stems


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["a/1.jpg", "b/2.jpg"], ["1", "2"]),
        (["a/1.jpg", "b/1.jpg", "b/2.jpg"], ["a_1", "b_1", "2"]),
        (["x/a/1.jpg", "x/b/1.jpg"], ["a_1", "b_1"]),
        (["x/a/1.jpg", "x/b/1.jpg", "y/2.jpg"], ["x_a_1", "x_b_1", "2"]),  # counted from the folder of all
        (["1.jpg", "a/1.jpg"], ["1", "a_1"]),
        (["a/1.jpg", "a/1.jpg"], ["1", "1"]),  # one image
        (["a/1.jpg", "a/1.png"], ["1", "1"]),  # one folder
        (["a/1.jpg", "a/1.png", "b/1.jpg"], ["a_1", "a_1", "b_1"]),
        (["a/1.jpg", "b/1.jpg", "a_1.jpg"], ["a_1_2", "b_1", "a_1"]),
        (["a/b/1.jpg", "a_b/1.jpg"], ["a_b_1", "a_b_1_2"]),
        ([], []),
    ],
)
def test_names_by_hand(images, expected):
    paths = [Path(image) for image in images]
    assert distinct_stems(paths, [path.stem for path in paths]) == expected
    assert distinct_stems([Path("/set") / path for path in paths], [path.stem for path in paths]) == expected


def test_long_folders_are_cut():
    paths = [Path("a" * 200, "1.jpg"), Path("b" + "a" * 199, "1.jpg")]
    first, second = distinct_stems(paths, ["1", "1"])
    assert first == "a" * (LONGEST - 2) + "_1" and second == f"{first}_2"
