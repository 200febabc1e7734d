"""Recipes that degrade whole image sets: what `prepare.py degrade` and the synthetic data set demo-lowres do to one image.

An image's draw depends on its own seed alone, so neither order nor workers change a byte.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.degrade import COCO_C, DEGRADATIONS, AERISParameters, degrade, draw_parameters, draw_size, to_bytes
from utils.errors import UserError, suggestion

Image = NDArray[np.uint8]  # (H, W, 3), RGB
Shape = tuple[int, int]  # (height, width) px
STRIDE = 32  # px; an image this small has one cell left on the detectors' coarsest grid
NOISE_SIGMA = (5 / 255, 50 / 255)  # of the recipe "noise", as in AERIS's tests of noise alone


@dataclass(frozen=True)
class DegradedImage:
    """An image after its recipe: pixels (h, w, 3), every drawn parameter, and what is odd about it, if anything."""

    pixels: Image
    parameters: dict[str, Any]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One way to degrade a set. `severities`: what --severity may be, "" where the recipe has none."""

    name: str
    severities: str
    work: Callable[[Tensor, int, float | None], tuple[Tensor, dict[str, Any]]]  # image (1, 3, H, W), seed, severity

    def __call__(self, img: Image, seed: int, severity: float | None = None) -> DegradedImage:
        """Degrade one image, rounded and saturated to 8 bits. severity None: the image draws its own.

        The image is not written to. Raises UserError for a severity that this recipe does not know.
        """
        self.check(severity)
        image = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))[None]  # (1, 3, H, W)
        result, parameters = self.work(image, seed, severity)
        pixels = to_bytes(result)[0].permute(1, 2, 0).contiguous().numpy()
        return DegradedImage(pixels, parameters, _remarks(img.shape[:2], pixels.shape[:2], parameters))

    def check(self, severity: float | None) -> None:
        """Raises UserError unless this recipe knows the severity."""
        known = {
            "": severity is None,
            "0 to 1": severity is None or 0 <= severity <= 1,
            "1, 2, 3, 4 or 5": severity is None or severity in range(1, 6),
        }
        if not known[self.severities]:
            expected = f"expected {self.severities} for" if self.severities else "leave it out; it does not apply to"
            raise UserError(f"--severity {severity:g}: {expected} the recipe {self.name}.")


def image_seed(name: str, seed: int) -> int:
    """An image's own seed in [0, 2**63), from its name below the source and the run's seed; the same on every machine.

    >>> image_seed("a/1.jpg", 0) == image_seed("a/1.jpg", 0) != image_seed("a/1.jpg", 1)
    True
    """
    key = f"{seed}:{name}".encode(errors="surrogateescape")  # file names need not be UTF-8
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises UserError with the nearest name where there is none."""
    if name not in RECIPES:
        plain = ", ".join(one for one in RECIPES if not one.startswith("coco-c:"))
        raise UserError(
            f"--recipe {name or '(none)'}: there is no such recipe.{suggestion(name, RECIPES)} Known are {plain}, and "
            "coco-c:NAME for the corruptions of COCO-C."
        )
    return RECIPES[name]


def _remarks(before: Shape, after: Shape, parameters: dict[str, Any]) -> tuple[str, ...]:
    """What a user should know of this image."""
    remarks = []
    if parameters.get("blur", "none") != "none" and min(before) < parameters["kernel_size"]:
        remarks.append(f"smaller than its blur kernel of {parameters['kernel_size']} px")
    if min(after) <= STRIDE and after != before:
        remarks.append(f"{min(after)} px after resizing, no more than a detector's stride of {STRIDE} px")
    return tuple(remarks)


def _aeris(
    image: Tensor, seed: int, _: float | None, choose: Callable[[random.Random, Shape], AERISParameters]
) -> tuple[Tensor, dict[str, Any]]:
    """AERIS's degradation, some of its parameters set by `choose`."""
    draw = choose(random.Random(seed), (image.shape[2], image.shape[3]))
    drawn = draw.as_dict()
    drawn["noise_seed"] = drawn.pop("seed")
    return degrade(image, draw), {key: value for key, value in drawn.items() if key not in ("height", "width")}


def _coco_d(rng: random.Random, shape: Shape) -> AERISParameters:
    """COCO-d as well as it can be told: all of AERIS's draws, the ratio one of 1.0, 1.1, ... 4.0."""
    return draw_parameters(rng, shape, draw_size(rng, shape, "tenths"))


def _down(rng: random.Random, shape: Shape, ratio: int) -> AERISParameters:
    """Resizing alone, by a whole ratio, in a drawn mode."""
    return draw_parameters(rng, shape, (max(1, shape[0] // ratio), max(1, shape[1] // ratio)), "resolution")


def _noise(rng: random.Random, shape: Shape) -> AERISParameters:
    """Noise alone."""
    draw = draw_parameters(rng, shape, shape, "blur-noise")
    return replace(draw, blur="none", sigma=rng.uniform(*NOISE_SIGMA))


def _blur(rng: random.Random, shape: Shape) -> AERISParameters:
    """Blur alone, isotropic or not."""
    return replace(draw_parameters(rng, shape, shape, "blur-noise", (0.0, 0.5, 0.5)), sigma=0.0)


def _physical(image: Tensor, seed: int, severity: float | None, name: str) -> tuple[Tensor, dict[str, Any]]:
    result, (drawn,) = DEGRADATIONS[name](image, [seed], severity)
    return result, drawn


def _coco_c(image: Tensor, seed: int, severity: float | None, name: str) -> tuple[Tensor, dict[str, Any]]:
    chosen = random.Random(seed).randint(1, 5) if severity is None else int(severity)
    result, (drawn,) = COCO_C[name](image, [seed], chosen)
    return result, drawn


def _recipes() -> dict[str, Recipe]:
    """All recipes. A name that is physical and of COCO-C is the physical one; `coco-c:` names the other."""
    down2, down4 = partial(_down, ratio=2), partial(_down, ratio=4)
    aeris: dict[str, Callable[[random.Random, Shape], AERISParameters]]
    aeris = {"coco-d": _coco_d, "down2": down2, "down4": down4, "noise": _noise, "blur": _blur}
    short = {"night": "low_light", "motion": "motion_blur", "defocus": "defocus_blur"}
    physical = {**short, **{name: name for name in DEGRADATIONS}}
    published = {f"coco-c:{name}": name for name in COCO_C} | {name: name for name in COCO_C if name not in physical}
    every = [Recipe(name, "", partial(_aeris, choose=choose)) for name, choose in aeris.items()]
    every += [Recipe(name, "0 to 1", partial(_physical, name=model)) for name, model in physical.items()]
    every += [Recipe(name, "1, 2, 3, 4 or 5", partial(_coco_c, name=model)) for name, model in published.items()]
    return {recipe.name: recipe for recipe in every}


RECIPES: dict[str, Recipe] = _recipes()
