"""Real photographs: YOLOv5n from its COCO checkpoint, fine-tuned on raccoons by day, tested by day and darkened.

python -m bench.sets --raccoon ../shared/data/raccoon --weights ../shared/data/weights/yolov5n_v6.1_coco.pt

An eighth of the training images, darkened, chooses the epoch; the set's own val is the test, by day (test2) and darkened
(test). Both runs see the same labelled images equally often. The darkening of the test is `prepare.py darken` with another
seed than that of the pairs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from engine.comparison.api import compare
from engine.preparation import prepare
from utils.files import list_images, save_yaml
from utils.options import run_cli

DATASET = Path("datasets/raccoon-night")
HELD_OUT = 8  # every eighth training image chooses the epoch


def copy_split(source: Path, synthetic: Path, split: str, images: list[Path]) -> None:
    """Copy images with their labels into a split of the folder `world`."""
    for image in images:
        label = source / "labels" / image.parent.name / f"{image.stem}.txt"
        for file, kind in ((image, "images"), (label, "labels")):
            target = synthetic / kind / split / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def copy_splits(source: Path, synthetic: Path) -> None:
    """Training images, every eighth of them to choose the epoch, and the set's own val as test."""
    train = list_images(source / "images" / "train")
    copy_split(source, synthetic, "train", [path for i, path in enumerate(train) if i % HELD_OUT])
    copy_split(source, synthetic, "choose", train[::HELD_OUT])
    copy_split(source, synthetic, "test", list_images(source / "images" / "val"))


def make_set(source: Path) -> Path:
    """The set with its dark partners. Returns its data YAML."""
    copy_splits(source, DATASET)
    for seed, split in ((0, "train"), (1, "choose"), (2, "test")):
        folder = DATASET / "images" / split
        prepare("darken", source=folder, out=folder.with_name(f"{split}_night"), seed=seed)
    splits = {"train": "train", "pair": "train_night", "val": "choose_night", "test": "test_night", "test2": "test"}
    content = {key: f"images/{folder}" for key, folder in splits.items()}
    path = DATASET / "raccoon.yaml"
    conditions = {"test": "darkened", "test2": "day", "val": "darkened"}
    save_yaml(path, {"path": str(DATASET.resolve()), **content, "conditions": conditions, "names": ["raccoon"]})
    return path


def main() -> None:
    """Make the set, train plain and with WiiD over the seeds, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raccoon", type=Path, required=True, help="folder of the raccoon set (images/, labels/)")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOv5n v6.1, trained on COCO")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--imgsz", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    compare(
        data=str(make_set(options.raccoon)),
        run=("none", "wiid"),
        seeds=options.seeds,
        weights=str(options.weights),
        cfg="models/yolov5n.yaml",
        hyp="data/hyps/hyp.demo.yaml",
        optimizer="AdamW",
        lr0=0.001,
        imgsz=options.imgsz,
        epochs=options.epochs,
        batch_size=16,
        plots=False,
        name="raccoon",
        out=options.out,
    )


if __name__ == "__main__":
    sys.exit(run_cli(main))
