"""Options of `task: classify`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from utils.options import Group

GROUP = Group("Classification (task: classify)", tasks=("classify",))
RECIPE = Group("Classification and action recognition", tasks=("classify", "action"))


@dataclass(frozen=True)
class ClassifyOptions:
    """What training a classifier has that training a detector has not; see docs/tasks/classify.md."""

    select: str = RECIPE.option(
        "val",
        "split that selects the best epoch; test as published, which biases the test results optimistically",
        choices=("val", "test"),
    )
    crops: str = GROUP.option(
        "shared", "crops of paired images (published: independent)", choices=("shared", "independent")
    )
    least_crop: float = GROUP.option(0.5, "minimum area of a random crop, fraction of the image", low=0.05, high=1.0)
    colour_jitter: float = GROUP.fraction(0.4, "jitter of brightness, contrast and saturation, drawn per batch")
    hue_jitter: float = GROUP.option(0.4, "jitter of hue, drawn per batch", low=0.0, high=0.5)
    erasing: float = GROUP.fraction(0.0, "probability that a random rectangle of an image is blackened")
    mmd_share: float = GROUP.fraction(0.25, "unlabelled images per labelled image of a batch")


# What the task takes where neither flag nor YAML says otherwise: the publication's recipe.
DEFAULTS: dict[str, Any] = {
    "imgsz": 224,
    "batch_size": 32,
    "optimizer": "Adam",
    "lr0": 0.0017,
    "weight_decay": 1e-5,
    "momentum": 0.9,
    "warmup_epochs": 0.0,
    "lr_schedule": "step",
    "ema": False,
    "byol_weight": 0.13,
}
