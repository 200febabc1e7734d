"""The cost of degrading an image relative to a detector's forward pass: AERIS, every physical model, COCO-C.

python -m bench.speed.degradations --out bench/results/degrade.md

The reference is a forward pass of YOLOv8n (fused, one image of 640 px); batches of images of 512 px are degraded on the
same device, and all numbers are per image. AERIS draws a new size and new parameters each round, as in training.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch import Tensor

from bench.speed.crux import ready, runner
from bench.speed.timing import Timing, measure, options_of, publish, report
from data.degrade import COCO_C, DEGRADATIONS, degrade_batch, draw_parameters, draw_size, image_random
from utils.devices import pick_device

FORWARD, AERIS = "YOLOv8n forward, 640 px", "AERIS blur, resize, noise"
CPU_GOAL, GPU_GOAL = 0.09, 0.1  # AERIS, fraction of the forward pass; a physical model, ms


def forward(cfg: str, imgsz: int, device: torch.device) -> Callable[[], object]:
    """One fused forward pass of one image."""
    return runner(ready(cfg, device), torch.rand(1, 3, imgsz, imgsz, device=device))


def aeris(images: Tensor, numbers: Iterator[int]) -> Callable[[], object]:
    """A batch as in training: one size, parameters per image; the time to draw them counts."""
    shape = (images.shape[2], images.shape[3])

    def work() -> object:
        size = draw_size(image_random(0, next(numbers)), shape)
        draws = [draw_parameters(image_random(0, next(numbers)), shape, size) for _ in images]
        return degrade_batch(images, draws)

    return work


def candidates(options: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], object]]:
    """Name -> one call; all but the forward pass take a whole batch."""
    images = torch.rand(options.batch, 3, options.size, options.size, device=device)
    few, seeds = images[: options.few], list(range(options.few))
    calls = {FORWARD: forward(options.cfg, 640, device), AERIS: aeris(images, count())}
    for name, one in DEGRADATIONS.items():
        calls[name] = lambda one=one: one(few, seeds, 0.75)  # type: ignore[misc]
    for name, other in COCO_C.items():
        calls[f"COCO-C {name}"] = lambda other=other: other(few, seeds, 3)  # type: ignore[misc]
    return calls


def rows(timings: dict[str, Timing], batch: int, few: int) -> list[dict[str, Any]]:
    """One row per candidate, all numbers per image."""
    table = []
    for name, timing in timings.items():
        images = {FORWARD: 1, AERIS: batch}.get(name, few)
        ratio = timing.ratio_to(timings[FORWARD]) / images
        table.append({"candidate": name, "median ms": 1e3 * timing.median / images, "ratio to forward": ratio})
    return table


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=13)
    parser.add_argument("--cfg", default="yolov8n")
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--batch", type=int, default=16, help="of AERIS")
    parser.add_argument("--few", type=int, default=4, help="batch of the other models")
    options = parser.parse_args()
    device = pick_device(options.device)
    timings = measure(options, candidates(options, device), warm_up=1)
    table = rows(timings, options.batch, options.few)
    batches = f"batch {options.batch} ({options.few} but for AERIS)"
    page = report(f"Degrading images of {options.size} px on {device.type}, {batches}", table, options.busy)
    page += f"\nAERIS: {table[1]['ratio to forward']:.3f} of a forward pass (goal on a CPU {CPU_GOAL}). "
    if device.type != "cpu":
        slow = [row["candidate"] for row in table[2 : 2 + len(DEGRADATIONS)] if row["median ms"] > GPU_GOAL]
        page += f"Physical models above {GPU_GOAL} ms (the goal on a GPU): {', '.join(slow) or 'none'}."
    publish(options, page.rstrip() + "\n")


if __name__ == "__main__":
    main()
