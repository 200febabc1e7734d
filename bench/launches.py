"""What a training step asks of a GPU, per method: kernels launched, stops of the host, copies, memory format.

python -m bench.launches --out bench/results/launches.md --waits bench/results/waits.md

Counted on the simulated accelerator of the tests, so that no GPU is needed: counts are exact, times do not exist. A launch is
an operator of PyTorch that computes; a foreach or fused one counts once. Counted is a step after those that make what is
kept; the batches in which a run measures how strongly terms act are not counted, and wait once each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench.speed.timing import options_of, publish, report
from bench.speed.training_step import make_batch, make_step
from engine.training.distributed import start
from methods.registry import METHODS
from tests.accelerator.device import KIND, STOPS, Trace, simulated

PLAIN, WARM_UP = "none", 1
RUNS = {
    PLAIN: 17,
    "wiid": 37,
    "wiid highlight=boxes": 40,
    "rfla": 20,
    "rfla rfla_mode=paper": 20,
    "aeris": 22,
    "aeris consistency_weight=1": 43,
    "richsem": 28,
    "longtail federated=2": 22,
    "weather weather=street": None,
    "wiid method=wiid+rfla": 43,
    "wiid method=wiid+richsem": 48,
    "aeris method=aeris+rfla": 24,
}
"""Run -> stops a step before methods drew on the host, at batch 8 of YOLOv5n."""
CRUX = {"lcp, epoch U": (0, 1), "lcp, epoch C": (1, 17)}
"""Kind of epoch -> (its number of two, stops before); a model of its own."""


def counted(run: str, cfg: str, options: argparse.Namespace, epoch: int = 0) -> Trace:
    """One step of a run."""
    with simulated() as trace:
        device = torch.device(KIND, 0)
        step = make_step(run, cfg, make_batch(options.batch_size, options.imgsz), device, epoch, gauged=False)
        for _ in range(WARM_UP):
            step()
        trace.clear()
        step()
    return trace


def traces(options: argparse.Namespace) -> Iterator[tuple[str, int | None, Trace]]:
    """Name, stops before, and what was counted."""
    for run, before in RUNS.items():
        yield run, before, counted(run if " " in run or run in METHODS else PLAIN, options.cfg, options)
    for name, (epoch, before) in CRUX.items():
        yield name, before, counted("lcp", options.crux, options, epoch)


def rows(name: str, before: int | None, trace: Trace, plain: Trace) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of each page."""
    launches, in_order, others = (trace.count(kind) for kind in ("launch", "channels last", "contiguous"))
    first = {"run": name, "launches": launches, "ratio to plain": launches / plain.count("launch")}
    first |= {"convolutions": in_order + others, "not in channels-last order": others}
    second = {"run": name, "stops before": "" if before is None else before, "stops": trace.count(*STOPS)}
    second |= {"waits": trace.count("wait"), "blocking copies": trace.count("to host", "to device")}
    second |= {"copies that do not block": trace.count("in flight"), "where": ", ".join(trace.lines(*STOPS)) or "-"}
    return first, second


def main() -> None:
    """Count, print, and write the pages."""
    parser = options_of(__doc__)
    parser.add_argument("--cfg", default="yolov5n")
    parser.add_argument("--crux", default="yolov8n-crux", help="the model of lcp")
    parser.add_argument("--imgsz", type=int, default=64, help="counts hardly depend on it")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--waits", type=Path, help="also write the page of waits here")
    options = parser.parse_args()
    start("cpu")
    found = list(traces(options))
    pages = list(zip(*(rows(*entry, found[0][2]) for entry in found), strict=True))
    what = f"{options.cfg}, batch {options.batch_size}, mixed precision, one optimiser step"
    publish(options, report(f"Kernels that a training step launches: {what}", pages[0]))
    page = report(f"Stops of the host in a training step: {what}", pages[1])
    print(page)
    if options.waits:
        options.waits.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
