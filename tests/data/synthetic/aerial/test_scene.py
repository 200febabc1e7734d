"""The synthetic data set from above: repeatable, labelled tightly, and made mostly of objects of a few pixels."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.aerial.canvas import FINER, MARGIN
from data.synthetic.aerial.scene import NAMES, image_from_above, land, person, vehicle

SIZE = (160, 160)


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, np.ndarray]]:
    return [image_from_above(seed, SIZE) for seed in range(40)]


def sides(scenes: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """sqrt(w * h) of every object, px."""
    labels = np.concatenate([labels for _, labels in scenes])
    return np.sqrt(labels[:, 3] * labels[:, 4]) * SIZE[0]


def test_the_same_seed_draws_the_same(scenes) -> None:
    image, labels = image_from_above(3, SIZE)
    assert np.array_equal(image, scenes[3][0]) and np.array_equal(labels, scenes[3][1])
    assert not np.array_equal(image, scenes[4][0])


@pytest.mark.parametrize("size", [(64, 96), (200, 120)])
def test_other_sizes(size: tuple[int, int]) -> None:
    image, labels = image_from_above(1, size)
    assert image.shape == (size[1], size[0], 3) and image.dtype == np.uint8
    assert labels.shape[1] == 5


def test_most_objects_are_tiny_and_some_are_large(scenes) -> None:
    found = sides(scenes)
    assert (found < 12).mean() > 0.7 and (found < 8).mean() > 0.4
    assert 0.02 < (found > 24).mean() < 0.15
    assert 2.0 <= found.min() < found.max() < 48
    assert 8 < len(found) / len(scenes) < 25


def test_every_class_is_there_often_enough(scenes) -> None:
    """150 or more of each among the 320 training scenes: 19 or more in 40."""
    counts = np.bincount(np.concatenate([labels[:, 0] for _, labels in scenes]).astype(int), minlength=len(NAMES))
    assert counts.min() >= 19


def test_boxes_lie_inside_the_image(scenes) -> None:
    labels = np.concatenate([labels for _, labels in scenes])
    low, high = labels[:, 1:3] - labels[:, 3:] / 2, labels[:, 1:3] + labels[:, 3:] / 2
    assert low.min() > -1e-6 and high.max() < 1 + 1e-6


@pytest.mark.parametrize("draw_object", [vehicle, person])
def test_a_box_holds_the_paint_and_not_the_shadow(draw_object) -> None:
    """What became lighter or coloured lies in the box; the shadow beside it only became darker."""
    ground = land(5, SIZE)
    ground.dots[:] = 0.5
    draw_object(ground, (80.0, 80.0), 0.3)
    changed = np.ptp(ground.dots, axis=2) + (ground.dots.max(2) > 0.51) > 0.05
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    _, x, y, width, height = ground.labels[0]
    left, top = columns[0] / FINER - MARGIN, rows[0] / FINER - MARGIN
    right, bottom = (columns[-1] + 1) / FINER - MARGIN, (rows[-1] + 1) / FINER - MARGIN
    assert (x - width / 2) * 160 - left < 0.6 and (y - height / 2) * 160 - top < 0.6
    assert right - (x + width / 2) * 160 < 0.6 and bottom - (y + height / 2) * 160 < 0.6
    assert (ground.dots.max(2) < 0.3).any(), "a shadow"


def test_objects_do_not_lie_on_each_other(scenes) -> None:
    """Middles of boxes of one image are never nearer than 1.5 px."""
    for _, labels in scenes:
        middle = labels[:, 1:3] * SIZE[0]
        apart = np.linalg.norm(middle[:, None] - middle[None], axis=2) + 100 * np.eye(len(middle))
        assert apart.min(initial=100) > 1.5
