"""The cost of a training step of WiiD's classifier relative to a plain one, colours and masks included.

OMP_NUM_THREADS=1 python -m bench.speed.classifier_step --rounds 12 --busy --out bench/results/step-classify.md
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from bench.speed.timing import alternate, clock_of, options_of, publish, report, table
from data.classification.transforms import jittered
from engine.classification.task import COLOURED
from engine.options.classify import DEFAULTS, ClassifyOptions
from engine.options.train import HyperOptions, TrainOptions
from engine.training.distributed import start
from engine.training.optim import Schedule
from engine.training.step import TrainStep
from methods.base import Run
from methods.options.wiid import WiiDOptions
from methods.registry import create
from models.classifier import ClassificationModel, build

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
    model, size = ClassificationModel(build(network, CLASSES)), len(batch["seed"])
    methods = create(method, {WiiDOptions: WiiDOptions(byol_weight=DEFAULTS["byol_weight"])})
    for part in methods:
        part.resolve_options(1, SimpleNamespace(task="classify", splits={"favoured": ()}, file=Path("demo-codan.yaml")))
    train, own = TrainOptions(batch_size=size), ClassifyOptions()
    hyper = HyperOptions(optimizer="Adam", lr0=1e-4, nbs=size, ema=False, warmup_epochs=0)
    step = TrainStep(model, methods, train, hyper, Schedule(hyper, 1, 1 << 30, size), device)
    state, numbers = Run(model, epochs=1), itertools.count()  # type: ignore[arg-type]
    step.begin_epoch(state, 0)

    def whole() -> None:
        state.iteration = next(numbers)
        seen = {**batch, "draw": (0, state.iteration)}
        for number, view in enumerate(COLOURED):
            if view == "img" or methods:
                draw = (0, state.iteration, number)
                seen[view] = jittered(batch[view].float() / 255, draw, own.colour_jitter, own.hue_jitter)
        step(state, seen)

    return whole


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
