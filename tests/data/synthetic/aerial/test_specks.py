"""The synthetic data set of specks: repeatable, small, apart, and where the labels say."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.aerial.specks import NAMES, SIDES, _paint, specks


def test_the_same_seed_draws_the_same() -> None:
    one, again, other = specks(1, (96, 64)), specks(1, (96, 64)), specks(2, (96, 64))
    assert np.array_equal(one[0], again[0]) and np.array_equal(one[1], again[1])
    assert one[0].shape == (64, 96, 3) and not np.array_equal(one[0], other[0])


def test_sizes_and_places() -> None:
    """Every side between 5 and 11 px, boxes inside, no two closer than half their sides."""
    for seed in range(20):
        labels = specks(seed, (160, 160))[1]
        side, middle = labels[:, 3] * 160, labels[:, 1:3] * 160
        assert ((side >= SIDES[0] - 1e-3) & (side <= SIDES[1] + 1e-3)).all() and len(labels) <= 11
        assert (labels[:, 1:3] - labels[:, 3:] / 2 > 0).all() and (labels[:, 1:3] + labels[:, 3:] / 2 < 1).all()
        apart = np.abs(middle[:, None] - middle[None]).max(2) + 99 * np.eye(len(middle))
        assert (apart > (side[:, None] + side[None]) / 2).all()


@pytest.mark.parametrize("kind", range(len(NAMES)))
def test_a_shape_fills_its_box(kind: int) -> None:
    """8 px about (10, 12): columns 6 to 14 and rows 8 to 16, to a dot (a quarter of a pixel)."""
    ground = np.zeros((96, 80, 3), np.float32)
    _paint(ground, kind, (10.0, 12.0), 8.0, (200.0, 0.0, 0.0))
    rows, columns = np.flatnonzero(ground[..., 0].max(1) > 100), np.flatnonzero(ground[..., 0].max(0) > 100)
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / 4
    np.testing.assert_allclose(found, [6, 8, 14, 16], atol=0.5)
