"""The classifier of task classify: what WiiD is worth on demo-codan, and what a step of it costs.

python -m bench.codan                                # the four runs, three seeds: day only, the pair, WiiD without masks, WiiD
python -m bench.codan --split val --seeds 1          # to choose among variants
python -m bench.codan --split val --seeds 1 --still  # WiiD whose batch norms keep no statistics of the unlabelled nights
python -m bench.codan --enhanced                     # the same runs with images enhanced at test
python -m bench.codan --step                         # a training step of WiiD against a plain one

What --step times runs in one process, alternating, after a warm-up; medians are reported and only their ratios are claimed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from bench.dark_tasks import DarkTask, add_options
from bench.speed.timing import alternate, report, table
from engine.classification.learners import DayLearner, PairLearner
from engine.options.classify import DEFAULTS, ClassifyOptions
from engine.options.train import HyperOptions
from engine.training.distributed import start
from engine.training.optim import build_optimiser
from methods.options.wiid import WiiDOptions
from models.classifier import build
from utils.files import atomic_write
from utils.options import run_cli

UNMASKED = "mask_squares=0 mask_saliency=0"
RUNS = (
    "none",
    f"wiid byol_weight=0 use_mmd=false {UNMASKED}",
    f"wiid {UNMASKED}",
    "wiid mask_squares=0.2 mask_saliency=0",  # the shares are chosen on val
)
TASK = DarkTask(
    name="demo-codan",
    recipe={"data": "demo-codan", "imgsz": 64, "epochs": 6, "batch_size": 32, "lr0": 0.0005},
    day={"epochs": 30, "lr0": 0.0017},
    runs=RUNS,
)
CLASSES = 10


def keep_statistics() -> None:
    """From here on, the unlabelled nights leave the running statistics of the batch norms as they are."""
    usual = PairLearner._night_features

    def still(learner: PairLearner, nights: torch.Tensor) -> torch.Tensor:
        norms = [layer for layer in learner.network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
        features = usual(learner, nights)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        return features

    PairLearner._night_features = still  # type: ignore[method-assign, assignment]


def make_batch(batch_size: int, imgsz: int, device: torch.device) -> dict[str, Any]:
    """Random images in all views."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, 3, imgsz, imgsz)
    views = {
        view: torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)
        for view in ("img", "pair", "favoured")
    }
    return {**views, "cls": (torch.arange(batch_size) % CLASSES).to(device), "seed": list(range(batch_size))}


def make_step(method: str, network: str, batch: dict[str, Any], device: torch.device) -> Callable[[], None]:
    """One whole training step, colours and masks included, as the trainer takes it. method: "none" or "wiid"."""
    torch.manual_seed(0)
    wiid = WiiDOptions(byol_weight=DEFAULTS["byol_weight"], use_mmd=True)
    plain, own = build(network, CLASSES), ClassifyOptions()
    learner = DayLearner(plain, own) if method == "none" else PairLearner(plain, own, wiid)
    learner = learner.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    hyper = HyperOptions(optimizer="Adam", lr0=1e-4, nbs=len(batch["seed"]))
    optimiser = build_optimiser(learner, hyper, len(batch["seed"]))
    seen = {key: value for key, value in batch.items() if method == "wiid" or key not in ("pair", "favoured")}
    numbers = itertools.count()

    def step() -> None:
        terms = learner(learner.prepare(seen, next(numbers)))
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 10.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        learner.after_step()

    return step


def time_steps(given: argparse.Namespace) -> str:
    """The table of --step."""
    device = start(given.device)
    batch = make_batch(given.batch_size, given.imgsz, device)
    steps = {method: make_step(method, given.cfg, batch, device) for method in ("none", "wiid")}
    clock = time.process_time if given.busy else time.perf_counter
    title = f"A training step of {given.cfg}, {given.imgsz} px, batch {given.batch_size}, {device}"
    title += ", processor time" if given.busy else ""
    return report(title, table(alternate(steps, rounds=given.rounds, clock=clock), "none"))


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, RUNS)
    parser.add_argument(
        "--still", action="store_true", help="WiiD without masks, its nights kept out of the statistics"
    )
    parser.add_argument("--step", action="store_true", help="time a step instead of comparing runs")
    parser.add_argument("--cfg", default="resnet18", help="with --step")
    parser.add_argument("--imgsz", type=int, default=64, help="with --step")
    parser.add_argument("--batch-size", type=int, default=32, help="with --step")
    parser.add_argument("--rounds", type=int, default=20, help="with --step")
    parser.add_argument("--device", default="cpu", help="with --step")
    parser.add_argument("--busy", action="store_true", help="with --step: count processor time, for a busy CPU")
    given = parser.parse_args()
    if given.enhanced:
        TASK.enhanced(given)
    elif given.step:
        text = time_steps(given)
        print(text)
        atomic_write(given.out / "step-classify.md", text.encode())
    elif given.still:
        keep_statistics()
        given.runs = [f"wiid {UNMASKED}"]
        replace(TASK, name=f"{TASK.name}-still").compare(given)
    else:
        TASK.compare(given)


if __name__ == "__main__":
    sys.exit(run_cli(main))
