"""A set of class folders and a network small enough to train in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import classifier
from utils.files import save_yaml

NAMES = ("Square", "Bar", "Ring")
QUICK: dict[str, Any] = {"imgsz": 32, "batch_size": 6, "epochs": 2, "device": "cpu", "workers": 0, "plots": False}


class TinyNetwork(nn.Module):
    """Two convolutions and a head that is called as torchvision's ResNets call theirs."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2)
        )
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, classes)."""
        return self.fc(self.body(x).relu().mean((2, 3)))


def use_tiny_network(patch: pytest.MonkeyPatch) -> None:
    """Every network that a run asks for is the tiny one."""
    patch.setattr(classifier, "torchvision_network", lambda name, classes, known: TinyNetwork(classes))


def write_classes(root: Path, train: int = 4, held_out: int = 2) -> dict[str, Any]:
    """Squares, bars and rings by day, darkened and by night, with their YAML. Returns the options that train on them."""
    rng = np.random.default_rng(0)
    for kind, name in enumerate(NAMES):
        for number in range(train):
            day = draw(rng, kind)
            put(root / "train" / name / f"{number}.png", day)
            put(root / "train_night" / name / f"{number}.png", day // 5)
            put(root / "unlabeled" / f"{name}{number}.png", draw(rng, kind) // 6)
        for split in ("val", "test"):
            for number in range(held_out):
                day = draw(rng, kind)
                put(root / f"{split}_day" / name / f"{number}.png", day)
                put(root / split / name / f"{number}.png", day // 5)
    conditions = {"val": "night", "val2": "day", "test": "night", "test2": "day"}
    data = {"path": str(root), "task": "classify", "method": "wiid", "train": "train", "pair": "train_night"}
    data |= {"unlabeled": "unlabeled", "val": "val", "val2": "val_day", "test": "test", "test2": "test_day"}
    save_yaml(root / "data.yaml", data | {"conditions": conditions, "names": list(NAMES)})
    return {"data": str(root / "data.yaml"), "project": root / "runs", **QUICK}


def put(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) BGR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def draw(rng: np.random.Generator, kind: int, side: int = 40) -> np.ndarray:
    """A noisy image with one thing of a kind."""
    image = rng.integers(60, 120, (side, side, 3), dtype=np.uint8)
    x, y = (int(v) for v in rng.integers(6, 12, 2))
    colour = tuple(int(v) for v in rng.integers(150, 255, 3))
    if kind == 2:
        cv2.circle(image, (x + 7, y + 7), 7, colour, 2)
    else:
        left, right = ((x, x + 14), (x + 5, x + 8))[kind]
        cv2.rectangle(image, (left, y), (right, y + 14), colour, -1)
    return image


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal to the last bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
