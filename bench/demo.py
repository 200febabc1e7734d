"""`make demo`: a synthetic night data set, a detector trained in it with WiiD, and what it sees by day and by night."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import engine
from bench.recipe import RECIPE
from data.config import load_data
from data.synthetic.generate import make_synthetic, night_clip
from engine.inference.api import stream
from utils.draw import draw_boxes
from utils.options import run_cli
from utils.tables import text_table

CLIP = Path("datasets/demo-night.mp4")
SHOWN = 3  # scenes in the image
CONFIDENCE = 0.35


def timed(title: str, work: Callable[[], Any]) -> Any:
    """Announce a part of the demo, do it, and say how long it took."""
    print(f"\n== {title}", flush=True)
    began = time.perf_counter()
    result = work()
    print(f"   ({time.perf_counter() - began:.0f} s)", flush=True)
    return result


def make_data() -> None:
    """The synthetic data set and the clip, unless they are there."""
    load_data("demo-night", make_demo=make_synthetic)
    if not CLIP.exists():
        night_clip(CLIP, seed=7)


def seen_in(weights: Path, split: str) -> dict[str, np.ndarray]:
    """File name -> image with its detections, twice as large, of every image of a split; most detections first."""
    config = load_data("demo-night")
    options: dict[str, Any] = {"weights": weights, "source": str(config.splits[split][0]), "imgsz": (RECIPE["imgsz"],)}
    found: dict[str, tuple[int, np.ndarray]] = {}
    for name, _, image, boxes in stream(**options, conf_thres=CONFIDENCE):
        large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        rows = boxes.numpy() * np.array([2, 2, 2, 2, 1, 1])
        found[Path(name).name] = (len(rows), draw_boxes(large, rows, config.names, thickness=2))
    ordered = sorted(found, key=lambda name: -found[name][0])
    return {name: found[name][1] for name in ordered}


def paint_samples(weights: Path, target: Path) -> None:
    """The same scenes by day (top) and by night (bottom), those with the most found at night."""
    night, day = seen_in(weights, "test"), seen_in(weights, "test2")
    columns = [np.concatenate([day[name], night[name]], 0) for name in list(night)[:SHOWN]]
    cv2.imwrite(str(target), np.concatenate(columns, 1))


def demo() -> None:
    """Everything, in order, and a table at the end."""
    began = time.perf_counter()
    timed("a synthetic town, by day and by night (once)", make_data)
    trained = timed("training with WiiD: day images and their darkened partners", lambda: engine.train(**RECIPE))
    if trained.interrupted:
        sys.exit(130)
    measured = timed(
        "the test scenes, by night and by day",
        lambda: engine.validate(data="demo-night", weights=trained.best, imgsz=RECIPE["imgsz"], task="test"),
    )
    seen = timed(
        "the detector on a night clip",
        lambda: engine.detect(weights=trained.best, source=str(CLIP), imgsz=(RECIPE["imgsz"],), conf_thres=CONFIDENCE),
    )
    image = trained.save_dir / "day_and_night.jpg"
    paint_samples(trained.best, image)
    rows = [{"images": report.condition, **report.metrics} for report in measured.reports]
    print(f"\n{text_table(rows)}\n")
    for what, where in (
        ("detections by day and night", image),
        ("the night clip with detections", seen.save_dir),
        ("curves of the training", trained.save_dir / "results.png"),
        ("the detector", trained.best),
    ):
        print(f"{what:>32}: {where}")
    print(f"\nall in {(time.perf_counter() - began) / 60:.1f} min")


if __name__ == "__main__":
    sys.exit(run_cli(demo))
