"""Optimiser, learning-rate schedule and warm-up of YOLOv5 and Ultralytics, as plain functions of (epoch, iteration)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from engine.options.train import HyperOptions
from utils.errors import UserError
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.optim import MuSGD  # noqa: E402

HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}  # of --amp
NORMS = tuple(kind for name, kind in vars(nn).items() if "Norm" in name and isinstance(kind, type))
Rates = Mapping[nn.Module, float]
"""Part of a model -> its multiple of the learning rate."""
MANY_STEPS = 10_000  # of the optimiser, at the nominal batch: beyond it, `auto` is MuSGD
MUON, SGD = 0.2, 1.0  # weights of the two updates of MuSGD, as Ultralytics trains
CLASS_RATE = 3.0  # multiple of the learning rate for the class branches of a detector under MuSGD


def resolve_auto(hyper: HyperOptions, images: int, epochs: int, batch_size: int, classes: int) -> HyperOptions:
    """What `--optimizer auto` stands for, by the rule of Ultralytics 8.4 (BaseTrainer.build_optimizer).

    MuSGD with lr0 0.01 where the run has more than 10 000 optimiser steps at the nominal batch, else AdamW with lr0
    0.002 * 5 / (4 + classes) and beta1 0.9 throughout. Biases warm up from zero. Other optimisers are left as they are.

    >>> resolve_auto(HyperOptions(optimizer="auto"), images=160, epochs=100, batch_size=16, classes=1).lr0
    0.002
    """
    if hyper.optimizer != "auto":
        return hyper
    steps = math.ceil(images / max(batch_size, hyper.nbs)) * epochs
    if steps > MANY_STEPS:
        return replace(hyper, optimizer="MuSGD", lr0=0.01, warmup_bias_lr=0.0)
    rate = round(0.002 * 5 / (4 + classes), 6)
    return replace(hyper, optimizer="AdamW", lr0=rate, momentum=0.9, warmup_momentum=0.9, warmup_bias_lr=0.0)


def class_branches(detector: nn.Module) -> list[nn.Module]:
    """The parts of a detector's head that tell classes apart; none in a network without such a head."""
    layers = getattr(detector, "model", None)
    head = layers[-1] if isinstance(layers, nn.Sequential) else None
    return [part for name in ("cv3", "one2one_cv3") if isinstance(part := getattr(head, name, None), nn.Module)]


def parameter_groups(
    model: nn.Module, rates: Rates | None = None, matrices: str = "weight"
) -> dict[tuple[str, float], list[nn.Parameter]]:
    """Trainable parameters by treatment and multiple of the rate.

    Treatments: `bias` (own warm-up), `norm` (no decay), `weight` (decay). matrices: the treatment of weights of two or
    four dimensions.
    """
    own = {id(parameter): rate for part, rate in (rates or {}).items() for parameter in part.parameters()}
    groups: dict[tuple[str, float], list[nn.Parameter]] = {(kind, 1.0): [] for kind in ("bias", "norm", "weight")}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                kind = "bias" if name == "bias" else "norm" if isinstance(module, NORMS) else "weight"
                kind = matrices if kind == "weight" and parameter.ndim in (2, 4) else kind
                groups.setdefault((kind, own.get(id(parameter), 1.0)), []).append(parameter)
    return groups


def check_numbers(network: nn.Module, epoch: int, suspect: str = "") -> None:
    """Raises UserError where a weight or a statistic of a batch norm is NaN or Inf: no later step mends that.

    epoch: the one that made it so, from 0 on; suspect: a sentence on what made it so. A loss that was no number once does no
    harm where the scaler of mixed precision left that step out.
    """
    state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    if not state:
        return
    finite = torch.stack([tensor.isfinite().all() for tensor in state.values()]).tolist()  # one wait for all
    bad = next((name for name, right in zip(state, finite, strict=True) if not right), None)
    if bad is not None:
        raise UserError(
            f"--lr0: training has diverged in epoch {epoch + 1}: {bad} contains NaN or Inf.{suspect} Start again "
            "with a lower --lr0, a longer --warmup-epochs, or --amp off if it ran in mixed precision. What "
            "earlier epochs wrote is kept."
        )


def build_optimiser(
    model: nn.Module, hyper: HyperOptions, batch_size: int, rates: Rates | None = None, fused: bool = False
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, Adam or AdamW over three groups, and three more for each multiple in `rates`.

    MuSGD has a fourth group, `muon`: matrices and filters, whose updates it makes orthogonal. Weight decay is scaled to
    the batch it acts on. fused: one kernel for all parameters, which also takes the scaler's verdict on the device.
    """
    effective = batch_size * accumulation(hyper, batch_size)
    decay = {"bias": 0.0, "norm": 0.0, "weight": hyper.weight_decay * effective / hyper.nbs}
    decay["muon"], muon = decay["weight"], hyper.optimizer == "MuSGD"
    settings = [
        {"params": parameters, "weight_decay": decay[kind], "kind": kind, "rate": rate}
        for (kind, rate), parameters in parameter_groups(model, rates, "muon" if muon else "weight").items()
        if parameters
    ]
    if muon:
        groups = [{**group, "use_muon": group["kind"] == "muon"} for group in settings]
        chosen: torch.optim.Optimizer = MuSGD(
            groups, lr=hyper.lr0, momentum=hyper.momentum, nesterov=True, muon=MUON, sgd=SGD
        )
        return chosen
    if hyper.optimizer == "SGD":
        nesterov = hyper.momentum > 0
        return torch.optim.SGD(settings, lr=hyper.lr0, momentum=hyper.momentum, nesterov=nesterov, fused=fused or None)
    kind = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[hyper.optimizer]
    return kind(settings, lr=hyper.lr0, betas=(hyper.momentum, 0.999), fused=fused or None)


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
        """Iterations of warm-up: at least --warmup-steps, but never more than half of the run.

        With --warmup-steps 0: --warmup-epochs, but at most all epochs except the last, as in Ultralytics.
        """
        if not self.hyper.warmup_steps:
            return round(min(self.hyper.warmup_epochs, max(self.epochs - 1, 0)) * self.batches)
        least = self.hyper.warmup_steps
        wanted = max(round(self.hyper.warmup_epochs * self.batches), least) if self.hyper.warmup_epochs > 0 else 0
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
            start /= group["rate"] if "use_muon" in group else 1.0  # there the multiple is of the final rate only
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
