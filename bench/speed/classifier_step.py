"""The cost of a training step of WiiD's classifier relative to a plain one, colours and masks included.

OMP_NUM_THREADS=1 python -m bench.speed.classifier_step --rounds 12 --busy --out bench/results/step-classify.md
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch

from bench.speed.timing import alternate, clock_of, options_of, publish, report, table
from engine.classification.learners import DayLearner, PairLearner
from engine.options.classify import DEFAULTS, ClassifyOptions
from engine.options.train import HyperOptions
from engine.training.distributed import start
from engine.training.optim import build_optimiser
from methods.options.wiid import WiiDOptions
from models.classifier import build

CLASSES = 10


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
    """A call of one whole training step. method: "none" or "wiid"."""
    torch.manual_seed(0)
    wiid = WiiDOptions(byol_weight=DEFAULTS["byol_weight"], use_mmd=True)
    plain, own = build(network, CLASSES), ClassifyOptions()
    learner = DayLearner(plain, own) if method == "none" else PairLearner(plain, own, wiid)
    learner = learner.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    hyper = HyperOptions(optimizer="Adam", lr0=1e-4, nbs=len(batch["seed"]))
    optimiser = build_optimiser(learner, hyper, len(batch["seed"]))
    views = {key: value for key, value in batch.items() if method == "wiid" or key not in ("pair", "favoured")}
    numbers = itertools.count()

    def step() -> None:
        terms = learner(learner.prepare(views, next(numbers)))
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 10.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        learner.after_step()

    return step


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=20)
    parser.add_argument("--cfg", default="resnet18")
    parser.add_argument("--imgsz", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    device = start(options.device)
    batch = make_batch(options.batch_size, options.imgsz, device)
    steps = {method: make_step(method, options.cfg, batch, device) for method in ("none", "wiid")}
    timings = alternate(steps, rounds=options.rounds, clock=clock_of(options))
    title = f"A training step of {options.cfg}, {options.imgsz} px, batch {options.batch_size}, {device}"
    publish(options, report(title + (", processor time" if options.busy else ""), table(timings, "none")))


if __name__ == "__main__":
    main()
