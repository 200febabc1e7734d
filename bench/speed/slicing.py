"""The cost of cutting a large image and merging its boxes: sliced inference relative to the same tiles, ready cut.

python -m bench.speed.slicing --out bench/results/slice.md

A synthetic image of 4000 x 3000 px, a small detector, and a confidence threshold that leaves some boxes in each tile.
Ready: the same tiles as contiguous images of the network's size, batch by batch through network and NMS.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench.speed.timing import measure, options_of, publish, report, table
from data.synthetic.aerial.scene import image_from_above
from engine.checkpoint import load_detector
from engine.inference.backends import TorchBackend
from engine.inference.predictor import Predictor
from engine.inference.sliced import SlicedPredictor, Tiling
from utils.devices import pick_device

GOAL = 0.85  # of the throughput of ready batches


def make_image(height: int, width: int) -> np.ndarray:
    """An aerial scene repeated over (H, W, 3) uint8."""
    piece, _ = image_from_above(0, (400, 300))
    across, down = -(-width // 400), -(-height // 300)
    return np.ascontiguousarray(np.tile(piece[..., ::-1], (down, across, 1))[:height, :width])


def make_runner(weights: Path, imgsz: int, tiles: list[np.ndarray], each: int, device: torch.device) -> Predictor:
    """A detector whose confidence threshold, set on a few tiles, keeps about `each` boxes per tile."""
    network = TorchBackend(load_detector(weights, device)[0], device)
    scores = network(tiles[:4])[:, 4:].amax(1)  # (4, boxes)
    threshold = float(scores.topk(8 * each, 1).values[:, -1].mean())  # NMS removes most of these
    return Predictor(network, imgsz=(imgsz, imgsz), conf=threshold)


def candidates(options: argparse.Namespace) -> tuple[dict[str, Callable[[], object]], SlicedPredictor]:
    """Both candidates, and the sliced predictor with its counters."""
    image, tiling = make_image(options.height, options.width), Tiling(options.slice, batch=options.batch)
    windows = tiling.windows(options.height, options.width).tolist()
    tiles = [np.ascontiguousarray(image[y1:y2, x1:x2]) for x1, y1, x2, y2 in windows]
    device = pick_device(options.device)
    ready, sliced = (make_runner(options.weights, options.slice, tiles, options.boxes, device) for _ in range(2))
    batches = [tiles[start : start + options.batch] for start in range(0, len(tiles), options.batch)]
    predictor = SlicedPredictor(sliced, tiling)
    return {"ready": lambda: [ready(batch) for batch in batches], "sliced": lambda: predictor([image])}, predictor


def main() -> None:
    """Measure, print, and write the page."""
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--weights", type=Path, default=Path("weights/yolov5n-demo-days.safetensors"))
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--slice", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--boxes", type=int, default=50, help="per tile")
    options = parser.parse_args()
    calls, predictor = candidates(options)
    boxes = len(predictor([make_image(options.height, options.width)])[0])
    timings = measure(options, calls, warm_up=1)
    throughput = 1 / timings["sliced"].ratio_to(timings["ready"])
    title = f"A sliced image beside its tiles: {options.weights.stem}, {options.width} x {options.height} px"
    page = report(f"{title}, {predictor.tiles[0]} tiles of {options.slice} px", table(timings, "ready"))
    fractions = {stage: seconds / sum(predictor.spent.values()) for stage, seconds in predictor.spent.items()}
    page += f"\nThroughput of slicing: {throughput:.3f} of ready batches (goal {GOAL}); {boxes} boxes after merging. "
    parts = ", ".join(f"{100 * fraction:.1f} % {stage}" for stage, fraction in fractions.items())
    publish(options, f"{page}Its time: {parts}.\n")


if __name__ == "__main__":
    main()
