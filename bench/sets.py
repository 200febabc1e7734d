"""Real photographs: YOLOv5n from its COCO checkpoint, fine-tuned on raccoons by day, tested by day and darkened.

python -m bench.sets --raccoon ../shared/data/raccoon --weights ../shared/data/weights/yolov5n_v6.1_coco.pt

An eighth of the training pictures, darkened, chooses the epoch; the set's own val is the test, by day (test2) and darkened
(test). Both runs see the same labelled pictures equally often. The darkening of the test is `prepare.py darken` with another
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
from utils.options import run_door

WORLD = Path("datasets/raccoon-night")
HELD_OUT = 8  # every eighth training picture chooses the epoch


def copy_split(source: Path, world: Path, split: str, pictures: list[Path]) -> None:
    """Copy pictures with their labels into a split of the folder `world`."""
    for picture in pictures:
        label = source / "labels" / picture.parent.name / f"{picture.stem}.txt"
        for file, kind in ((picture, "images"), (label, "labels")):
            target = world / kind / split / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def copy_splits(source: Path, world: Path) -> None:
    """Training pictures, every eighth of them to choose the epoch, and the set's own val as test."""
    train = list_images(source / "images" / "train")
    copy_split(source, world, "train", [path for i, path in enumerate(train) if i % HELD_OUT])
    copy_split(source, world, "choose", train[::HELD_OUT])
    copy_split(source, world, "test", list_images(source / "images" / "val"))


def make_set(source: Path) -> Path:
    """The set with its dark partners. Returns its data YAML."""
    copy_splits(source, WORLD)
    for seed, split in ((0, "train"), (1, "choose"), (2, "test")):
        folder = WORLD / "images" / split
        prepare("darken", source=folder, out=folder.with_name(f"{split}_night"), seed=seed)
    splits = {"train": "train", "pair": "train_night", "val": "choose_night", "test": "test_night", "test2": "test"}
    content = {key: f"images/{folder}" for key, folder in splits.items()}
    path = WORLD / "raccoon.yaml"
    conditions = {"test": "darkened", "test2": "day", "val": "darkened"}
    save_yaml(path, {"path": str(WORLD.resolve()), **content, "conditions": conditions, "names": ["raccoon"]})
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
    sys.exit(run_door(main))
