"""AERIS on small, blurred, noisy images at their own size: clean training, degraded training, and the decoder on top.

python -m bench.lowres                            synthetic streets, an hour of one core
python -m bench.lowres bccd --source ../shared/data/bccd --weights ../shared/data/weights/yolov5n_v6.1_coco.pt

Every run has the same start and the same number of epochs, and the best epoch is chosen on degraded images at native size.
A comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from bench.recipe import RECIPE
from bench.sets import copy_splits
from data.detection.dataset import read_image
from engine.comparison.api import compare
from engine.preparation import prepare
from utils.files import list_images, load_yaml, save_yaml
from utils.options import run_cli

RUNS = ("none", "aeris restore_weight=0", "aeris", "aeris consistency_weight=1")
SWEEP = (
    "aeris restore_weight=0",
    "aeris restore_weight=0.1",
    "aeris",
    "aeris restore_weight=1",
    "aeris restore_stage=1",
)
DATASET = Path("datasets/bccd-lowres")


def make_bccd(source: Path) -> Path:
    """Blood cells at half size, 320 px: clean to train on, val and test degraded by the recipe coco-d. Returns the YAML.

    At half size, since what is measured at its own size must be trained at that size too.
    """
    target = DATASET / "bccd.yaml"
    if target.is_file():
        return target
    copy_splits(source, DATASET)
    for path in list_images(DATASET / "images"):
        halve(path)
    for seed, split in ((1, "choose"), (2, "test")):
        folder = DATASET / "images" / split
        prepare("degrade", recipe="coco-d", source=folder, out=folder.with_name(f"{split}_lowres"), seed=seed)
    folders = {"train": "train", "val": "choose_lowres", "test": "test_lowres", "test2": "test"}
    conditions = {"val": "degraded", "test": "degraded", "test2": "clear"}
    content = {key: f"images/{folder}" for key, folder in folders.items()}
    names = load_yaml(source / "data.yaml")["names"]
    save_yaml(target, {"path": str(DATASET.resolve()), **content, "conditions": conditions, "names": names})
    return target


def halve(path: Path) -> None:
    """Put an image of half the size, as PNG, in the place of a copy."""
    image = read_image(path)
    path.unlink()
    size = (image.shape[1] // 2, image.shape[0] // 2)
    cv2.imwrite(str(path.with_suffix(".png")), cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def main() -> None:
    """Train, measure on the test split, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", nargs="?", choices=("streets", "bccd"), default="streets")
    parser.add_argument("--source", type=Path, help="folder of the blood cells, in YOLO's layout")
    parser.add_argument("--weights", type=Path, help="COCO weights of YOLOv5n, for the blood cells")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", choices=("test", "val"), default="test", help="val: to choose among variants")
    parser.add_argument("--sweep", action="store_true", help="the decoder's weight and place, on the val split")
    parser.add_argument("--runs", nargs="+", default=list(RUNS))
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    if args.synthetic == "bccd" and not (args.source and args.weights):
        parser.error("bccd: give --source and --weights")
    options = {**RECIPE, "data": "demo-lowres", "imgsz": args.imgsz, "epochs": args.epochs, "seeds": args.seeds}
    if args.synthetic == "bccd":
        options |= {"data": str(make_bccd(args.source)), "weights": str(args.weights)}
    runs, split = (SWEEP, "val") if args.sweep else (args.runs, args.split)
    name = f"aeris-{args.synthetic}" + ("" if split == "test" else "-val")
    out = {"name": name, "out": args.out / name, "exist_ok": True}
    compare(**options, **out, native=True, plots=False, split=split, run=tuple(runs))


if __name__ == "__main__":
    sys.exit(run_cli(main))
