"""`make demo`: draw a synthetic night data set, train a detector on it with WiiD, and show its detections by day and night."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import engine
from data.config import load_data
from data.synthetic.clips import street_clip
from data.synthetic.generate import make_synthetic
from engine.inference.api import stream
from utils.cli import run_cli
from utils.draw import draw_boxes
from utils.tables import text_table

RECIPE: dict[str, Any] = {  # small enough for two CPU cores; as in bench/comparisons/wiid-demo-night.yaml
    "data": "demo-night",
    "weights": "weights/yolov5n-demo-days.safetensors",  # see weights/make.py
    "cfg": "models/yolov5n.yaml",
    "hyp": "data/hyps/hyp.demo.yaml",
    "optimizer": "AdamW",
    "imgsz": 192,
    "epochs": 8,
    "batch_size": 16,
    "byol_weight": 0.0,  # masks do as well alone: docs/methods/wiid.md
}
CLIP = Path("datasets/demo-night.mp4")
SCENES = 3  # in the sample image
CONFIDENCE = 0.35


def timed(title: str, work: Callable[[], Any]) -> Any:
    """Print the title of a part, run it, and print how long it took."""
    print(f"\n== {title}", flush=True)
    began = time.perf_counter()
    result = work()
    print(f"   ({time.perf_counter() - began:.0f} s)", flush=True)
    return result


def make_data() -> None:
    """Draw the synthetic data set and the clip, unless they exist."""
    load_data("demo-night", make_demo=make_synthetic)
    if not CLIP.exists():
        street_clip(CLIP, seed=7)


def draw_detections(weights: Path, split: str) -> dict[str, np.ndarray]:
    """File name -> image with its detections, at twice the size, for every image of a split; most detections first."""
    config = load_data("demo-night")
    options: dict[str, Any] = {"weights": weights, "source": str(config.splits[split][0]), "imgsz": (RECIPE["imgsz"],)}
    drawn: dict[str, tuple[int, np.ndarray]] = {}
    for name, _, image, boxes in stream(**options, conf_thres=CONFIDENCE):
        large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        rows = boxes.numpy() * np.array([2, 2, 2, 2, 1, 1])
        drawn[Path(name).name] = (len(rows), draw_boxes(large, rows, config.names, thickness=2))
    ordered = sorted(drawn, key=lambda name: -drawn[name][0])
    return {name: drawn[name][1] for name in ordered}


def paint_samples(weights: Path, target: Path) -> None:
    """The same scenes by day (top) and by night (bottom), those with the most detections at night."""
    night, day = draw_detections(weights, "test"), draw_detections(weights, "test2")
    columns = [np.concatenate([day[name], night[name]], 0) for name in list(night)[:SCENES]]
    cv2.imwrite(str(target), np.concatenate(columns, 1))


def demo() -> None:
    """Run all parts, and print a table."""
    began = time.perf_counter()
    timed("synthetic streets by day and by night (drawn once)", make_data)
    trained = timed("training with WiiD on day images paired with darkened copies", lambda: engine.train(**RECIPE))
    if trained.interrupted:
        sys.exit(130)
    evaluated = timed(
        "evaluation on the test split, by night and by day",
        lambda: engine.validate(data="demo-night", weights=trained.best, imgsz=RECIPE["imgsz"], task="test"),
    )
    detected = timed(
        "detection on a night clip",
        lambda: engine.detect(weights=trained.best, source=str(CLIP), imgsz=(RECIPE["imgsz"],), conf_thres=CONFIDENCE),
    )
    image = trained.save_dir / "day_and_night.jpg"
    paint_samples(trained.best, image)
    rows = [{"images": report.condition, **report.metrics} for report in evaluated.reports]
    print(f"\n{text_table(rows)}\n")
    for what, path in (
        ("detections by day and night", image),
        ("the night clip with detections", detected.save_dir),
        ("training curves", trained.save_dir / "results.png"),
        ("the detector", trained.best),
    ):
        print(f"{what:>32}: {path}")
    print(f"\ntotal: {(time.perf_counter() - began) / 60:.1f} min")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()  # --help; there is nothing to choose
    sys.exit(run_cli(demo))
