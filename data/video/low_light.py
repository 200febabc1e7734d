"""A day clip as a camera at night would have taken it: one exposure, one white balance, other noise in every frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.degradations.common import linear_to_srgb, srgb_to_linear
from data.degradations.low_light import LOW_LIGHT_RANGES, low_light

HEADROOM = 4.0  # stops that a pool of light may lie above the mean, and more than it ever does
# A camera without a fault: what it sees of white paper is the light that falls there.
FAULTLESS = {
    "stops": HEADROOM, "lift": 0.0, "electrons": 1e12, "read": 0.0, "bits": 24.0, "warmth": 0.0, "tint": 0.0, "toe": 0.0,
}  # fmt: skip


def darken_clip(frames: NDArray[np.uint8], seed: int, severity: float | None = None) -> NDArray[np.uint8]:
    """Darken a clip (T, H, W, 3) RGB by the model of `low_light`, whose parameters and light are drawn once.

    Exposure, colour, tone curve and pools of light stand still; shot and read noise of each frame are its own. seed: of
    the clip. severity: in [0, 1], None draws one from [0.65, 1]. Returns the same shape. Raises ValueError for others.
    """
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255  # (T, 3, H, W)
    pool, held = _night(clip[:1], seed, severity)
    lit = linear_to_srgb(srgb_to_linear(clip) * pool)
    shots = [int(number) for number in np.random.SeedSequence(seed).generate_state(len(clip), np.uint64) >> 1]
    dark, _ = low_light(lit, shots, parameters=held)
    return np.ascontiguousarray((dark * 255).round().byte().permute(0, 2, 3, 1).numpy())


def _night(image: Tensor, seed: int, severity: float | None) -> tuple[Tensor, dict[str, float]]:
    """The light of a night (1, 3, H, W), 2**-HEADROOM on average, and the camera's parameters, which make up for that."""
    white = torch.ones_like(image)
    _, (drawn,) = low_light(white[..., :1, :1], [seed], severity)
    camera = {name: value for name, value in drawn.items() if name in LOW_LIGHT_RANGES}
    seen, _ = low_light(white, [seed], parameters={**FAULTLESS, "pool": camera["pool"]})
    return srgb_to_linear(seen), {**camera, "stops": camera["stops"] - HEADROOM, "pool": 0.0}
