"""What a training step asks of a GPU, per method: kernels launched, stops of the host, copies, memory format.

python -m bench.speed.launches --out bench/results/launches.md --waits bench/results/waits.md

Counted on the simulated accelerator of the tests, so that no GPU is needed: counts are exact, times do not exist. A launch is
an operator of PyTorch that computes; a foreach or fused one counts once. The third step is counted: the first ones make
what is kept, and measure how strongly terms act.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from bench.speed.timing import options_of, publish, report
from bench.speed.training_step import PLAIN, make_batch, make_step
from engine.training.distributed import start
from methods.registry import METHODS
from tests.accelerator.device import KIND, STOPS, Trace, simulated
from utils.tables import markdown_table

CRUX = "lcp"  # trains models of its own, in two kinds of epochs
BEFORE = {
    "none": 17, "wiid": 37, "wiid highlight=boxes": 40, "rfla": 20, "rfla rfla_mode=paper": 20, "aeris": 22,
    "aeris consistency_weight=1": 43, "richsem": 28, "longtail federated=2": 22, "wiid method=wiid+rfla": 43,
    "wiid method=wiid+richsem": 48, "aeris method=aeris+rfla": 24,
}  # fmt: skip
"""Stops a step before methods drew on the host, at batch 8 of YOLOv5n (commit a57365d)."""
RUNS = (*BEFORE, "longtail federated=2", "richsem")


def count(run: str, options: argparse.Namespace, epoch: int = 0, cfg: str = "") -> Trace:
    """One step of a run, counted."""
    with simulated() as trace:
        step = make_step(run, cfg or options.cfg, make_batch(options.batch_size, options.imgsz), torch.device(KIND, 0), epoch)
        for _ in range(5):  # four of them measure
            step()
        trace.clear()
        step()
    return trace
