"""LCP against plain fine-tuning where the image is foul: in fog, under water, and on blurred, noisy blood cells.

python -m bench.foul fog                          two hours of one core
python -m bench.foul sea
python -m bench.foul bccd --source ../shared/data/bccd --weights ../shared/data/weights/yolov5n_v6.1_coco.pt

Every run of a comparison starts from the same detector, trained on clear images, and has the same number of epochs; in U epochs
LCP sees no labels. A comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.recipe import DAY_WEIGHTS, RECIPE
from bench.sets import copy_split
from data.detection.dataset import read_image
from engine.comparison.api import compare
from engine.training.api import train
from utils.files import list_images, load_yaml, save_yaml
from utils.options import run_cli

PLACE = Path("datasets")
MODEL = "yolov5n-crux"
FORMS: dict[str, dict[str, Any]] = {
    "cheap": {},
    "published": {"crux": "published"},
    "half": {"crux": "half"},
    "normalize": {"crux_normalize": True},
    "activations": {"catchup_activations": 2},
    "fused": {},
    "identity": {"identity_start": True},
    "open": {"identity_start": True, "crux_start": 0.5, "crux_normalize": True},
}
"""Variants of the crux model: what each writes into its YAML; `fused` changes a row."""
RUNS = (
    "none cfg=models/yolov5n.yaml",
    "lcp cfg={published}",
    "lcp cfg={cheap}",
    "lcp cfg={cheap} lcp_turns=C",
    "lcp cfg={identity}",
    "lcp cfg={open} lcp_turns=UCCCCCCCCCCC lcp_shallow=train train_catch_up=True catch_up_weight=1 crux_lr_gain=10",
    "none cfg=models/yolov5n.yaml freeze=5",
    "lcp cfg={open} lcp_turns=UCCCCCCCCCCC lcp_shallow=steady adapt_statistics=True train_catch_up=True catch_up_weight=1 "
    "crux_lr_gain=10",
    "lcp cfg={open} lcp_turns=B lcp_shallow=train catch_up_weight=1 crux_lr_gain=10",
)
ONE_BY_ONE = (
    "lcp cfg={cheap}",
    *(f"lcp cfg={{{name}}}" for name in ("half", "normalize", "activations", "fused", "identity")),
)
"""The options of the network, each alone, held against the default."""
SPREAD = (0.6, 2.0)  # px at a width of 320, standard deviation of the blur
NOISE = (5.0, 25.0)  # grey levels of 255
EVERY = 8  # every eighth training image chooses the epoch


def variants(folder: Path) -> dict[str, Path]:
    """A YAML for each form of the crux model."""
    files = {}
    family = Path("models/yolov5-crux.yaml")
    for name, entries in FORMS.items():
        files[name] = folder / f"{MODEL}-{name}.yaml"
        description = load_yaml(family) | entries
        if name == "fused":
            description["head"] = [[[-1, 7] if row[0] == [-1, 6] else row[0], *row[1:]] for row in description["head"]]
        save_yaml(files[name], description)
    return files


def fog() -> tuple[str, str]:
    """Data and clear-weather weights of the foggy streets: the detector of 1,000 clear days of such towns."""
    return "demo-fog", DAY_WEIGHTS


def sea() -> tuple[str, str]:
    """The same of the sea floor: trained on the world's clear scenes, from the streets' detector."""
    return "demo-sea", clear_weights("sea", "demo-sea-clear", DAY_WEIGHTS, epochs=30)


def bccd(source: Path, weights: Path) -> tuple[str, str]:
    """Blood cells: one half of the training images as they are (favoured), the other half blurred and noisy."""
    synthetic = PLACE / "bccd-foul"
    if not (synthetic / "bccd.yaml").is_file():
        make_bccd(source, synthetic)
    return str(synthetic / "bccd.yaml"), clear_weights(
        "bccd", str(synthetic / "bccd-clear.yaml"), str(weights), epochs=15
    )


def make_bccd(source: Path, synthetic: Path) -> None:
    """Copy the blood cells into `world`, spoil the copies that shall be foul, and write both data YAMLs last."""
    train_images, test = (list_images(source / "images" / split) for split in ("train", "val"))
    kept = [path for number, path in enumerate(train_images) if number % EVERY]
    val = train_images[::EVERY]
    parts = {"favoured": kept[::2], "train": kept[1::2], "val": val, "val_clear": val, "test": test, "test_clear": test}
    for split, images in parts.items():
        copy_split(source, synthetic, split, images)
    for split in ("train", "val", "test"):
        spoil(synthetic / "images" / split)
    common = {"path": str(synthetic.resolve()), "names": load_yaml(source / "data.yaml")["names"]}
    splits = {"val2": "val_clear", "test2": "test_clear"} | {
        name: name for name in ("train", "favoured", "val", "test")
    }
    content = {key: f"images/{folder}" for key, folder in splits.items()}
    conditions = {"val": "foul", "val2": "clear", "test": "foul", "test2": "clear"}
    save_yaml(synthetic / "bccd-clear.yaml", {**common, "train": "images/favoured", "val": "images/val_clear"})
    save_yaml(synthetic / "bccd.yaml", {**common, **content, "conditions": conditions})


def spoil(folder: Path) -> None:
    """Blur and noise every image of a folder of copies, drawn from its name alone; PNG in place of JPEG."""
    for path in list_images(folder):
        image = read_image(path)
        path.unlink()
        cv2.imwrite(str(path.with_suffix(".png")), foul(image, np.random.default_rng(crc32(path.stem.encode()))))


def foul(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """(H, W, 3): blurred, then noisy, by amounts drawn evenly from SPREAD and NOISE."""
    spread, noise = generator.uniform(*SPREAD) * max(image.shape) / 320, generator.uniform(*NOISE)
    blurred = cv2.GaussianBlur(image, (0, 0), spread).astype(np.float32)
    return (blurred + generator.normal(0, noise, image.shape)).round().clip(0, 255).astype(np.uint8)


def clear_weights(name: str, data: str, start: str, epochs: int) -> str:
    """A detector trained on the clear, labelled images of a data YAML; made once."""
    best = Path("runs/foul") / name / "weights" / "best.safetensors"
    if not best.is_file():
        options = {**RECIPE, "data": data, "weights": start, "epochs": epochs, "method": "none"}
        train(**options, project="runs/foul", name=name, exist_ok=True)
    return str(best)


def main() -> None:
    """Make the sets and the clear-weather detectors, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=("fog", "sea", "bccd"))
    parser.add_argument("--source", type=Path, help="folder of the blood cells, in YOLO's layout")
    parser.add_argument("--weights", type=Path, help="COCO weights of YOLOv5n, for the blood cells")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", choices=("test", "val"), default="test", help="val: to choose among variants")
    parser.add_argument("--one-by-one", action="store_true", help="each option of the network alone")
    parser.add_argument("--runs", nargs="+", default=list(RUNS), help="{cheap} and others stand for the YAML of a form")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    if args.synthetic == "bccd" and not (args.source and args.weights):
        parser.error("bccd: give --source and --weights")
    data, weights = (
        {"fog": fog, "sea": sea}[args.synthetic]() if args.synthetic != "bccd" else bccd(args.source, args.weights)
    )
    files = variants(Path("runs/foul"))
    options = {
        **RECIPE,
        "data": data,
        "weights": weights,
        "epochs": args.epochs,
        "seeds": args.seeds,
        "split": args.split,
    }
    del options["cfg"]
    name = f"lcp-{args.synthetic}" + ("" if args.split == "test" else "-val")
    runs = ONE_BY_ONE if args.one_by_one else args.runs
    out = args.out / f"{name}{'-one-by-one' * args.one_by_one}"
    compare(**options, run=tuple(run.format(**files) for run in runs), name=name, exist_ok=True, out=out)


if __name__ == "__main__":
    sys.exit(run_cli(main))
