"""Who stands on which shelf: exact counts, a long tail to learn from, equal shares to measure with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data.synthetic.shelf.class_counts import EVEN, FREQUENCY, OBJECTS, SCARCE, TRAINING, Law, classes_of
from data.synthetic.shelf.objects import FORMS, NAMES, SURFACES
from utils.files import load_yaml


def test_the_three_groups() -> None:
    """LVIS's borders: r in at most 10 training images, c in at most 100, f in more."""
    assert Counter(FREQUENCY) == {"r": 12, "c": 14, "f": 14}
    for letter, low, high in (("r", 1, 10), ("c", 11, 100), ("f", 101, 360)):
        counts = [count for count, found in zip(TRAINING.quotas, FREQUENCY, strict=True) if found == letter]
        assert low <= min(counts) <= max(counts) <= high
    assert [FREQUENCY[number] for number in SCARCE].count("f") == 0 and len(SCARCE) == 26


def test_every_form_and_surface_is_among_the_frequent() -> None:
    words = {word for name, letter in zip(NAMES, FREQUENCY, strict=True) if letter == "f" for word in name.split("_")}
    assert words == {*FORMS, *SURFACES}


@pytest.mark.parametrize("law", [TRAINING, EVEN])
@pytest.mark.parametrize("first", [0, 200_000, 1_000_007])
def test_counts_are_exact_wherever_one_begins(law: Law, first: int) -> None:
    seen = Counter(number for seed in range(first, first + law.images) for number in classes_of(law, seed))
    assert tuple(seen[number] for number in range(len(NAMES))) == law.quotas


@pytest.mark.parametrize("law", [TRAINING, EVEN])
def test_no_class_comes_twice_and_images_are_neither_bare_nor_crowded(law: Law) -> None:
    images = [classes_of(law, seed) for seed in range(law.images)]
    assert all(len(set(numbers)) == len(numbers) for numbers in images)
    assert min(map(len, images)) >= OBJECTS[0] - 3 and max(map(len, images)) <= OBJECTS[1] + 3


def test_the_data_yaml_says_the_same(root: Path) -> None:
    content = load_yaml(root / "data" / "demo-longtail.yaml")
    assert tuple(content["frequency"]) == FREQUENCY
    assert tuple(content["names"].values()) == NAMES
