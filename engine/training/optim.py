"""Optimiser, learning-rate schedule and warm-up of YOLOv5, as plain functions of (epoch, iteration)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from engine.options.train import HyperOptions
from utils.errors import UserError

NORMS = tuple(kind for name, kind in vars(nn).items() if "Norm" in name and isinstance(kind, type))
Rates = Mapping[nn.Module, float]
"""Part of a model -> its multiple of the learning rate."""


def parameter_groups(model: nn.Module, rates: Rates | None = None) -> dict[tuple[str, float], list[nn.Parameter]]:
    """Trainable parameters by treatment and multiple of the rate.

    Treatments: `bias` (own warm-up), `norm` (no decay), `weight` (decay).
    """
    own = {id(parameter): rate for part, rate in (rates or {}).items() for parameter in part.parameters()}
    groups: dict[tuple[str, float], list[nn.Parameter]] = {(kind, 1.0): [] for kind in ("bias", "norm", "weight")}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                kind = "bias" if name == "bias" else "norm" if isinstance(module, NORMS) else "weight"
                groups.setdefault((kind, own.get(id(parameter), 1.0)), []).append(parameter)
    return groups


def check_numbers(network: nn.Module, epoch: int, suspect: str = "") -> None:
    """Raises UserError where a weight or a statistic of a batch norm is NaN or Inf: no later step mends that.

    epoch: the one that made it so, from 0 on; suspect: a sentence on what made it so. A loss that was no number once does no
    harm where the scaler of mixed precision left that step out.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(
                f"--lr0: training has diverged in epoch {epoch + 1}: {name} contains NaN or Inf.{suspect} Start again "
                "with a lower --lr0, a longer --warmup-epochs, or --amp False if it ran in mixed precision. What "
                "earlier epochs wrote is kept."
            )


def build_optimiser(
    model: nn.Module, hyper: HyperOptions, batch_size: int, rates: Rates | None = None
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, Adam or AdamW over three groups, and three more for each multiple in `rates`.

    Weight decay is scaled to the batch it acts on.
    """
    effective = batch_size * accumulation(hyper, batch_size)
    decay = {"bias": 0.0, "norm": 0.0, "weight": hyper.weight_decay * effective / hyper.nbs}
    settings = [
        {"params": parameters, "weight_decay": decay[kind], "kind": kind, "rate": rate}
        for (kind, rate), parameters in parameter_groups(model, rates).items()
        if parameters
    ]
    if hyper.optimizer == "SGD":
        return torch.optim.SGD(settings, lr=hyper.lr0, momentum=hyper.momentum, nesterov=hyper.momentum > 0)
    kind = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[hyper.optimizer]
    return kind(settings, lr=hyper.lr0, betas=(hyper.momentum, 0.999))


def accumulation(hyper: HyperOptions, batch_size: int) -> int:
    """Batches a step of the optimiser once warm-up is over."""
    return max(round(hyper.nbs / batch_size), 1)


@dataclass(frozen=True)
class Schedule:
    """Learning rate and momentum at every iteration; `batches` are the batches per epoch.

    --lr-steps divides the learning rate by ten after each of these epochs, --lr-schedule step after each third of the run;
    else it is linear, or a cosine.
    """

    hyper: HyperOptions
    epochs: int
    batches: int
    batch_size: int

    @property
    def warmup(self) -> int:
        """Iterations of warm-up: at least 100, but never more than half of the run."""
        wanted = max(round(self.hyper.warmup_epochs * self.batches), 100) if self.hyper.warmup_epochs > 0 else 0
        return min(wanted, self.epochs * self.batches // 2)

    def factor(self, epoch: int) -> float:
        """Fraction of lr0 in an epoch, from 1 down to lrf; in steps 1, 0.1, 0.01."""
        thirds = [third * self.epochs for third in (1 / 3, 2 / 3)] if self.hyper.lr_schedule == "step" else []
        if steps := self.hyper.lr_steps or thirds:
            return 0.1 ** sum(epoch >= step for step in steps)
        done = epoch / self.epochs
        if self.hyper.cos_lr:
            return (1 + math.cos(math.pi * done)) / 2 * (1 - self.hyper.lrf) + self.hyper.lrf
        return (1 - done) * (1 - self.hyper.lrf) + self.hyper.lrf

    def apply(self, optimiser: torch.optim.Optimizer, epoch: int, iteration: int) -> int:
        """Set learning rates and momentum for an iteration. Returns how many batches one step accumulates then."""
        full = self.hyper.lr0 * self.factor(epoch)
        warm = min(iteration / self.warmup, 1.0) if self.warmup else 1.0
        momentum = float(np.interp(warm, [0, 1], [self.hyper.warmup_momentum, self.hyper.momentum]))
        for group in optimiser.param_groups:
            start = self.hyper.warmup_bias_lr if group["kind"] == "bias" else 0.0
            group["lr"] = (start + (full - start) * warm) * group["rate"]
            if "momentum" in group:
                group["momentum"] = momentum
            else:
                group["betas"] = (momentum, group["betas"][1])
        return max(round(np.interp(warm, [0, 1], [1, accumulation(self.hyper, self.batch_size)])), 1)


def learning_rates(optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """The rate of each group, as columns of results.csv."""
    return {
        f"lr/{group['kind']}" + (f"x{group['rate']:g}" if group["rate"] != 1 else ""): group["lr"]
        for group in optimiser.param_groups
    }
