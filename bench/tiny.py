"""Label assignment for objects of a few pixels: stock, RFLA's hybrid and RFLA as published, on `demo-tiny`, from scratch.

python -m bench.tiny                                  every model, three seeds, 12 epochs: two hours of one core
python -m bench.tiny --models yolov8n --epochs 60     until both stop improving
python -m bench.tiny --data demo-specks               plain shapes of 5 to 11 px and nothing larger
python -m bench.tiny --ordinary                       objects of ordinary size, on demo-night
python -m bench.tiny --raccoon DIR --weights FILE     and on real photographs

A comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.recipe import RECIPE
from bench.sets import copy_splits
from engine.comparison.api import compare
from utils.files import save_yaml
from utils.options import run_cli

MODELS = ("yolov8n", "yolov8n-p2", "yolo26n", "yolo26n-p2")
RUNS = ("none", "rfla", "rfla rfla_mode=paper")
TINY: dict[str, Any] = {
    "hyp": "data/hyps/hyp.demo-tiny.yaml",
    "optimizer": "AdamW",
    "imgsz": 160,
    "batch_size": 16,
}


def raccoon_set(source: Path) -> Path:
    """The raccoon set by day; returns its data YAML."""
    synthetic = Path("datasets/raccoon-plain")
    copy_splits(source, synthetic)
    splits = {"train": "images/train", "val": "images/choose", "test": "images/test"}
    save_yaml(synthetic / "raccoon.yaml", {"path": str(synthetic.resolve()), **splits, "names": ["raccoon"]})
    return synthetic / "raccoon.yaml"


def recipes(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Name of the comparison -> its runs and options."""
    if options.ordinary:
        return {"rfla-demo-night": {**RECIPE, "run": RUNS[:2]}}
    if options.raccoon:
        data = {"data": str(raccoon_set(options.raccoon)), "weights": str(options.weights), "lr0": 0.001}
        return {"rfla-raccoon": {**RECIPE, **data, "run": RUNS[:2], "imgsz": 256, "epochs": 10}}
    suffix = "" if options.epochs == 12 else f"-{options.epochs}-epochs"
    return {
        f"{options.data.removeprefix('demo-')}-{model}{suffix}": {
            **TINY,
            "data": options.data,
            "cfg": f"models/{model}.yaml",
            "run": options.runs,
            "epochs": options.epochs,
        }
        for model in options.models
    }


def main() -> None:
    """Train, measure on the test split, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo-tiny")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--runs", nargs="+", default=RUNS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--ordinary", action="store_true", help="demo-night in place of demo-tiny")
    parser.add_argument("--raccoon", type=Path, help="folder of the raccoon set (images/, labels/)")
    parser.add_argument("--weights", type=Path, help="YOLOv5n v6.1, trained on COCO, for --raccoon")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    for name, recipe in recipes(options).items():
        compare(**recipe, seeds=options.seeds, plots=False, name=name, out=options.out / name)


if __name__ == "__main__":
    sys.exit(run_cli(main))
