"""data.io.pairs: others by stem, sizes equal, every doubt an error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.io.pairs import check_pair_sizes, match_pairs
from utils.errors import UserError


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


@pytest.mark.parametrize(
    ("images", "others", "expected"),
    [
        (["day/2.jpg", "day/1.jpg"], ["night/1.png", "night/2.png"], ["night/2.png", "night/1.png"]),
        (["day/1.jpg"], ["night/1.png", "night/spare.png"], ["night/1.png"]),
        (["day/a/1.jpg", "day/b/1.jpg"], ["night/b/1.jpg", "night/a/1.jpg"], ["night/a/1.jpg", "night/b/1.jpg"]),
        (["day/1.jpg", "day/1.jpg"], ["night/1.jpg"], ["night/1.jpg", "night/1.jpg"]),  # a list may repeat an image
        (["day/1.b.jpg"], ["night/1.b.png", "night/1.png"], ["night/1.b.png"]),
        ([], ["night/1.jpg"], []),
    ],
)
def test_matches(images, others, expected):
    assert match_pairs(paths(*images), paths(*others)) == paths(*expected)


@pytest.mark.parametrize(
    ("images", "others", "message"),
    [
        (["day/1.jpg", "day/2.jpg"], ["night/1.jpg"], "day/2.jpg: no paired image is named '2'"),
        (["day/1.jpg"], [], "day/1.jpg: no paired image"),
        (["day/1.jpg"], ["night/1.jpg", "night/1.png"], "both night/1.jpg and night/1.png could be paired with it"),
        (["day/1.jpg"], ["night/a/1.jpg", "night/b/1.jpg"], "day/1.jpg: both"),
        (["day/1.jpg", "day/2.jpg"], ["day/1.jpg", "day/2.jpg"], "day/1.jpg: is the same file as its paired image"),
        (["day/a/1.jpg", "day/b/1.jpg"], ["night/a/1.jpg"], "paired with both day/a/1.jpg and day/b/1.jpg"),
    ],
)
def test_doubts(images, others, message):
    with pytest.raises(UserError, match=message):
        match_pairs(paths(*images), paths(*others))


def test_sizes(tmp_path, make_image):
    day = [make_image(tmp_path / f"day/{number}.png") for number in range(3)]
    night = [make_image(tmp_path / f"night/{number}.jpg") for number in range(3)]
    check_pair_sizes(day, night)
    make_image(night[1], width=33)
    with pytest.raises(
        UserError, match=r"night/1.jpg: is 33 x 24 px, but the image it is paired with, .*day/1.png, is 32 x 24"
    ):
        check_pair_sizes(day, night)
    night[1].write_bytes(b"damaged")
    check_pair_sizes(day, night)  # training skips such a pair; it is no error
