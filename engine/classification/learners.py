"""What a classifier learns from in a step: the day alone, or WiiD's pairs.

Source of WiiD: Watching it in Dark (ECCV 2024), classification branch. Its arithmetic (BYOL, MMD, saliency) is that of
methods/wiid.py; here it meets a classifier. Nothing of it is left after training: the network itself is never changed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.classification.transforms import jittered
from engine.options.classify import ClassifyOptions
from methods.options.wiid import WiiDOptions
from methods.wiid import byol_loss, mmd, spectral_saliency
from models.byol import Predictor, momentum_update
from models.classifier import VectorProjector, head, logits_and_features, normalise

NIGHTS = "favoured"
VIEWS = ("img", "pair", NIGHTS)
SIDES = (32, 63)  # px of a square in an image of SIDE_OF px
SIDE_OF = 224
SHARES = (0.5, 0.6)  # what the squares would cover if none overlapped
_MASKS = len(VIEWS)  # what a draw is for, after (seed, iteration): a view's colours, or the masks


class DayLearner(nn.Module):
    """The plain run: cross-entropy of the labelled images."""

    views: tuple[str, ...] = ()

    def __init__(self, network: nn.Module, options: ClassifyOptions, seed: int = 0) -> None:
        super().__init__()
        self.network, self.options, self.seed = network, options, seed

    def prepare(self, batch: Mapping[str, Any], iteration: int) -> dict[str, Any]:
        """The batch with its images in new colours and normalised: uint8 (B, 3, S, S) in, float out.

        iteration: of the run; with the seed it decides all that is drawn here.
        """
        return {**batch, **{view: normalise(image) for view, image in self._coloured(batch, iteration).items()}}

    def _coloured(self, batch: Mapping[str, Any], iteration: int) -> dict[str, Tensor]:
        """Each view in [0, 1] with colours of its own."""
        strength, hue = self.options.colour_jitter, self.options.hue_jitter
        return {
            view: jittered(batch[view].float() / 255, (self.seed, iteration, number), strength, hue)
            for number, view in enumerate(VIEWS)
            if view in batch
        }

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Named terms of the loss, already weighted; their sum is what to minimise."""
        return {"day": F.cross_entropy(self.network(batch["img"]), batch["cls"])}

    def after_step(self) -> None:
        """Called after each step of the optimiser."""

    def target_state(self) -> dict[str, Tensor]:
        """Tensors beside the module's own that a resumed run needs."""
        return {}

    def load_target(self, state: Mapping[str, Tensor]) -> None:
        """Take them back."""


class FeatureTarget:
    """Slow copy of the network and its projector; no `nn.Module`, so that no optimiser and no checkpoint ever sees it.

    Batch norms use the statistics of the batch, as in BYOL.
    """

    def __init__(self, network: nn.Module, projector: nn.Module) -> None:
        self.online = nn.ModuleList([network, projector])
        self.copy = copy.deepcopy(self.online).requires_grad_(False).train()

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """image: (B, 3, H, W), normalised. Returns (B, 128) of unit length, without gradient."""
        network, projector = self.copy
        return F.normalize(projector(logits_and_features(network, image)[1]).float(), dim=1)

    def update(self, momentum: float) -> None:
        """Move the parameters (not the batch-norm buffers) towards the online network."""
        momentum_update(self.copy.parameters(), self.online.parameters(), momentum)


class PairLearner(DayLearner):
    """WiiD: cross-entropy of both members of a pair, BYOL between them both ways, MMD towards unlabelled nights, masks.

    loss = CE(day) + CE(night) + 0.13 / 2 * [(2 - 2 <q_day, k_night>) + (2 - 2 <q_night, k_day>)] + 0.1 MMD(night, nights)
    """

    views = ("pair",)

    def __init__(self, network: nn.Module, options: ClassifyOptions, wiid: WiiDOptions, seed: int = 0) -> None:
        super().__init__(network, options, seed)
        self.wiid = wiid
        self.target: FeatureTarget | None = None
        if wiid.byol_weight > 0:
            layer = head(network)
            if not isinstance(layer, nn.Linear):
                raise ValueError(f"WiiD reads the pooled features of a linear head, not of a {type(layer).__name__}")
            self.projector, self.predictor = VectorProjector(layer.in_features), Predictor()
            self.target = FeatureTarget(network, self.projector)

    def _apply(self, fn: Any, recurse: bool = True) -> PairLearner:
        """Move the target along with the rest."""
        if self.target is not None:
            self.target.copy._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def prepare(self, batch: Mapping[str, Any], iteration: int) -> dict[str, Any]:
        """As the plain run's, and the same pixels of both members masked: they get the mean colour."""
        coloured = self._coloured(batch, iteration)
        ready = {**batch, **{view: normalise(image) for view, image in coloured.items()}}
        keep = self._keep(coloured["img"], batch["seed"], np.random.default_rng([self.seed, iteration, _MASKS]))
        if keep is not None:
            ready |= {view: ready[view] * keep for view in ("img", "pair")}
        return ready

    def _coloured(self, batch: Mapping[str, Any], iteration: int) -> dict[str, Tensor]:
        """As many nights as are wanted, two at least: a spread needs two."""
        if NIGHTS not in batch:
            return super()._coloured(batch, iteration)
        wanted = max(2, round(self.options.mmd_share * len(batch["img"])))
        return super()._coloured({**batch, NIGHTS: batch[NIGHTS][:wanted]}, iteration)

    def _keep(self, day: Tensor, seeds: Sequence[int], rng: np.random.Generator) -> Tensor | None:
        """Pixels to keep, (B, 1, S, S) of zeros and ones; one kind of mask per batch, None for none."""
        draw, size = rng.random(), day.shape[-1]
        if draw < self.options.mask_squares:
            side = round(int(rng.integers(SIDES[0], SIDES[1] + 1)) * size / SIDE_OF)
            return squares(seeds, size, max(side, 1), float(rng.choice(SHARES))).to(day)
        if draw < self.options.mask_squares + self.options.mask_saliency:
            return salient(day, self.wiid.highlight_quantile)
        return None

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The terms `day`, `night`, and `byol` and `mmd` where they are wanted."""
        labels = batch["cls"]
        day, day_features = logits_and_features(self.network, batch["img"])
        night, night_features = logits_and_features(self.network, batch["pair"])
        terms = {"day": F.cross_entropy(day, labels), "night": F.cross_entropy(night, labels)}
        if self.target is not None:
            q = [self._predicted(day_features), self._predicted(night_features)]
            k = [self.target(batch["pair"]), self.target(batch["img"])]
            terms["byol"] = byol_loss(q, k, self.wiid.byol_weight)
        if NIGHTS in batch:
            terms["mmd"] = self.wiid.mmd_weight * mmd(night_features.float(), self._night_features(batch[NIGHTS]))
        return terms

    def _night_features(self, nights: Tensor) -> Tensor:
        """Pooled features (B, D) of the unlabelled nights, as they are: what the darkened images shall come to lie among."""
        with torch.no_grad():
            return logits_and_features(self.network, nights)[1].float()

    def _predicted(self, features: Tensor) -> Tensor:
        """(B, D) to (B, 128) of unit length: what the online network thinks that the target makes of the other member."""
        return F.normalize(self.predictor(self.projector(features)).float(), dim=1)

    def after_step(self) -> None:
        """Move the momentum target."""
        if self.target is not None:
            self.target.update(self.wiid.byol_momentum)

    def target_state(self) -> dict[str, Tensor]:
        """The momentum target's tensors."""
        return {} if self.target is None else self.target.copy.state_dict()

    def load_target(self, state: Mapping[str, Tensor]) -> None:
        """Take the momentum target back."""
        if self.target is not None:
            self.target.copy.load_state_dict(dict(state))


def square_count(size: int, side: int, share: float) -> int:
    """How many squares of `side` px are thrown on an image of `size` px: as many as would cover `share` side by side.

    >>> square_count(224, 32, 0.5), square_count(224, 63, 0.6)
    (24, 7)
    """
    return int(size**2 * share / side**2)


def squares(seeds: Sequence[int], size: int, side: int, share: float) -> Tensor:
    """Zeros in squares at random places, which may overlap, ones elsewhere: (B, 1, size, size). seeds: one per image."""
    keep = torch.ones(len(seeds), 1, size, size)
    for image, seed in enumerate(seeds):
        corners = np.random.default_rng(seed).integers(0, size - side, (square_count(size, side, share), 2))
        for top, left in corners.tolist():
            keep[image, :, top : top + side, left : left + side] = 0
    return keep


def salient(image: Tensor, quantile: float) -> Tensor:
    """Ones where an image's spectral-residual saliency is at or above that quantile of itself: (B, 1, H, W).

    image: (B, 3, H, W) in [0, 1]; quantile: the share of pixels that go, in [0, 1].
    """
    saliency = spectral_saliency(image)
    threshold = saliency.flatten(1).quantile(quantile, dim=1)  # (B,)
    return (saliency >= threshold[:, None, None, None]).to(image.dtype)
