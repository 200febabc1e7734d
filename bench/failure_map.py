"""Does a map show where a detector fails? AUROC of maps over the cells of held-out images.

python -m bench.failure_map runs/compare/lcp-sea-easy --out bench/results/lcp-sea-easy/failure-map.md
python -m bench.failure_map best.pt --data demo-sea --imgsz 192

Positive are the cells of 8 px that a missed object or a false alarm covers (confidence 0.25, IoU 0.5, methods/lcp_failures.py).
Only cells that lie wholly inside the image count, not the grey around it. Beside the crux map of a detector that has one:
its own highest class score in each cell, brightness and contrast.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from bench.enhanced import checkpoints
from data.config import load_data
from data.detection.dataset import ViewDataset, build_dataset
from engine.checkpoint import load_detector
from methods.lcp_failures import CELL, detect, failing_cells
from models.crux import find_split
from models.graph import evaluating
from utils.cli import run_cli
from utils.files import atomic_write, load_yaml
from utils.metrics.auroc import auroc
from utils.tables import markdown_table

Maps = dict[str, Tensor]


def score_map(detector: torch.nn.Module, images: Tensor) -> Tensor:
    """The highest class score of any anchor in each cell, (B, h, w), of images (B, 3, H, W) in [0, 1]."""
    output = detector(images)
    scores = (output[0] if isinstance(output, tuple) else output)[:, 4:].amax(1)  # (B, anchors), levels of falling size
    height, width = (side // CELL for side in images.shape[2:])
    best = torch.zeros(len(images), 1, height, width)
    start = 0
    for stride in detector.stride.int().tolist():  # type: ignore[operator, union-attr]
        rows, columns = (side // stride for side in images.shape[2:])
        level = scores[:, start : start + rows * columns].view(-1, 1, rows, columns)
        start += rows * columns
        best = torch.maximum(best, F.interpolate(level, (height, width)))
    return best[:, 0]


def maps_of(detector: torch.nn.Module, images: Tensor) -> Maps:
    """Name -> map (B, h, w) of images (B, 3, H, W) in [0, 1]; higher where failure is expected."""
    grey = images.mean(1, keepdim=True)  # (B, 1, H, W)
    average = F.avg_pool2d(grey, CELL)
    spread = (F.avg_pool2d(grey.square(), CELL) - average.square()).clamp(min=0).sqrt()
    found = {"highest score": score_map(detector, images), "brightness": average[:, 0], "contrast": spread[:, 0]}
    split = find_split(detector)
    crux = {"crux map": F.avg_pool2d(split.mask_of(images), CELL)[:, 0]} if split is not None else {}
    return {**crux, **found}


def image_cells(batch: dict[str, Any]) -> Tensor:
    """Cells (B, h, w), bool, of a letterboxed batch that lie wholly inside the image and not in the grey around it."""
    rows, columns = (torch.arange(side // CELL) * CELL for side in batch["img"].shape[2:])
    inside = []
    for (gains, (left, top)), size in zip(batch["ratio_pad"], batch["ori_shape"], strict=True):
        height, width = (round(side * gain) for side, gain in zip(size, gains, strict=True))
        down = (rows >= top) & (rows + CELL <= top + height)
        across = (columns >= left) & (columns + CELL <= left + width)
        inside.append(down[:, None] & across)
    return torch.stack(inside)


def areas(weights: Path, data: str, split: str, imgsz: int) -> dict[str, float]:
    """Name of a map -> its AUROC over the images' cells in a split; and the fraction of cells that fail."""
    config = load_data(data)
    detector, _ = load_detector(weights)
    if getattr(detector, "end2end", None) is not None:
        detector.end2end = False  # the head whose predictions are those of all anchors
    dataset = build_dataset(config, split, imgsz=imgsz, batch_size=16)
    loader: DataLoader = DataLoader(dataset, batch_size=16, collate_fn=ViewDataset.collate_fn)
    found: dict[str, list[Tensor]] = defaultdict(list)
    for batch in loader:
        batch["img"] = batch["img"].float() / 255
        inside = image_cells(batch)
        found["fails"].append(failing_cells(detect(detector, batch["img"]), batch)[inside])
        with evaluating(detector):
            for name, values in maps_of(detector, batch["img"]).items():
                found[name].append(values[inside])
    joined = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    fails = joined.pop("fails")
    return {**{name: auroc(values, fails) for name, values in joined.items()}, "failing cells": float(fails.mean())}


def rows_of(source: Path, data: str, split: str, imgsz: int) -> Iterator[dict[str, object]]:
    """A row a run: the mean of each area over its seeds."""
    for run, files in checkpoints(source).items():
        seeds = [areas(file, data, split, imgsz) for file in files]
        yield {"run": run, "seeds": len(seeds), **{name: mean(seed[name] for seed in seeds) for name in seeds[0]}}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of a comparison, or a checkpoint")
    parser.add_argument("--data", help="of a checkpoint; a comparison has its own")
    parser.add_argument("--split", default="test")
    parser.add_argument("--imgsz", type=int, default=192)
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    data = options.data or load_yaml(options.source / "compare.yaml")["data"]
    rows = list(rows_of(options.source, str(data), options.split, options.imgsz))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = markdown_table([{name: row.get(name, "") for name in columns} for row in rows])
    print(text)
    if options.out:
        command = f"python -m bench.failure_map {' '.join(sys.argv[1:])}"
        atomic_write(options.out, f"AUROC over cells of 8 px, `{options.split}`: `{command}`\n\n{text}\n".encode())


if __name__ == "__main__":
    sys.exit(run_cli(main))
