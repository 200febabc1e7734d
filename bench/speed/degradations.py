"""What degrading an image costs beside a detector's forward pass: AERIS, every physical model, COCO-C.

python -m bench.speed.degradations --out bench/results/degrade.md

Beside a forward pass of YOLOv8n (fused, one image of 640 px), batches of images of 512 px are degraded on the same
device; all numbers are an image. AERIS takes a fresh size and fresh parameters each round, as a training does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.speed.timing import Timing, alternate, report
from data.degrade import COCO_C, DEGRADATIONS, degrade_batch, draw_parameters, draw_size, image_random
from models.detector import build

FORWARD, AERIS = "YOLOv8n forward, 640 px", "AERIS blur, resize, noise"
CPU_GOAL, GPU_GOAL = 0.09, 0.1  # AERIS, share of the forward pass; a physical model, ms


def forward(cfg: str, imgsz: int, device: torch.device) -> Callable[[], object]:
    """One fused forward pass of one image."""
    model = build(cfg, {i: str(i) for i in range(80)}).to(device).eval().fuse(verbose=False)
    image = torch.rand(1, 3, imgsz, imgsz, device=device)

    def work() -> object:
        with torch.inference_mode():
            return model(image)

    return work


def aeris(images: Tensor, numbers: Iterator[int]) -> Callable[[], object]:
    """A batch as training makes it: one size, parameters of each image's own; drawing them is counted."""
    shape = (images.shape[2], images.shape[3])

    def work() -> object:
        size = draw_size(image_random(0, next(numbers)), shape)
        draws = [draw_parameters(image_random(0, next(numbers)), shape, size) for _ in images]
        return degrade_batch(images, draws)

    return work


def candidates(options: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], object]]:
    """Everything by name; each takes the whole batch except the forward pass."""
    images = torch.rand(options.batch, 3, options.size, options.size, device=device)
    few, seeds = images[: options.few], list(range(options.few))
    ways = {FORWARD: forward(options.cfg, 640, device), AERIS: aeris(images, count())}
    for name, one in DEGRADATIONS.items():
        ways[name] = lambda one=one: one(few, seeds, 0.75)  # type: ignore[misc]
    for name, other in COCO_C.items():
        ways[f"COCO-C {name}"] = lambda other=other: other(few, seeds, 3)  # type: ignore[misc]
    return ways


def rows(timings: dict[str, Timing], batch: int, few: int) -> list[dict[str, Any]]:
    """One row a candidate, all numbers per image."""
    reference, found = timings[FORWARD], []
    for name, timing in timings.items():
        images = {FORWARD: 1, AERIS: batch}.get(name, few)
        ratio = timing.ratio_to(reference) / images
        found.append({"an image": name, "median ms": 1e3 * timing.median / images, "ratio to forward": ratio})
    return found


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", default="yolov8n")
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--batch", type=int, default=16, help="of AERIS")
    parser.add_argument("--few", type=int, default=4, help="batch of the other models")
    parser.add_argument("--rounds", type=int, default=13)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--busy", action="store_true", help="count processor time: for a CPU that has other work too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    clock = time.process_time if options.busy else time.perf_counter
    ways = candidates(options, torch.device(options.device))
    timings = alternate(ways, rounds=options.rounds, warm_up=1, clock=clock)
    found = rows(timings, options.batch, options.few)
    title = f"Degrading images of {options.size} px on {options.device}, batch {options.batch} ({options.few} but for AERIS)"
    page = report(title + (", processor time" if options.busy else ""), found)
    page += f"\nAERIS: {found[1]['ratio to forward']:.3f} of a forward pass (goal on a CPU {CPU_GOAL}). "
    if options.device != "cpu":
        slow = [row["an image"] for row in found[2 : 2 + len(DEGRADATIONS)] if row["median ms"] > GPU_GOAL]
        page += f"Physical models above {GPU_GOAL} ms (the goal on a GPU): {', '.join(slow) or 'none'}."
    page = page.rstrip() + "\n"
    print(page)
    if options.out:
        options.out.write_text(page)


if __name__ == "__main__":
    main()
