"""What cutting a large picture and joining its boxes costs beside the network: a sliced picture against its tiles, ready.

python -m bench.slice --out bench/results/slice.md

A made-up picture of 4000 x 3000 px, an untrained detector with a confidence threshold that leaves some boxes in each tile.
Ready: the same tiles as contiguous pictures of the network's size, batch by batch through network and suppression.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench.timing import alternate, report, table
from engine.networks import TorchNetwork
from engine.runner import Runner
from engine.slicing import SlicedRunner, Tiling
from models.detector import build

GOAL = 0.85  # of the throughput of ready batches


def make_picture(height: int, width: int) -> np.ndarray:
    """Noise and rectangles, (H, W, 3) uint8."""
    generator = np.random.default_rng(0)
    picture = generator.integers(60, 120, (height, width, 3), dtype=np.uint8)
    for _ in range(2000):
        side = generator.integers(5, 40, 2)
        top, left = generator.integers(0, (height - 40, width - 40))
        picture[top : top + side[0], left : left + side[1]] = generator.integers(0, 255, 3)
    return picture


def make_runner(cfg: str, imgsz: int, tiles: list[np.ndarray], each: int) -> Runner:
    """A detector that keeps about `each` boxes of a tile: the threshold is taken from a first look at some tiles."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = TorchNetwork(build(cfg, {i: str(i) for i in range(8)}), device)
    scores = network(tiles[:2])[:, 4:].amax(1).flatten()
    threshold = float(scores.topk(min(len(scores), 2 * each)).values[-1])
    return Runner(network, imgsz=(imgsz, imgsz), conf=threshold, iou=0.99)


def candidates(options: argparse.Namespace) -> tuple[dict[str, Callable[[], object]], SlicedRunner]:
    """The two ways, and the sliced one's counters."""
    picture, tiling = make_picture(options.height, options.width), Tiling(options.slice, batch=options.batch)
    windows = tiling.windows(options.height, options.width).tolist()
    tiles = [np.ascontiguousarray(picture[y1:y2, x1:x2]) for x1, y1, x2, y2 in windows]
    ready, sliced = (make_runner(options.cfg, options.slice, tiles, options.boxes) for _ in range(2))
    batches = [tiles[start : start + options.batch] for start in range(0, len(tiles), options.batch)]
    cut = SlicedRunner(sliced, tiling)
    return {"ready": lambda: [ready(batch) for batch in batches], "sliced": lambda: cut([picture])}, cut


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", default="yolov8n")
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--slice", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--boxes", type=int, default=50, help="a tile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ways, cut = candidates(options)
    found = len(cut([make_picture(options.height, options.width)])[0])
    timings = alternate(ways, rounds=options.rounds, warm_up=1)
    throughput = 1 / timings["sliced"].ratio_to(timings["ready"])
    title = f"A sliced picture beside its tiles: {options.cfg}, {options.width} x {options.height} px"
    page = report(f"{title}, {cut.tiles[0]} tiles of {options.slice} px", table(timings, "ready"))
    shares = {stage: seconds / sum(cut.spent.values()) for stage, seconds in cut.spent.items()}
    page += f"\nThroughput of slicing: {throughput:.3f} of ready batches (goal {GOAL}); {found} boxes after merging. "
    page += "Its time: " + ", ".join(f"{100 * share:.1f} % {stage}" for stage, share in shares.items()) + ".\n"
    print(page)
    if options.out:
        options.out.write_text(page)


if __name__ == "__main__":
    main()
