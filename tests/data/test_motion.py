"""The moving foreground: spec section 7.11, and what must not count as motion."""

from __future__ import annotations

import numpy as np
import pytest

from data.motion import foreground, still


def moving_block(frames: int = 10, step: int = 4, side: int = 8) -> np.ndarray:
    """A white block over a grey scene of 48 x 64 px: at column step * t in frame t, rows 20 to 27."""
    clip = np.full((frames, 48, 64, 3), 90, np.uint8)
    for t in range(frames):
        clip[t, 20 : 20 + side, step * t : step * t + side] = 250
    return clip


def test_a_still_clip_has_no_foreground() -> None:
    scene = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    assert not foreground(np.repeat(scene, 12, 0)).any()


def test_a_moving_block_leaves_the_union_of_its_places_but_the_first() -> None:
    """At columns 0, 4, ... 36, 8 px wide: without frame 0 columns 4 to 43 of rows 20 to 27, 320 px."""
    expected = np.zeros((48, 64), bool)
    expected[20:28, 4:44] = True
    found = foreground(moving_block())
    assert found.sum() == 320
    assert np.array_equal(found, expected)


def test_the_place_that_an_object_leaves_is_no_motion() -> None:
    """It stands at columns 0 to 7 in frame 0 only, and is gone from frame 1 on: nothing moves after frame 0."""
    clip = np.full((8, 48, 64, 3), 90, np.uint8)
    clip[0, 20:28, :8] = 250
    assert not foreground(clip).any()


def test_the_noise_of_a_night_is_no_motion() -> None:
    rng = np.random.default_rng(1)
    clip = moving_block().astype(float) * 0.2 + rng.normal(0, 6, (10, 48, 64, 3))
    found = foreground(np.clip(clip + 20, 0, 255).astype(np.uint8))
    assert found[20:28, 4:44].mean() > 0.8
    assert found.sum() < 1.3 * 320


def test_specks_are_dropped() -> None:
    """Spots of 3 x 3 px are 9 of 3072 px, a fraction of 0.0029."""
    clip = moving_block(side=3)
    assert foreground(clip, least_area=0.0).any()
    assert not foreground(clip, least_area=0.05).any()


def test_one_frame_has_no_motion() -> None:
    assert not foreground(moving_block(frames=1)).any()


def test_the_background_is_the_lower_median() -> None:
    """Values 1, 9, 5, 7 over time: sorted 1 5 7 9, the lower middle one is 5."""
    clip = np.array([1, 9, 5, 7], np.uint8).reshape(4, 1, 1, 1).repeat(3, 3)
    assert still(clip).tolist() == [[[5, 5, 5]]]


@pytest.mark.parametrize(
    "clip", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3))]
)
def test_what_is_no_clip(clip: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 frames"):
        foreground(clip)
