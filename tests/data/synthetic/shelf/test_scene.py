"""Synthetic shelves and close-ups: every object has its box, the boxes fit, and the tail is as long as it is said to be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from data.synthetic.generate import make_synthetic
from data.synthetic.registry import SYNTHETIC
from data.synthetic.shelf.class_counts import FREQUENCY, SCARCE, TRAINING, classes_of
from data.synthetic.shelf.scene import close_up, even_shelf, filled, portrait, train_shelf

SIZE = (160, 120)


@pytest.mark.parametrize("draw", [train_shelf, even_shelf, close_up])
def test_same_seed_same_image(draw) -> None:
    (first, rows), (again, same), (other, _) = draw(5, SIZE), draw(5, SIZE), draw(6, SIZE)
    assert first.shape == (120, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and np.array_equal(rows, same) and not np.array_equal(first, other)


@pytest.mark.slow
def test_every_object_of_a_rare_class_has_its_box() -> None:
    """No rare object is hidden in the training shelves, so the counts of the law, and r, c, f, are those of the labels."""
    rare = {number for number, letter in enumerate(FREQUENCY) if letter == "r"}
    meant, drawn = Counter[int](), Counter[int]()
    for seed in range(TRAINING.images):
        classes = classes_of(TRAINING, seed)
        if rare & set(classes):
            meant.update(classes)
            drawn.update(train_shelf(seed, SIZE)[1][:, 0].astype(int).tolist())
    assert sum(meant.values()) > 300
    assert meant == drawn


def test_boxes_hold_the_things() -> None:
    """One white ball on an otherwise empty shelf, between 18 and 60 px of 320 wide: its box is as bright as nothing else."""
    for seed in range(6):
        image, labels = filled(np.random.default_rng(seed), [("red_ball", 7)], (320, 240))
        ((number, x, y, w, h),) = labels.tolist()
        assert number == 7
        assert 17.5 <= max(w * 320, h * 240) <= 60.5
        assert w * 320 == pytest.approx(h * 240, abs=2)
        red = image[..., 0].astype(int) - image[..., 1:].mean(-1)
        rows, columns = np.nonzero(red > 0.5 * np.percentile(red, 99.9))
        assert [columns.mean() / 320, rows.mean() / 240] == pytest.approx([x, y], abs=0.02)


def test_what_is_in_no_class_has_no_box() -> None:
    objects = [("green_jug", -1), ("red_plate", -1), ("red_jug", 5)]
    assert filled(np.random.default_rng(0), objects, SIZE)[1][:, 0].tolist() == [5]


def test_close_ups_go_round_the_rare_and_common_classes() -> None:
    rows = np.concatenate([close_up(seed, (64, 64))[1] for seed in range(len(SCARCE))])
    assert sorted(rows[:, 0].astype(int)) == sorted(SCARCE)
    assert (rows[:, 1:] == [0.5, 0.5, 1, 1]).all()


def test_portraits_differ_by_what_they_show() -> None:
    """The same draw of everything else: a red ball's middle is red, a blue one's blue."""
    middles = [
        portrait(np.random.default_rng(3), f"{hue}_ball", (80, 80))[30:50, 30:50].mean((0, 1))
        for hue in ("red", "blue")
    ]
    assert [middle.argmax() for middle in middles] == [0, 2]


def test_the_synthetic_has_splits_of_their_own_kind(tmp_path) -> None:
    """`extra` keeps its own size whatever size is asked for, and as many images of each class."""
    assert SYNTHETIC["demo-longtail"].splits["extra"].scenes == 25 * len(SCARCE)
    counts = {"train": 1, "val": 1, "test": 1, "extra": 2}
    make_synthetic("demo-longtail", tmp_path / "w", size=(96, 72), counts=counts, workers=1, progress=False)
    extra = sorted((tmp_path / "w" / "labels" / "extra").iterdir())
    first = 3 * 200_000  # `extra` is the fourth split
    assert [path.read_text() for path in extra] == [
        f"{SCARCE[(first + i) % len(SCARCE)]} 0.500000 0.500000 1.000000 1.000000\n" for i in range(2)
    ]
