"""A small data set without a fault, for the tests of the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.checks.survey import Survey, survey
from data.config import load_data
from utils.files import load_yaml, save_yaml

COUNTS = {"train": 40, "val": 20}
NAMES = {0: "cat", 1: "dog"}


def write_clean_set(folder: Path, suffix: str = ".jpg", pair: bool = False, **counts: int) -> Path:
    """Smooth random images of 64 x 48 px, each with a cat and a dog; `pair`: darkened copies of train. Returns the YAML."""
    generator = np.random.default_rng(0)
    splits = {**COUNTS, **counts}
    for split, count in splits.items():
        for name in (split, *(["train_night"] if pair and split == "train" else [])):
            (folder / "images" / name).mkdir(parents=True)
            (folder / "labels" / name).mkdir(parents=True)
        for number in range(count):
            pixels = scene(generator)
            stem = f"{split}{number:03}"
            cv2.imwrite(str(folder / "images" / split / f"{stem}{suffix}"), pixels)
            (folder / "labels" / split / f"{stem}.txt").write_text("0 0.3 0.4 0.4 0.5\n1 0.7 0.6 0.4 0.6\n")
            if pair and split == "train":
                cv2.imwrite(str(folder / "images" / "train_night" / f"{stem}{suffix}"), (pixels * 0.4).astype(np.uint8))
    content: dict[str, Any] = {"path": ".", **{split: f"images/{split}" for split in splits}, "names": NAMES}
    save_yaml(folder / "data.yaml", content | ({"pair": "images/train_night"} if pair else {}))
    return folder / "data.yaml"


def scene(generator: np.random.Generator) -> np.ndarray:
    """Blobs of random colours with a fine texture, (48, 64, 3) uint8."""
    coarse, fine = generator.integers(30, 225, (6, 8, 3)), generator.integers(-25, 25, (24, 32, 3))
    layers = [
        cv2.resize(layer.astype(np.float32), (64, 48), interpolation=cv2.INTER_LINEAR) for layer in (coarse, fine)
    ]
    return np.asarray(np.clip(sum(layers), 0, 255), np.uint8)


def change_yaml(file: Path, **entries: Any) -> Path:
    """Replace entries of a data YAML."""
    save_yaml(file, {key: value for key, value in (load_yaml(file) | entries).items() if value is not None})
    return file


def surveyed(file: Path, *paired: str) -> Survey:
    """The survey of a data YAML."""
    return survey(load_data(file), paired)
