"""What RFLA's assigner costs beside the stock one: time and memory of the assignment, and of a whole forward and loss.

python -m bench.speed.assigner --out bench/results/assign.md

Random images of 640 px with tiny objects, an untrained head's boxes and scores; everything in one process, alternating.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from bench.speed.timing import alternate, report, table
from engine.training.module import TrainingModel
from methods.options.rfla import RFLAOptions
from methods.registry import create
from models.detector import build

CLASSES = 8
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=10)
CANDIDATES: dict[str, RFLAOptions | None] = {
    "stock": None,
    "hybrid": RFLAOptions(),
    "hybrid, nearest": RFLAOptions(rfla_selection="nearest", rfla_box="cap"),
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


def assignment(model: TrainingModel, batch: dict[str, Any]) -> Callable[[], Any]:
    """A call of the assigner with what a first forward of the model gives it."""
    noted: list[tuple[Any, ...]] = []
    assigner = model.criterion.assigner

    def note(*arguments: Any) -> Any:
        noted.append(arguments)
        return assigner(*arguments)

    model.criterion.assigner = note
    with torch.no_grad():
        model(batch)
    model.criterion.assigner = assigner
    return lambda: assigner(*noted[0])


def step(model: TrainingModel, batch: dict[str, Any]) -> Callable[[], Tensor]:
    """Forward and loss."""
    return lambda: model(batch)[0].detach()


def rows_of(args: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """One row a candidate and number of objects."""
    rows = []
    for objects in args.objects:
        batch = make_batch(args.batch_size, objects, args.imgsz)
        batch = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
        models = {name: training_model(args.cfg, options, device) for name, options in CANDIDATES.items()}
        assign = alternate({n: assignment(m, batch) for n, m in models.items()}, rounds=args.rounds, warm_up=1)
        with torch.no_grad():
            whole = alternate({n: step(m, batch) for n, m in models.items()}, rounds=args.rounds, warm_up=1)
        for name, row in zip(models, table(assign, "stock"), strict=True):
            rows.append(
                {
                    "objects": objects,
                    "assigner": name,
                    "assign ms": row["median ms"],
                    "ratio": row["ratio to stock"],
                    "forward and loss ms": whole[name].median * 1e3,
                    "whole ratio": whole[name].ratio_to(whole["stock"]),
                    "peak memory ratio": peak(args, name, objects) / peak(args, "stock", objects),
                }
            )
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()})
    return rows


def peak(args: argparse.Namespace, name: str, objects: int) -> float:
    """Peak memory of a fresh process that assigns once, MiB: on a GPU what torch allocates, else the process's own."""
    command = [
        sys.executable,
        "-m",
        "bench.speed.assigner",
        "--peak",
        name,
        "--objects",
        str(objects),
        "--cfg",
        args.cfg,
    ]
    command += ["--batch-size", str(args.batch_size), "--imgsz", str(args.imgsz)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_peak(args: argparse.Namespace, device: torch.device) -> float:
    """Of this process: one assignment, on top of the model and its first forward."""
    work = assignment(training_model(args.cfg, CANDIDATES[args.peak], device), _on(device, args))
    work()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _on(device: torch.device, args: argparse.Namespace) -> dict[str, Any]:
    batch = make_batch(args.batch_size, args.objects[0], args.imgsz)
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", default="yolov8n")
    parser.add_argument("--objects", type=int, nargs="+", default=[20, 100, 300], help="an image")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak", choices=list(CANDIDATES), help="only measure this candidate's memory")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if args.peak:
        print(measure_peak(args, device))
        return
    page = report(
        f"The assigner beside the stock one: {args.cfg}, {args.imgsz} px, batch {args.batch_size}",
        rows_of(args, device),
    )
    print(page)
    if args.out:
        args.out.write_text(page)


if __name__ == "__main__":
    main()
