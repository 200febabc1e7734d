"""Darkened clips: one exposure and white balance a clip, other noise a frame, and the night that low_light would make."""

from __future__ import annotations

import numpy as np
import torch

from data.degrade import low_light
from data.video.low_light import darken_clip


def still_clip(frames: int = 8, size: int = 48) -> np.ndarray:
    """One smooth colour image, `frames` times."""
    ramp = np.linspace(60, 250, size).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(160)), 2)
    return np.repeat(image[None], frames, 0)


def test_exposure_and_colour_stand_still_and_noise_does_not() -> None:
    dark = darken_clip(still_clip(), seed=5).astype(float)
    means = dark.mean((1, 2))  # (T, 3)
    assert means.std(0).max() < 0.02 * means.mean() + 0.1  # of a clip
    assert np.abs(dark[0] - dark[1]).mean() > 0.5  # of two frames
    repeated, low = darken_clip(still_clip(), seed=5), darken_clip(still_clip(), seed=6)
    assert np.array_equal(repeated, dark.astype(np.uint8)) and not np.array_equal(low, repeated)


def test_it_is_the_night_of_low_light() -> None:
    """Averaged over 24 frames and 8 x 8 px, noise is gone: what is left is low_light's own image of that seed."""
    clip = still_clip(24)
    one, _ = low_light(torch.from_numpy(clip[:1]).permute(0, 3, 1, 2).float() / 255, [3])
    expected = torch.nn.functional.avg_pool2d(one[0] * 255, 8).numpy()
    mean = torch.from_numpy(darken_clip(clip, 3).mean(0)).permute(2, 0, 1)
    found = torch.nn.functional.avg_pool2d(mean, 8).numpy()
    assert np.abs(found - expected).max() < 0.15 * expected.max() + 1


def test_severity_is_how_dark_it_gets() -> None:
    dusk, night = (darken_clip(still_clip(2), 1, severity).mean() for severity in (0.0, 1.0))
    assert dusk > 2 * night
