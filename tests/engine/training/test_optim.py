"""Groups, accumulation and schedule, computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from engine.options.train import HyperOptions
from engine.training.optim import (
    Schedule,
    accumulation,
    build_optimiser,
    check_numbers,
    learning_rates,
    parameter_groups,
    resolve_auto,
)
from utils.errors import UserError


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2, bias=False))


def test_parameters_by_treatment() -> None:
    """Biases of convolution and norm; the norm's weight; the two weights that decay."""
    counts = {kind: len(parameters) for (kind, _), parameters in parameter_groups(small_net()).items()}
    assert counts == {"bias": 2, "norm": 1, "weight": 2}


def test_frozen_parameters_are_in_no_group() -> None:
    net = small_net()
    net[0].requires_grad_(False)
    assert sum(len(parameters) for parameters in parameter_groups(net).values()) == 3


@pytest.mark.parametrize(("batch", "expected"), [(8, 8), (16, 4), (48, 1), (64, 1), (200, 1)])
def test_accumulation_to_the_nominal_batch(batch: int, expected: int) -> None:
    assert accumulation(HyperOptions(nbs=64), batch) == expected


def test_weight_decay_follows_the_batch_it_acts_on() -> None:
    """Batch 48 is not accumulated (64 / 48 rounds to 1): decay 0.0005 * 48 / 64."""
    groups = build_optimiser(small_net(), HyperOptions(), 48).param_groups
    assert {group["kind"]: group["weight_decay"] for group in groups} == {"bias": 0.0, "norm": 0.0, "weight": 0.000375}


@pytest.mark.parametrize(
    ("name", "kind"), [("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam), ("AdamW", torch.optim.AdamW)]
)
def test_optimisers_by_name(name: str, kind: type) -> None:
    assert type(build_optimiser(small_net(), HyperOptions(optimizer=name), 16)) is kind


@pytest.mark.parametrize(
    ("cosine", "epoch", "expected"),
    [(False, 0, 1.0), (False, 5, 0.55), (False, 10, 0.1), (True, 0, 1.0), (True, 5, 0.55), (True, 10, 0.1)],
)
def test_factor_of_the_learning_rate(cosine: bool, epoch: int, expected: float) -> None:
    """From 1 to lrf 0.1 in ten epochs; both schedules are half-way in the middle."""
    schedule = Schedule(HyperOptions(lrf=0.1, cos_lr=cosine), epochs=10, batches=5, batch_size=16)
    assert schedule.factor(epoch) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("epochs", "batches", "wanted", "expected"),
    [(100, 50, 3.0, 150), (100, 10, 3.0, 100), (10, 10, 3.0, 50), (100, 50, 0.0, 0)],
)
def test_length_of_the_warm_up(epochs: int, batches: int, wanted: float, expected: int) -> None:
    """Three epochs, at least 100 iterations, at most half of the run."""
    assert Schedule(HyperOptions(warmup_epochs=wanted), epochs, batches, 16).warmup == expected


def test_warm_up_by_hand() -> None:
    """At iteration 50 of 100: weights 0 -> 0.005; biases from 0.1 half-way to 0.01; momentum 0.8685; accumulation 1 -> 4."""
    hyper = HyperOptions()
    schedule = Schedule(hyper, epochs=100, batches=10, batch_size=16)
    optimiser = build_optimiser(small_net(), hyper, 16)
    accumulate = schedule.apply(optimiser, epoch=0, iteration=50)
    rates = {group["kind"]: group["lr"] for group in optimiser.param_groups}
    assert rates == pytest.approx({"bias": 0.055, "norm": 0.005, "weight": 0.005})
    assert optimiser.param_groups[0]["momentum"] == pytest.approx((0.8 + 0.937) / 2)
    assert accumulate == 2  # round(2.5), to even


def test_adam_warms_up_its_first_beta() -> None:
    hyper = HyperOptions(optimizer="AdamW", warmup_momentum=0.5, momentum=0.9)
    optimiser = build_optimiser(small_net(), hyper, 64)
    Schedule(hyper, 100, 10, 64).apply(optimiser, 0, 0)
    assert optimiser.param_groups[0]["betas"] == (0.5, 0.999)


def test_a_part_with_its_own_rate():
    """The first layer at 100 times the rate: two more groups, and columns of their own."""
    net = small_net()
    optimiser = build_optimiser(net, HyperOptions(lr0=0.01, warmup_epochs=0), 64, {net[0]: 100.0})
    Schedule(HyperOptions(lr0=0.01, warmup_epochs=0), epochs=1, batches=10, batch_size=64).apply(optimiser, 0, 5)
    rates = learning_rates(optimiser)
    assert rates["lr/weight"] == pytest.approx(0.01) and rates["lr/weightx100"] == pytest.approx(1.0)
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(net.parameters()))


def test_what_is_no_number_is_named_weights_and_statistics_alike() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    check_numbers(network, 0)
    network[1].running_var[1] = math.inf
    with pytest.raises(UserError, match="diverged in epoch 4: 1.running_var contains NaN or Inf"):
        check_numbers(network, 3)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1.0), (15, 1.0), (16, 0.1), (21, 0.1), (22, 0.01), (23, 0.01)])
def test_steps_divide_by_ten(epoch: int, expected: float) -> None:
    hyper = HyperOptions(lr_steps=(16, 22), lr_schedule="step")
    assert Schedule(hyper, 24, 10, 2).factor(epoch) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("images", "epochs", "batch", "classes", "expected"),
    [
        (160, 100, 16, 1, ("AdamW", 0.002)),  # ceil(160 / 64) * 100 = 300 steps; 0.002 * 5 / 5
        (160, 100, 16, 12, ("AdamW", 0.000625)),  # 0.002 * 5 / 16
        (6400, 100, 16, 12, ("AdamW", 0.000625)),  # exactly 10 000 steps
        (6401, 100, 16, 12, ("MuSGD", 0.01)),  # 10 100
        (6401, 100, 128, 12, ("AdamW", 0.000625)),  # ceil(6401 / 128) * 100 = 5 100
    ],
)
def test_auto_by_hand(images: int, epochs: int, batch: int, classes: int, expected: tuple[str, float]) -> None:
    hyper = resolve_auto(HyperOptions(optimizer="auto"), images, epochs, batch, classes)
    assert (hyper.optimizer, hyper.lr0) == expected and hyper.warmup_bias_lr == 0


def test_auto_leaves_a_named_optimiser_alone() -> None:
    assert resolve_auto(HyperOptions(), 10, 10, 16, 1) == HyperOptions()


@pytest.mark.parametrize(
    ("epochs", "batches", "least", "expected"),
    [(100, 5, 100, 100), (100, 50, 100, 150), (4, 5, 100, 10), (100, 5, 0, 15), (2, 5, 0, 5), (1, 5, 0, 0)],
)
def test_warmup_in_iterations(epochs: int, batches: int, least: int, expected: int) -> None:
    """Three epochs of warm-up, at least `least` steps and at most half of the run; 0: all epochs but the last at most."""
    assert Schedule(HyperOptions(warmup_steps=least), epochs, batches, 16).warmup == expected
