"""LCP: learn where the image fails, and catch up with clear ones there (Fu et al., TCSVT 2024).

Two learners in the network train in turn, an epoch each. U: the catch-up learner pulls the features of degraded crux
regions towards those of clear images. C: everything behind it, and the crux learner, learn to detect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import Detector, Method, Run, Step, View
from methods.lcp_failures import detect, failing_cells, failure_loss
from methods.options.lcp import LCP_COMMANDS, LCP_KEYS, LCPOptions
from models.crux import (
    LAYERS,
    CatchUpFuse,
    CruxSplit,
    crux_features,
    find_layer,
    find_split,
    shallow_layers,
    shared_features,
)
from models.graph import evaluating
from utils.errors import UserError

CATCH_UP, CRUX, BOTH = "U", "C", "B"
NUMBERS = ("catch_up_weight", "crux_lr_gain")  # of a recipe, which options may replace
CLEAR = View(
    "reference", "unpaired", "Name a folder of clear images ('reference: images/reference'; no labels, no pairs)"
)


def catch_up_loss(low_quality: Tensor, favoured: Tensor, weight: float = 100.0) -> Tensor:
    """Pull where the features of degraded images have their mass towards where those of clear images have it.

    low_quality, favoured: (B, C, H, W), any real values. Each map is read as one categorical distribution over channel x
    row x column, so the loss ignores a constant added to a map, but not its scale. The favoured side is not
    differentiated. Returns weight * mean over the batch of KL(favoured || low_quality), in float32 at least. Raises
    ValueError on unequal shapes. Source: the catch-up step; the original's loss over positions.

    >>> loss = catch_up_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.75, 0.25]]]]).log(), weight=1.0)
    >>> round(loss.item(), 6)   # 0.75 ln 1.5 + 0.25 ln 0.5
    0.130812
    """
    if low_quality.shape != favoured.shape:
        shapes = f"{tuple(low_quality.shape)} and {tuple(favoured.shape)}"
        raise ValueError(f"catch_up_loss expects equal shapes, got {shapes}")
    wide = torch.promote_types(low_quality.dtype, torch.float32)
    log_p = low_quality.flatten(1).to(wide).log_softmax(1)  # (B, C*H*W)
    log_t = favoured.detach().flatten(1).to(wide).log_softmax(1)  # (B, C*H*W)
    return weight * F.kl_div(log_p, log_t, reduction="batchmean", log_target=True)


def alternation(epochs: int) -> str:
    """Which learner trains in each epoch: a quarter U, a quarter C, then in turn, U first and C last.

    For 24 epochs the published order; for other lengths the same proportions, a remainder going to C. Raises ValueError
    for less than one epoch.

    >>> alternation(24)
    'UUUUUUCCCCCCUCUCUCUCUCUC'
    """
    if epochs < 1:
        raise ValueError(f"alternation expects at least one epoch, got {epochs}")
    quarter = epochs // 4
    rest = epochs - 2 * quarter
    return CATCH_UP * quarter + CRUX * (quarter + rest % 2) + (CATCH_UP + CRUX) * (rest // 2)


@dataclass(frozen=True)
class TrainingRecipe:
    """What trains in which epoch, and how strongly.

    shallow: the layers that image and crux share are "frozen", train in C epochs with their batch norms in evaluation
    ("bn_eval"), or "train". catch_up_in_c: the catch-up learner trains in C epochs too, by the detection loss.
    adapt_statistics: in U epochs the batch statistics of the shallow layers follow the degraded images. warm_up: U epochs
    before all others are C; None: the published order.
    """

    shallow: str = "frozen"
    catch_up_in_c: bool = False
    adapt_statistics: bool = False
    warm_up: int | None = None
    catch_up_weight: float = 100.0
    crux_lr_gain: float = 1.0

    def letters(self, epochs: int) -> str:
        """One letter per epoch."""
        if self.warm_up is None:
            return alternation(epochs)
        first = min(self.warm_up, epochs - 1)
        return CATCH_UP * first + CRUX * (epochs - first)


RECIPES = {
    "published": TrainingRecipe(),
    "unfrozen": TrainingRecipe("train", True, False, 1, 1.0, 10.0),
    "fixed-bn": TrainingRecipe("bn_eval", True, True, 1, 1.0, 10.0),
}


def schedule(text: str, epochs: int, recipe: TrainingRecipe) -> str:
    """One letter per epoch: the given text, repeated as often as needed, or the recipe's where there is none.

    Raises UserError for another letter, a text longer than the run, or one that ends with U. B, both learners at once,
    is ours and did not pay.

    >>> schedule("UCC", 6, TrainingRecipe())
    'UCCUCC'
    """
    letters = (text.upper() * epochs)[: max(epochs, len(text))] if text else recipe.letters(epochs)
    if set(letters) <= {CATCH_UP, CRUX, BOTH} and len(letters) == epochs and not letters.endswith(CATCH_UP):
        return letters
    raise UserError(
        f"--lcp-schedule {text}: expected up to {epochs} letters (--epochs), each U or C, so that the last epoch is no U; "
        "leave it out for the order of --lcp-recipe."
    )


def resized(images: Tensor, like: Tensor) -> Tensor:
    """Images (B, 3, H, W) in the size of others, which another method may have made smaller."""
    if images.shape[2:] == like.shape[2:]:
        return images
    return F.interpolate(images, like.shape[2:], mode="bilinear", antialias=True)


def shallow_norms(detector: Detector) -> list[nn.Module]:
    """The batch norms of the shallow layers."""
    return [part for layer in shallow_layers(detector) for part in layer.modules() if isinstance(part, nn.BatchNorm2d)]


class LCP(Method):
    """The method `lcp`: freezes the right parts in each epoch, and pulls crux features towards clear ones in U.

    recipe: in place of the one that the options name. Numbers of the options take precedence over it.
    """

    name = "lcp"
    Options = LCPOptions
    commands = LCP_COMMANDS
    keys = LCP_KEYS
    layers = LAYERS
    letters = ""  # of the run, a letter an epoch
    letter = ""  # of the current epoch

    def __init__(self, options: LCPOptions | None = None, recipe: TrainingRecipe | None = None) -> None:
        super().__init__(options)
        given = {key: value for key in NUMBERS if (value := getattr(self.options, key)) is not None}
        self.recipe = replace(recipe or RECIPES[self.options.lcp_recipe], **given)

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """What the recipe decides. Clear images are asked for only where some epoch looks at them."""
        self.letters = schedule(self.options.lcp_schedule, epochs, self.recipe)
        self.views = (CLEAR,) if set(self.letters) & {CATCH_UP, BOTH} else ()
        return {"lcp_schedule": self.letters, **{key: getattr(self.recipe, key) for key in NUMBERS}}

    def attach(self, detector: Detector) -> None:
        """Let the map of a crux model follow its own loss, where it has one. Raise UserError for a model without crux layers."""
        split = find_split(detector)
        if split is None or find_layer(detector, CatchUpFuse) is None:
            stem = Path(str(detector.yaml.get("yaml_file", ""))).stem
            better = f"{stem}-crux" if stem else "yolov8n-crux"
            raise UserError(
                f"--method lcp: {stem or 'this network'} has no crux layers. Name a model that has, such as "
                f"--cfg models/{better}.yaml; --weights of the plain model go into it."
            )
        split.supervised = bool(self.options.failure_weight)

    def notes(self, detector: Detector) -> list[str]:
        """The schedule, and what never trains."""
        numbers = [layer.i for layer in shallow_layers(detector)]
        order = f"lcp: epochs {self.letters} (U: catch-up learner alone, C: crux learner and detector)"
        still = f"lcp: layers {numbers[0]} to {numbers[-1]} are frozen; start from --weights trained on clear images"
        return [order, still] if self.recipe.shallow == "frozen" else [order]

    def rates(self, detector: Detector) -> dict[nn.Module, float]:
        """The crux learner's own multiple of the learning rate."""
        split = find_split(detector)
        return {split: self.recipe.crux_lr_gain} if split is not None else {}

    def on_epoch(self, run: Run) -> None:
        """U: all but the catch-up learner is frozen, and no other loss counts. C: by the recipe, it and the shallow layers."""
        letter = self.letters[run.epoch]
        fuse = find_layer(run.detector, CatchUpFuse)
        if letter == CATCH_UP:
            run.frozen += [layer for layer in run.detector.model if layer is not fuse] + [fuse.fusion]
            run.only = self.name
        else:
            places = {"frozen": run.frozen, "bn_eval": run.bn_eval}
            if self.recipe.shallow in places:
                places[self.recipe.shallow].extend(shallow_layers(run.detector))
            run.frozen += [] if self.recipe.catch_up_in_c or letter == BOTH else [fuse.catch_up]
        run.skip_validation |= not self.letters[: run.epoch + 1].strip(CATCH_UP)
        run.log["lcp"] = letter
        self.letter = letter

    def loss(self, step: Step) -> dict[str, Tensor]:
        """In U and B: features of the pushed cruxes against those of clear images' cruxes. In C and B: the map's failures."""
        terms = {} if self.letter == CRUX else {"catch_up": self._catch_up(step)}
        if self.options.failure_weight and self.letter != CATCH_UP:
            terms["failure"] = self.options.failure_weight * self._failures(step)
            step.log["failure"] = terms["failure"].detach()
            terms["failure"] = terms["failure"] * step.images
        return terms

    def _failures(self, step: Step) -> Tensor:
        """What the crux map says of the cells in which the detector fails now."""
        cells = failing_cells(detect(step.detector, step.batch["img"]), step.batch)
        return failure_loss(find_layer(step.detector, CruxSplit).mask_of(step.batch["img"]), cells)

    def _catch_up(self, step: Step) -> Tensor:
        """The loss of the catch-up learner."""
        low_quality = step.batch["img"]
        favoured = resized(step.batch["reference"], low_quality)
        norms = shallow_norms(step.detector)
        if self.recipe.adapt_statistics and self.letter == CATCH_UP:
            with evaluating(*norms, training=True):  # their statistics follow the images, and nothing else changes
                shared_features(step.detector, low_quality)
        with evaluating(*norms):  # this loss is for the catch-up learner alone
            shallow, deep = crux_features(step.detector, torch.cat([low_quality, favoured]))
        size = len(low_quality)
        pushed = deep[:size] + find_layer(step.detector, CatchUpFuse).catch_up(shallow[:size])
        return catch_up_loss(pushed, deep[size:], self.recipe.catch_up_weight)

    def detach(self, detector: Detector) -> None:
        """The map is an ordinary layer's again."""
        find_layer(detector, CruxSplit).supervised = False
