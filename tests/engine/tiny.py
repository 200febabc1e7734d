"""A detector and a data set small enough to train in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.files import load_yaml, save_yaml

NETWORK = {
    "nc": 2,
    "scales": {"n": [0.33, 0.125, 1024]},
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "C2f", [256, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "SPPF", [256, 5]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "C2f", [256]],
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 3], 1, "Concat", [1]],
        [-1, 1, "C2f", [128]],
        [[12, 9, 6], 1, "Detect", ["nc"]],
    ],
}
CRUX_NETWORK = {
    **NETWORK,
    "backbone": [
        [-1, 1, "CruxSplit", []],
        *NETWORK["backbone"][:4],
        [-1, 1, "PlainHalf", []],
        [[2, 4], 1, "CatchUpFuse", []],
        *NETWORK["backbone"][4:],
    ],
    "head": [
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 7], 1, "Concat", [1]],
        [-1, 1, "C2f", [256]],
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 5], 1, "Concat", [1]],
        [-1, 1, "C2f", [128]],
        [[15, 12, 9], 1, "Detect", ["nc"]],
    ],
}
"""The same with LCP's rows."""
QUICK = {"batch_size": 4, "imgsz": 64, "nbs": 4, "plots": False, "device": "cpu", "workers": 0, "lr0": 0.01}


def write_dataset(root: Path, images: int = 16, side: int = 64) -> dict[str, Any]:
    """A paired set of squares and bars with its YAMLs. Returns the options that train on it."""
    generator = np.random.default_rng(0)
    for split in ("train", "val", "val_day"):
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
        for number in range(images if split == "train" else 4):
            image, rows = draw(generator, side)
            dark = (image // 6).astype(np.uint8)
            folders = (
                {"train": image, "train_night": dark}
                if split == "train"
                else {split: dark if split == "val" else image}
            )
            for folder, img in folders.items():
                (root / "images" / folder).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(root / "images" / folder / f"{number:03}.png"), img)
            (root / "labels" / split / f"{number:03}.txt").write_text("\n".join(rows))
    names = {0: "square", 1: "bar"}
    data = {"path": str(root), "train": "images/train", "pair": "images/train_night", "val": "images/val"}
    data |= {
        "val2": "images/val_day",
        "test": "images/val",
        "test2": "images/val_day",
        "method": "wiid",
        "names": names,
    }
    data |= {"conditions": {"val": "night", "val2": "day", "test": "night", "test2": "day"}}
    save_yaml(root / "world.yaml", data)
    save_yaml(root / "tiny8n.yaml", NETWORK)
    return {"data": str(root / "world.yaml"), "cfg": str(root / "tiny8n.yaml"), "project": root / "runs", **QUICK}


def write_crux_dataset(root: Path, images: int = 16) -> dict[str, Any]:
    """The same set, its dark images as the low-quality images and the clear ones as reference. Trains `lcp`."""
    options = write_dataset(root, images)
    data = load_yaml(Path(options["data"])) | {
        "train": "images/train_night",
        "reference": "images/train",
        "method": "lcp",
    }
    (root / "labels" / "train").rename(root / "labels" / "train_night")
    save_yaml(root / "world.yaml", {key: value for key, value in data.items() if key != "pair"})
    save_yaml(root / "tiny8n-crux.yaml", CRUX_NETWORK)
    return options | {"cfg": str(root / "tiny8n-crux.yaml")}


def draw(generator: np.random.Generator, side: int) -> tuple[np.ndarray, list[str]]:
    """A noisy image with one square and one bar, and their label rows."""
    image = generator.integers(60, 120, (side, side, 3), dtype=np.uint8)
    rows = []
    for kind, (width, height) in enumerate(((14, 14), (8, 24))):
        left, top = (int(v) for v in generator.integers(0, side - 26, 2))
        image[top : top + height, left : left + width] = ((30, 200, 250), (240, 80, 60))[kind]
        box = ((left + width / 2) / side, (top + height / 2) / side, width / side, height / side)
        rows.append(f"{kind} " + " ".join(f"{value:.6f}" for value in box))
    return image, rows
