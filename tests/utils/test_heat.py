"""Maps over images."""

from __future__ import annotations

import numpy as np
import pytest

from utils.heat import heat_colours, paint_heat


def test_colours_rise_from_dark_to_light() -> None:
    """Values outside [0, 1] are cut, what is no number counts as 0."""
    heat = np.array([[-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 7.0, np.nan]])
    colours = heat_colours(heat)
    light = colours[0].mean(1)
    assert colours.shape == (1, 8, 3) and colours.dtype == np.uint8
    assert (np.diff(light[1:6]) > 0).all()
    assert light[0] == light[1] == light[7] and light[5] == light[6]


@pytest.mark.parametrize(
    ("opacity", "expected"),
    [
        (0.0, [128, 128, 128]),  # nothing but the greys of the image
        (1.0, [4, 0, 0]),  # nothing but the colour of 0
        (0.25, [97, 96, 96]),  # 0.25 x 4 + 0.75 x 128 = 97; 0.75 x 128 = 96
    ],
)
def test_blending_by_hand(opacity: float, expected: list[int]) -> None:
    image = np.full((2, 3, 3), 128, np.uint8)
    painted = paint_heat(image, np.zeros((2, 3)), opacity)
    assert (painted == expected).all() and (image == 128).all()


def test_colours_are_the_maps_alone() -> None:
    """Red 200: grey 0.299 x 200 = 59.8, rounded 60, so with opacity 0 every channel is 60."""
    painted = paint_heat(np.full((1, 1, 3), (0, 0, 200), np.uint8), np.ones((1, 1)), 0.0)
    assert painted[0, 0].tolist() == [60, 60, 60]


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        paint_heat(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4)))
