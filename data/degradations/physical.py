"""The table of physical degradations: name -> model, ranges of its parameters, and a line of what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.degradations import camera, weather
from data.degradations.common import (
    BatchParameters,
    Parameters,
    RandomFields,
    Range,
    Severity,
    as_images,
    check_request,
    draw,
)
from data.degradations.infrared import INFRARED_LEAST, INFRARED_RANGES, infrared
from data.degradations.low_light import LEAST, LOW_LIGHT_RANGES, low_light


@dataclass(frozen=True)
class Degradation:
    """One model. Call it with images and a seed for each.

    `ranges` names the parameters that may be fixed. `model`: images, BatchParameters, RandomFields, and, if `deep`, the
    distance of what each pixel shows, or None -> images; None stands for low light, which has draws of its own. `least`: the
    mildest severity that is drawn where none is given.
    """

    name: str
    description: str
    ranges: Mapping[str, Range]
    model: Callable[..., Tensor] | None
    deep: bool = False
    least: float = 0.0

    def __call__(
        self,
        image: Tensor,
        seeds: Sequence[int],
        severity: Severity = None,
        parameters: Mapping[str, float] | None = None,
        depth: Tensor | None = None,
    ) -> tuple[Tensor, list[Parameters]]:
        """New images (B, 3, H, W) in [0, 1], clipped as a camera would, and what each drew.

        image: uint8 or float, never written to. seeds: one per image. severity: in [0, 1], 0 hardly visible, one for
        all or one per image; None draws it. parameters: fixes any of `ranges` for all images. depth: (B, 1, H, W), for fog
        and infrared (metres) and underwater only. Returns the image's float type, float32 for uint8. Raises ValueError for
        another shape, number of seeds, severity, parameter name, or a depth that nothing can be done with.
        """
        image = as_images(image)
        levels = check_request(image, seeds, severity, parameters, self.ranges)
        if depth is not None and not self.deep:
            raise ValueError(f"{self.name} does not depend on depth")
        if depth is not None and depth.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(f"expected a depth of {(len(image), 1, *image.shape[2:])}, got {tuple(depth.shape)}")
        if self.model is None:  # its bytes are those of `prepare.py darken`
            return low_light(image, seeds, severity, parameters, noise_on_device=True)
        generators = [torch.Generator().manual_seed(int(seed) % 2**63) for seed in seeds]
        drawn = [
            draw(generator, self.ranges, level, parameters, self.least)
            for generator, level in zip(generators, levels, strict=True)
        ]
        values, fields = BatchParameters(drawn, image.device), RandomFields(seeds, image.device)
        wide = image.to(torch.promote_types(image.dtype, torch.float32))
        result = self.model(wide, values, fields, *([depth] if self.deep else []))
        return result.clamp(0, 1).to(image.dtype), drawn


_DARK = f"a camera that gets too little light (severity {LEAST} to 1 if none is given)"
_GREY = "a grey camera that sees by the infrared lamp beside its lens (severity 0.5 to 1 if none is given)"
_SEA = "red lost first, the water's own light added"
_ALL = (
    Degradation("low_light", _DARK, LOW_LIGHT_RANGES, None, least=LEAST),
    Degradation("infrared", _GREY, INFRARED_RANGES, infrared, deep=True, least=INFRARED_LEAST),
    Degradation("fog", "light lost and added with distance", weather.FOG_RANGES, weather.fog, deep=True),
    Degradation("rain", "streaks, a veil, less light", weather.RAIN_RANGES, weather.rain),
    Degradation("snow", "flakes in three distances and a veil", weather.SNOW_RANGES, weather.snow),
    Degradation("underwater", _SEA, weather.UNDERWATER_RANGES, weather.underwater, deep=True),
    Degradation("motion_blur", "the camera moves while the shutter is open", camera.MOTION_RANGES, camera.motion_blur),
    Degradation("defocus_blur", "points become discs", camera.DEFOCUS_RANGES, camera.defocus_blur),
    Degradation("shot_noise", "few photons", camera.SHOT_RANGES, camera.shot_noise),
    Degradation("read_noise", "a noisy amplifier", camera.READ_RANGES, camera.read_noise),
    Degradation("impulse_noise", "values stuck at black or white", camera.IMPULSE_RANGES, camera.impulse_noise),
    Degradation("jpeg", "few bits in the file", camera.JPEG_RANGES, camera.jpeg),
    Degradation(
        "low_resolution", "few pixels, enlarged to the image's size", camera.RESOLUTION_RANGES, camera.low_resolution
    ),
    Degradation("contrast", "differences shrunk towards grey", camera.CONTRAST_RANGES, camera.contrast),
)
DEGRADATIONS: dict[str, Degradation] = {one.name: one for one in _ALL}
