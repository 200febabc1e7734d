"""A run for the tests of loggers: two epochs, an image each, metrics at the end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engine.callbacks import RunInfo
from engine.loggers.base import Logger
from engine.results import Report

ROWS = [{"epoch": 1, "train/box_loss": 1.5, "val/mAP50": 0.25}, {"epoch": 2, "train/box_loss": 1.0, "val/mAP50": 0.5}]
REPORT = Report("night", "val", 4, 9, {"mAP50": 0.5}, [], {})


def follow(logger: Logger, folder: Path, key: str = "abc123") -> None:
    """What a run in this folder tells the logger."""
    folder.mkdir(parents=True, exist_ok=True)
    logger.on_start(RunInfo(folder, {"epochs": 2, "data": "night.yaml"}, epochs=2, batches=3, key=key))
    for row in ROWS:
        cv2.imwrite(str(folder / f"train_batch{row['epoch'] - 1}.jpg"), np.full((8, 12, 3), 128, np.uint8))
        logger.on_epoch(row)
    logger.on_end([REPORT])
