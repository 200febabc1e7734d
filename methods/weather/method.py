"""Weather while training: each image meets rain, fog, darkness or a bad lens of its own, anew in every epoch.

The physical models of `data/degrade.py` do the work, on the device of the batch. Nothing is left of the method in the
detector; of its cost, only the degradation itself, and with --weather-consistency a forward pass of the clean images.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.base import Batch, Detector, Method, Run, Step, Term
from methods.options.weather import DEFAULT_MIX, WeatherOptions
from methods.weather.consistency import dense, feature_distance, prediction_distance
from methods.weather.draws import LAWS, STREAM, SeverityLaw, apply, draw
from methods.weather.mix import describe, parse_mix, parse_range
from models.graph import backbone_taps, tapped
from utils.errors import UserError

CLEAN = "clean"  # what a method keeps of the image before any degradation


class Weather(Method):
    """The method `weather`: degrades the batch on its device, and may ask degraded and clean image to agree."""

    name = "weather"
    Options = WeatherOptions
    freezes = False

    def __init__(self, options: WeatherOptions | None = None) -> None:
        super().__init__(options)
        self.mix = parse_mix(self.options.weather or DEFAULT_MIX)
        self.law = SeverityLaw(parse_range(self.options.weather_severity), LAWS[self.options.weather_law])
        self.levels: dict[str, int] = {}

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """The mix, presets written out."""
        return {"weather": " ".join(map(str, self.mix))}

    def attach(self, detector: Detector) -> None:
        """Find the features that are to agree, if any."""
        if self.options.weather_consistency and self.options.weather_consistency_of == "features":
            self.levels = {f"weather{name}": index for name, index in backbone_taps(detector).items()}

    def taps(self, detector: Detector) -> dict[str, int]:
        """The backbone at strides 8, 16 and 32, where features are to agree."""
        return self.levels

    def notes(self, detector: Detector) -> list[str]:
        """What becomes of the images."""
        return [f"weather: {describe(self.mix)}"]

    def terms(self) -> dict[str, Term]:
        """The option that makes the one term stronger; it is taken as it is."""
        return {"agreement": Term("weather_consistency")}

    def on_epoch(self, run: Run) -> None:
        """How far the severities go in this epoch: `reach` of the way, which grows evenly to 1."""
        rising = self.options.weather_curriculum * run.epochs
        reach = min(1.0, (run.epoch + 1) / rising) if rising else 1.0
        self.law = replace(self.law, reach=reach)
        if rising:
            run.log["weather"] = round(reach, 4)

    def degrade(self, batch: Batch) -> None:
        """Put degraded images in place of the views of the scene; the clean image stays as `clean`."""
        batch.setdefault(CLEAN, batch["img"])
        draws = [draw(seed, self.mix, self.law) for seed in batch["seed"]]
        for number, name in enumerate(batch["scenes"]):
            paired = name != "img"
            if paired and self.options.weather_pair == "clean":
                continue
            own = paired and self.options.weather_pair == "own"
            mine = [draw(seed, self.mix, self.law, STREAM + 100 * number) for seed in batch["seed"]] if own else draws
            batch[name] = apply(batch[name], mine)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """`agreement`, where it has weight; it grows with the batch, as detection losses do."""
        if not self.options.weather_consistency:
            return {}
        if not isinstance(step.predictions, dict):
            raise UserError(
                "--freeze: the detector's head is frozen, and --weather-consistency teaches through it. Freeze fewer layers."
            )
        clean = resized(step.batch[CLEAN], step.batch["img"])
        with torch.no_grad(), tapped(step.detector, self.levels) as features:
            target = step.detector(clean)
        if self.levels:
            distance = feature_distance({name: step.taps[name] for name in self.levels}, features)
        else:
            distance = prediction_distance(dense(step.predictions), dense(target))
        value = self.options.weather_consistency * distance
        step.log["agreement"] = value.detach()
        return {"agreement": value * step.images}


def resized(images: Tensor, like: Tensor) -> Tensor:
    """Images (B, 3, H, W) in the size of others, which another method may have made smaller."""
    if images.shape[2:] == like.shape[2:]:
        return images
    return F.interpolate(images, like.shape[2:], mode="bilinear", antialias=True)
