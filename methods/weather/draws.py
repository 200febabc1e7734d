"""What one image is given, drawn from its seed alone, and how a batch of images gets it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.degrade import DEGRADATIONS, image_random
from methods.weather.mix import Mix, Part
from utils.devices import sent
from utils.errors import UserError

STREAM = 7  # of random numbers: apart from those that other methods draw from an image's seed
LAWS = {"uniform": 1.0, "mild": 2.0, "strong": 0.5}  # power of a uniform number


@dataclass(frozen=True)
class SeverityLaw:
    """How severities are drawn. ends: of the range, None for each model's own. power: of a uniform number. reach: up to
    which fraction of the range, for a curriculum.
    """

    ends: tuple[float, float] | None = None
    power: float = 1.0
    reach: float = 1.0

    def __call__(self, model: str, chance: float) -> float:
        """The severity of a model, from a uniform number in [0, 1).

        >>> SeverityLaw((0.2, 1.0), power=2.0, reach=0.5)("fog", 0.5)
        0.3
        """
        low, high = self.ends or (DEGRADATIONS[model].least, 1.0)
        return low + (high - low) * self.reach * float(chance**self.power)


@dataclass(frozen=True)
class Stage:
    """One degradation of one image."""

    model: str
    severity: float
    seed: int


Draw = tuple[Stage, ...]
"""What an image is given, in this order; empty for a clean one."""


def draw(seed: int, mix: Mix, law: SeverityLaw, stream: int = STREAM) -> Draw:
    """The draw of one image. Every number is drawn whether it counts or not, so that one option leaves the others alone."""
    rng = image_random(seed, stream)
    part = _chosen(mix, rng.random())
    chances = [(rng.random(), rng.getrandbits(62)) for _ in range(max(len(one.models) for one in mix))]
    models = part.models if part else ()
    return tuple(Stage(model, law(model, chance), own) for model, (chance, own) in zip(models, chances, strict=False))


def _chosen(mix: Mix, chance: float) -> Part | None:
    for part in mix:
        if chance < part.fraction:
            return part
        chance -= part.fraction
    return None


def apply(images: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Degraded images, new where any has a draw. images: (B, 3, H, W) in [0, 1], never written to.

    On an accelerator images of one model go through it together. On a CPU each goes alone, which is as fast there, and
    lets no byte depend on which other images the batch has. Raises UserError where a degradation returns NaN.
    """
    if not any(draws):
        return images
    result = images.clone()
    for model, places, stages in _groups(draws, together=images.device.type != "cpu"):
        seeds, severities = [stage.seed for stage in stages], [stage.severity for stage in stages]
        if len(places) == 1:
            at = slice(places[0], places[0] + 1)
            result[at], _ = DEGRADATIONS[model](result[at], seeds, severities)
            _check(model, result[at])
        else:
            index = sent(torch.tensor(places), images.device)
            result[index] = DEGRADATIONS[model](result[index], seeds, severities)[0]
    return result


def _groups(draws: Sequence[Draw], together: bool) -> Iterator[tuple[str, list[int], list[Stage]]]:
    """(model, places, stages) in an order that does every image's stages one after another."""
    for step in range(max(map(len, draws))):
        models: dict[tuple[str, int], list[int]] = {}
        for place, stages in enumerate(draws):
            if step < len(stages):
                models.setdefault((stages[step].model, 0 if together else place), []).append(place)
        for (model, _), places in models.items():
            yield model, places, [draws[place][step] for place in places]


def _check(model: str, image: Tensor) -> None:
    """On a CPU alone: elsewhere it would wait for the device, and the run's own check of the losses stops a NaN too."""
    if image.device.type == "cpu" and not math.isfinite(float(image.sum())):
        raise UserError(
            f"--weather: the degradation {model} made NaN or infinite values of an image. Leave it out of --weather, and "
            "check that the training images themselves are sound."
        )
