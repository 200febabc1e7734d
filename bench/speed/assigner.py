"""The cost of RFLA's assigner relative to Ultralytics': time and memory of the assignment, and of a forward and loss.

python -m bench.speed.assigner --out bench/results/assign.md

Random images of 640 px with tiny objects, boxes and scores of an untrained head.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import torch

from bench.speed.timing import in_fresh_process, measure, options_of, process_memory, publish, report, table
from bench.speed.training_step import on_device
from engine.training.module import TrainingModel
from methods.options.rfla import RFLAOptions
from methods.registry import create
from models.detector import build
from utils.devices import pick_device

CLASSES, REFERENCE = 8, "Ultralytics"
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=10)
CANDIDATES: dict[str, RFLAOptions | None] = {
    REFERENCE: None,
    "hybrid": RFLAOptions(),
    "paper": RFLAOptions(rfla_mode="paper"),
}


def make_batch(batch_size: int, objects: int, imgsz: int) -> dict[str, Any]:
    """Images of noise, each with `objects` boxes of 3 to 20 px."""
    generator = torch.Generator().manual_seed(objects)
    total = batch_size * objects
    centre = torch.rand(total, 2, generator=generator)
    side = (3 + 17 * torch.rand(total, 2, generator=generator)) / imgsz
    return {
        "img": torch.rand(batch_size, 3, imgsz, imgsz, generator=generator),
        "bboxes": torch.cat([centre, side], 1),
        "cls": torch.randint(0, CLASSES, (total, 1), generator=generator).float(),
        "batch_idx": torch.arange(batch_size).repeat_interleave(objects).float(),
        "seed": list(range(batch_size)),
    }


def training_model(cfg: str, options: RFLAOptions | None, device: torch.device) -> TrainingModel:
    """A detector with its criterion, with RFLA or without."""
    torch.manual_seed(0)
    methods = create("rfla", {RFLAOptions: options}) if options else []
    model = TrainingModel(build(cfg, {i: str(i) for i in range(CLASSES)}), methods, GAINS).to(device)
    model.build_criterion()
    return model


def assigner_inputs(model: TrainingModel, batch: dict[str, Any]) -> tuple[Any, ...]:
    """What the assigner of the model's only branch gets in a forward."""
    (branch,) = model.criterion.branches
    with patch.object(branch, "assigner", Mock(wraps=branch.assigner)) as assigner, torch.no_grad():
        model(batch)
    inputs: tuple[Any, ...] = assigner.call_args.args
    return inputs


def assignment(model: TrainingModel, batch: dict[str, Any]) -> Callable[[], Any]:
    """A call of the assigner with the inputs that it gets in a first forward of the model."""
    inputs = assigner_inputs(model, batch)
    return lambda: model.criterion.branches[0].assigner(*inputs)


def rows_of(args: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """One row per candidate and number of objects."""
    rows = []
    for objects in args.objects:
        batch = on_device(make_batch(args.batch_size, objects, args.imgsz), device)
        models = {name: training_model(args.cfg, options, device) for name, options in CANDIDATES.items()}
        peaks = {name: in_fresh_process("--peak", name, "--objects", str(objects)) for name in models}
        assign = measure(args, {name: assignment(model, batch) for name, model in models.items()}, warm_up=1)
        with torch.no_grad():
            whole = measure(args, {name: partial(model, batch) for name, model in models.items()}, warm_up=1)
        for name, row in zip(models, table(assign, REFERENCE), strict=True):
            line = {"objects": objects, "assigner": name}
            line |= {"assign ms": row["median ms"], "ratio": row[f"ratio to {REFERENCE}"]}
            line |= {
                "forward and loss ms": whole[name].median * 1e3,
                "whole ratio": whole[name].ratio_to(whole[REFERENCE]),
            }
            rows.append({**line, "peak memory ratio": peaks[name] / peaks[REFERENCE]})
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()})
    return rows


def measure_peak(args: argparse.Namespace, device: torch.device) -> float:
    """Peak memory of this process, MiB, after one assignment: on a GPU what torch allocates, else the process's own."""
    batch = on_device(make_batch(args.batch_size, args.objects[0], args.imgsz), device)
    assignment(training_model(args.cfg, CANDIDATES[args.peak], device), batch)()
    return torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else process_memory("VmHWM")


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=7)
    parser.add_argument("--cfg", default="yolov8n")
    parser.add_argument("--objects", type=int, nargs="+", default=[20, 100, 300], help="per image")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--peak", choices=list(CANDIDATES), help="only measure this candidate's memory")
    args = parser.parse_args()
    device = pick_device(args.device)
    if args.peak:
        print(measure_peak(args, device))
        return
    title = f"RFLA's assigner and Ultralytics': {args.cfg}, {args.imgsz} px, batch {args.batch_size}"
    publish(args, report(title, rows_of(args, device)))


if __name__ == "__main__":
    main()
