"""How the bundled weights were made. Both train on synthetic scenes from seeds that `demo-night` (seed 0) does not use.

python -m weights.make demo-days   YOLOv5n from scratch on a thousand day images (a quarter of an hour on two CPU cores)
python -m weights.make enhancer    Zero-DCE on 200 night images of 256 px, no labels (five minutes on one core)

WiiD's published recipe starts from a detector trained on COCO, by day; `demo-days` is its counterpart, and every run of a
comparison on synthetic streets starts from it. `--enhance zero-dce` starts with `enhancer`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import engine
from data.synthetic.generate import make_synthetic
from engine.options.common import SHIPPED
from engine.preparation import prepare
from utils.cli import run_cli
from utils.errors import UserError
from utils.files import REPOSITORY, load_yaml, new_run_folder, save_yaml

FOLDER = REPOSITORY / "weights"
DAY_WEIGHTS = "yolov5n-demo-days.safetensors"
ENHANCER = {"epochs": 4, "lr": 1e-3, "scale": 4, "level": 0.4}  # epochs and level chosen on val's night images


def day_detector() -> Path:
    """Train on images by day alone, without pairs; returns the checkpoint."""
    root = Path("datasets/demo-days")
    make_synthetic("demo-night", root, seed=1000, counts={"train": 1000, "val": 40, "test": 1})
    names = load_yaml(REPOSITORY / "data/demo-night.yaml")["names"]
    data = root / "day.yaml"
    save_yaml(data, {"path": str(root.resolve()), "train": "images/train", "val": "images/val_day", "names": names})
    result = engine.train(
        data=str(data), method="none", cfg="models/yolov5n.yaml", hyp="data/hyps/hyp.demo.yaml", optimizer="AdamW",
        imgsz=192, epochs=16, batch_size=16, mosaic=0.5, close_mosaic=5, name="demo-days",
    )  # fmt: skip
    return Path(result.best).with_suffix(".safetensors")


def enhancer() -> Path:
    """Train on night images alone; returns the weights."""
    root = Path("datasets/demo-enhancer")
    counts = {"train": 0, "val": 200, "test": 0}  # val is the split that is night
    make_synthetic("demo-night", root, seed=2000, size=(256, 256), counts=counts)
    out = new_run_folder(Path("runs/enhancer"), "demo") / SHIPPED
    prepare("train-enhancer", source=root / "images" / "val", out=out, device="cpu", **ENHANCER)
    return out


MAKERS = {"demo-days": (day_detector, DAY_WEIGHTS), "enhancer": (enhancer, SHIPPED)}


def main() -> None:
    """Train what the command line names, and put the file into weights/."""
    if len(sys.argv) != 2 or sys.argv[1] not in MAKERS:
        raise UserError(f"python -m weights.make: expected one of {', '.join(MAKERS)}.")
    make, name = MAKERS[sys.argv[1]]
    shutil.copyfile(make(), FOLDER / name)
    print(f"weights/{name} written")


if __name__ == "__main__":
    sys.exit(run_cli(main))
