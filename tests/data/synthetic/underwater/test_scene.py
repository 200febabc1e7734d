"""The sea floor: the geometry of the view by hand, animals where the labels say, and what hides them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.synthetic.underwater.animals import KINDS, Patch
from data.synthetic.underwater.scene import (
    FINER,
    LEAST_SEEN,
    NAMES,
    SIDES,
    SeaFloor,
    View,
    _animals,
    _edge,
    _Scene,
    _span,
    draw_sea,
)

SIZE = (160, 120)
DOWN = View(SIZE, 150.0, 1.2, math.pi / 2)
OBLIQUE = View(SIZE, 150.0, 1.0, math.pi / 4)
SPOT = (50.0 * FINER, 40.0 * FINER)  # where most tests put something


@pytest.fixture(scope="module")
def floors() -> list[SeaFloor]:
    return [draw_sea(seed, SIZE) for seed in range(12)]


def bare(seed: int = 0, view: View = DOWN) -> _Scene:
    """A scene without anything on its floor, which is level and seen straight from above."""
    scene = _Scene(seed, SIZE)
    scene.view, scene.height[:], scene.colour[:], scene.grit[:] = view, 0, 0.3, 1
    return scene


def disc(_: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Patch:
    """A flat red disc that fills its length."""
    inside = np.hypot(u, v) < 1
    return Patch(inside, np.zeros_like(inside, np.float32), np.broadcast_to((0.9, 0.0, 0.0), (*inside.shape, 3)))


def middle_of(values: np.ndarray) -> float:
    """Mean of the four dots about the optical axis."""
    row, column = values.shape[0] // 2, values.shape[1] // 2
    return float(values[row - 1 : row + 1, column - 1 : column + 1].mean())


@pytest.mark.parametrize(("view", "metres"), [(DOWN, 1.2), (OBLIQUE, math.sqrt(2))])
def test_the_way_to_the_middle(view, metres):
    """Straight down it is the altitude; at 45 degrees 1 m / sin 45."""
    assert middle_of(view.distance()) == pytest.approx(metres, rel=1e-3)


@pytest.mark.parametrize(("view", "ahead"), [(DOWN, 0.0), (OBLIQUE, 1.0)])
def test_the_floor_in_the_middle(view, ahead):
    """Under the camera, or 1 m / tan 45 before it; one row up lies farther ahead."""
    right, forward = view.floor()
    assert middle_of(right) == pytest.approx(0, abs=1e-4) and middle_of(forward) == pytest.approx(ahead, abs=1e-3)
    assert (np.diff(forward[:, 5]) < 0).all()


def test_way_and_place_agree():
    """Pythagoras: right^2 + ahead^2 + altitude^2 is the way squared."""
    right, ahead = OBLIQUE.floor()
    np.testing.assert_allclose(np.sqrt(right**2 + ahead**2 + 1), OBLIQUE.distance(), rtol=1e-4)


@pytest.mark.parametrize(
    ("view", "dots", "sine"),
    [
        (DOWN, 150 * FINER / 1.2, 1.0),
        (OBLIQUE, 150 * FINER * math.sin(math.pi / 4), math.sin(math.pi / 4)),
    ],
)
def test_scale_in_the_middle(view, dots, sine):
    """focal / depth, and depth at 45 degrees is 1 / sin 45."""
    found = view.scale(SIZE[1] * FINER / 2 - 0.5)
    assert found == pytest.approx((dots, sine))


@pytest.mark.parametrize(
    ("at", "half", "end", "expected"),
    [(10.0, 3.0, 50, (7, 14)), (1.0, 3.0, 50, (0, 5)), (49.5, 9.0, 50, (40, 50)), (-9.0, 1.0, 50, (0, 1))],
)
def test_span_stays_inside(at, half, end, expected):
    assert _span(at, half, end) == slice(*expected)


def test_a_label_holds_what_was_put():
    """0.2 m at 150 px / 1.2 m are 25 px about pixel (50, 40): a box of 25 x 25 px, to a dot or two."""
    scene = bare()
    scene.put(disc, SPOT, 0.2, 0.0, kind=2)
    (label,) = scene.labels()
    assert label[0] == 2
    np.testing.assert_allclose(label[1:] * [*SIZE, *SIZE], [50, 40, 25, 25], atol=0.7)


@pytest.mark.parametrize(("covered", "width"), [(0.0, 25), (0.5, 12.5), (0.62, 9.5)])
def test_a_label_shrinks_to_what_is_seen(covered, width):
    """The left part of a disc, under weed, is no part of its box: of 25 px the rest is left."""
    scene = bare()
    scene.put(disc, SPOT, 0.2, 0.0, kind=0)
    scene.owner[:, : round((37.5 + 25 * covered) * FINER)] = -1
    assert scene.labels()[0, 3] * SIZE[0] == pytest.approx(width, abs=0.7)


def test_what_hardly_shows_has_no_label():
    """Of a disc's area less than 0.3 is seen beyond 0.65 of its width (0.3 radii from the middle): 0.312; at 0.68: 0.276.

    A circle's share beyond d radii: (acos d - d sqrt(1 - d^2)) / pi, d = 2 * 0.65 - 1 = 0.3 and 2 * 0.68 - 1 = 0.36.
    """
    for covered, labels in ((0.65, 1), (0.68, 0)):
        d = 2 * covered - 1
        assert ((math.acos(d) - d * math.sqrt(1 - d * d)) / math.pi > LEAST_SEEN) == bool(labels)
        scene = bare()
        scene.put(disc, SPOT, 0.2, 0.0, kind=0)
        scene.owner[:, : round((37.5 + 25 * covered) * FINER)] = -1
        assert len(scene.labels()) == labels


def test_a_stone_is_no_animal_and_hides_one():
    scene = bare()
    scene.put(disc, SPOT, 0.1, 0.0, kind=0)
    scene.put(disc, SPOT, 0.2, 0.0)
    assert scene.kinds == [0] and len(scene.labels()) == 0


def test_buried_objects_show_one_side():
    """Half buried: about half of the disc's dots, on one side of a wavy line through its middle."""
    scene = bare()
    scene.put(disc, SPOT, 0.2, 0.0, kind=0, buried=0.5)
    assert (scene.owner == 0).sum() / scene.whole[0] == pytest.approx(0.5, abs=0.1)
    u, v = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    assert np.abs(_edge(np.random.default_rng(0), u, v)).max() < math.sqrt(2) + 0.081


def test_weed_hides_and_is_not_labelled():
    scene = bare()
    scene.put(disc, SPOT, 0.2, 0.0, kind=0)
    before = int((scene.owner == 0).sum())
    scene.weed(SPOT, 0.2)
    assert 0.3 * before < (scene.owner == 0).sum() < before and scene.kinds == [0]


def test_animals_are_of_the_sizes_meant_and_apart():
    for seed in range(6):
        scene = _Scene(seed, SIZE)
        found = [(x, y, length * scene.view.scale(y)[0]) for (x, y), _, length in _animals(scene)]
        assert all(SIDES[0] * FINER / 2 < side < SIDES[1] * FINER / 2 for *_, side in found)
        assert [y for _, y, _ in found] == sorted(y for _, y, _ in found), "far to near"
        for i, (x, y, side) in enumerate(found):
            assert all(math.hypot(x - a, y - b) > 0.375 * (side + other) for a, b, other in found[:i])


def test_the_same_seed_draws_the_same(floors):
    again = draw_sea(2, SIZE)
    for name in ("reflected", "distance", "ripple", "labels"):
        assert np.array_equal(getattr(again, name), getattr(floors[2], name))
    assert not np.array_equal(again.reflected, floors[3].reflected)


def test_floors_are_whole(floors):
    for floor in floors:
        assert floor.reflected.shape == (120, 160, 3) and floor.distance.shape == floor.ripple.shape == (120, 160)
        assert 0 < floor.reflected.min() < floor.reflected.max() < 2
        assert 0.2 < floor.distance.min() < floor.distance.max() < 6
        assert floor.ripple.mean() == pytest.approx(0, abs=0.01)


def test_labels_lie_inside_and_every_class_comes(floors):
    labels = np.concatenate([floor.labels for floor in floors])
    low, high = labels[:, 1:3] - labels[:, 3:] / 2, labels[:, 1:3] + labels[:, 3:] / 2
    assert low.min() > -1e-6 and high.max() < 1 + 1e-6
    assert np.bincount(labels[:, 0].astype(int), minlength=len(NAMES)).min() >= 5
    assert tuple(KINDS) == NAMES == ("echinus", "holothurian", "scallop", "starfish")
    longer = np.maximum(labels[:, 3] * SIZE[0], labels[:, 4] * SIZE[1])
    assert 5 < np.median(longer) < 20 and longer.max() <= SIDES[1] / 2 + 1  # sides are of images 320 px wide


@pytest.mark.parametrize("size", [(64, 96), (96, 72)])
def test_other_sizes(size):
    floor = draw_sea(1, size)
    assert floor.reflected.shape == (size[1], size[0], 3) and floor.labels.shape[1] == 5
