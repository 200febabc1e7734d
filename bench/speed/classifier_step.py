"""The cost of a training step of WiiD's classifier relative to a plain one, colours and masks included.

OMP_NUM_THREADS=1 python -m bench.speed.classifier_step --rounds 12 --busy --out bench/results/step-classify.md
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from bench.speed.timing import measure, options_of, publish, report, table
from bench.speed.training_step import make_methods, on_device, repeat_step, with_views
from data.classification.transforms import jittered
from engine.classification.task import COLOURED
from engine.options.classify import DEFAULTS, ClassifyOptions
from engine.options.train import HyperOptions
from engine.training.distributed import start
from models.classifier import ClassificationModel, build

CLASSES = 10


def make_batch(batch_size: int, imgsz: int) -> dict[str, Any]:
    """Random images with a class each."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch_size, 3, imgsz, imgsz, generator=generator)
    return {"img": images, "cls": torch.arange(batch_size) % CLASSES, "seed": list(range(batch_size))}


def make_step(run: str, network: str, batch: dict[str, Any], device: torch.device) -> Callable[[], None]:
    """A call of one whole training step, colour jitter included."""
    torch.manual_seed(0)
    model, own = ClassificationModel(build(network, CLASSES)), ClassifyOptions()
    methods = make_methods(run)
    data = SimpleNamespace(task="classify", splits=dict.fromkeys(COLOURED), file=Path("demo-codan.yaml"))
    for method in methods:
        method.resolve_options(2, data)

    def jitter(batch: dict[str, Any]) -> dict[str, Any]:
        for number, view in enumerate(COLOURED):
            if view in batch:
                batch[view] = jittered(batch[view], (*batch["draw"], number), own.colour_jitter, own.hue_jitter)
        return batch

    hyper = HyperOptions(optimizer="Adam", lr0=1e-4, nbs=len(batch["seed"]), ema=False, warmup_epochs=0)
    return repeat_step(model, methods, with_views(batch, methods), hyper, device, change=jitter)


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=20)
    parser.add_argument("--cfg", default="resnet18")
    parser.add_argument("--imgsz", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    device = start(options.device)
    batch = on_device(make_batch(options.batch_size, options.imgsz), device)
    runs = {"none": "none", "wiid": f"wiid byol_weight={DEFAULTS['byol_weight']}"}
    steps = {name: make_step(run, options.cfg, batch, device) for name, run in runs.items()}
    title = f"A training step of {options.cfg}, {options.imgsz} px, batch {options.batch_size}, {device}"
    publish(options, report(title, table(measure(options, steps), "none"), options.busy))


if __name__ == "__main__":
    main()
