"""The degradation engine: every way in which this project spoils images, on any device, seeded image by image.

- AERIS's blur, resize, noise: `draw_size`, `draw_parameters`, `degrade_batch`, and by hand `gaussian_kernel` and
  `blur_resize_noise`.
- Physical models of light, weather, water, lens and sensor: the table `DEGRADATIONS`.
- The fifteen corruptions of COCO-C at five severities: the table `COCO_C`.

The models stand in `data/degradations/`; docs/degradations.md shows and explains them all.
"""

from data.degradations.aeris import (
    BLURS,
    LAWS,
    MODES,
    SCOPES,
    AERISParameters,
    BatchDraw,
    batch_draw,
    blur_resize_noise,
    degrade,
    degrade_batch,
    draw_parameters,
    draw_size,
    image_random,
)
from data.degradations.coco_c import COCO_C, Corruption
from data.degradations.common import Parameters, Range, linear_to_srgb, srgb_to_linear, to_bytes
from data.degradations.kernels import gaussian_kernel, gaussian_kernels
from data.degradations.low_light import LOW_LIGHT_RANGES, low_light, low_light_bytes, sense
from data.degradations.physical import DEGRADATIONS, Degradation

__all__ = [
    "BLURS", "BatchDraw", "COCO_C", "DEGRADATIONS", "LAWS", "LOW_LIGHT_RANGES", "MODES", "SCOPES", "Corruption", "Degradation",
    "AERISParameters", "Parameters", "Range", "batch_draw", "blur_resize_noise", "degrade", "degrade_batch", "draw_parameters",
    "draw_size",
    "gaussian_kernel", "gaussian_kernels", "linear_to_srgb", "low_light", "low_light_bytes", "image_random", "sense",
    "srgb_to_linear", "to_bytes",
]  # fmt: skip
