"""The table of physical degradations: name -> model, ranges of its parameters, and a line of what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.degradations import camera, weather
from data.degradations.common import BatchParameters, Fields, Parameters, Range, as_images, check_request, draw
from data.degradations.low_light import LEAST, LOW_LIGHT_RANGES, low_light

Model = Callable[[Tensor, BatchParameters, Fields], Tensor]
ModelWithDepth = Callable[[Tensor, BatchParameters, Fields, Tensor | None], Tensor]


@dataclass(frozen=True)
class Degradation:
    """One model. Call it with images and a seed for each.

    `with_depth` models take the distance of what each pixel shows. `ranges` names the parameters that may be fixed.
    """

    name: str
    description: str
    ranges: Mapping[str, Range]
    model: Model | None = None
    with_depth: ModelWithDepth | None = None

    def __call__(
        self,
        image: Tensor,
        seeds: Sequence[int],
        severity: float | None = None,
        parameters: Mapping[str, float] | None = None,
        depth: Tensor | None = None,
    ) -> tuple[Tensor, list[Parameters]]:
        """New images (B, 3, H, W) in [0, 1], clipped as a camera would, and what each drew.

        image: uint8 or float, never written to. seeds: one per image. severity: in [0, 1], 0 hardly visible; None draws
        one per image. parameters: fixes any of `ranges` for all images. depth: (B, 1, H, W), for fog (metres) and
        underwater only. Returns the image's float type, float32 for uint8. Raises ValueError for another shape, number
        of seeds, severity, parameter name, or a depth that nothing can be done with.
        """
        image = as_images(image)
        check_request(image, seeds, severity, parameters, self.ranges)
        self._check_depth(image, depth)
        generators = [torch.Generator().manual_seed(int(seed) % 2**63) for seed in seeds]
        drawn = [draw(generator, self.ranges, severity, parameters) for generator in generators]
        values, fields = BatchParameters(drawn, image.device), Fields(seeds, image.device)
        wide = image.to(torch.promote_types(image.dtype, torch.float32))
        if self.with_depth:
            result = self.with_depth(wide, values, fields, depth)
        else:
            assert self.model
            result = self.model(wide, values, fields)
        return result.clamp(0, 1).to(image.dtype), drawn

    def _check_depth(self, image: Tensor, depth: Tensor | None) -> None:
        if depth is None:
            return
        if self.with_depth is None:
            raise ValueError(f"{self.name} does not depend on depth")
        if depth.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(f"expected a depth of {(len(image), 1, *image.shape[2:])}, got {tuple(depth.shape)}")


@dataclass(frozen=True)
class _LowLight(Degradation):
    """Low light has its own draws: its bytes are those of `prepare.py darken`."""

    def __call__(
        self,
        image: Tensor,
        seeds: Sequence[int],
        severity: float | None = None,
        parameters: Mapping[str, float] | None = None,
        depth: Tensor | None = None,
    ) -> tuple[Tensor, list[Parameters]]:
        """As of every degradation; without a severity it draws from [0.65, 1]."""
        self._check_depth(image, depth)
        return low_light(image, seeds, severity, parameters, noise_on_device=True)


_ALL = (
    _LowLight(
        "low_light", f"a camera that gets too little light (severity {LEAST} to 1 if none is given)", LOW_LIGHT_RANGES
    ),
    Degradation("fog", "light lost and added with distance", weather.FOG_RANGES, with_depth=weather.fog),
    Degradation("rain", "streaks, a veil, less light", weather.RAIN_RANGES, weather.rain),
    Degradation("snow", "flakes in three distances and a veil", weather.SNOW_RANGES, weather.snow),
    Degradation(
        "underwater",
        "red lost first, the water's own light added",
        weather.UNDERWATER_RANGES,
        with_depth=weather.underwater,
    ),
    Degradation("motion_blur", "the camera moves while the shutter is open", camera.MOTION_RANGES, camera.motion_blur),
    Degradation("defocus_blur", "points become discs", camera.DEFOCUS_RANGES, camera.defocus_blur),
    Degradation("shot_noise", "few photons", camera.SHOT_RANGES, camera.shot_noise),
    Degradation("read_noise", "a noisy amplifier", camera.READ_RANGES, camera.read_noise),
    Degradation("impulse_noise", "values stuck at black or white", camera.IMPULSE_RANGES, camera.impulse_noise),
    Degradation("jpeg", "few bits in the file", camera.JPEG_RANGES, camera.jpeg),
    Degradation("contrast", "differences shrunk towards grey", camera.CONTRAST_RANGES, camera.contrast),
)
DEGRADATIONS: dict[str, Degradation] = {one.name: one for one in _ALL}
