"""How `weights/yolov5n-demo-days.safetensors` was made: YOLOv5n, from scratch, on a thousand synthetic days.

python -m weights.make      (about a quarter of an hour on two CPU cores)

The scenes are drawn from seeds that `demo-night` does not use. WiiD's published recipe starts from a detector trained on
COCO, by day; this is its counterpart in the synthetic data set, and every run of a comparison starts from it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import engine
from bench.recipe import DAY_WEIGHTS
from data.config import load_data
from data.synthetic.generate import make_synthetic
from utils.cli import run_cli
from utils.files import load_yaml, save_yaml

DATASET = Path("datasets/demo-days")
SEED = 1000  # far from demo-night's 0
COUNTS = {"train": 1000, "val": 40, "test": 1}


def day_yaml() -> Path:
    """The data YAML of the days: train and val by day, no pairs."""
    make_synthetic("demo-night", DATASET, seed=SEED, counts=COUNTS)
    names = load_yaml(load_data("demo-night", make_demo=make_synthetic).file)["names"]
    path = DATASET / "days.yaml"
    save_yaml(path, {"path": str(DATASET.resolve()), "train": "images/train", "val": "images/val_day", "names": names})
    return path


def main() -> None:
    """Make the synthetic data set, train, and put the weights in their place."""
    result = engine.train(
        data=str(day_yaml()),
        method="none",
        cfg="models/yolov5n.yaml",
        hyp="data/hyps/hyp.demo.yaml",
        optimizer="AdamW",
        imgsz=192,
        epochs=16,
        batch_size=16,
        mosaic=0.5,
        close_mosaic=5,
        name="demo-days",
    )
    shutil.copyfile(result.best.with_suffix(".safetensors"), DAY_WEIGHTS)
    print(f"{DAY_WEIGHTS} written")


if __name__ == "__main__":
    sys.exit(run_cli(main))
