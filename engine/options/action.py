"""Options of `task: action`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from utils.options import Group

GROUP = Group("Action recognition (task: action)", tasks=("action",))


@dataclass(frozen=True)
class ActionOptions:
    """What a clip is; see docs/tasks/action.md."""

    frames: int = GROUP.option(16, "frames per clip", low=2, high=256)
    interval: int = GROUP.option(2, "sampling interval, in frames of the video", low=1, high=64)
    test_clips: int = GROUP.option(3, "clips per test video, whose scores are averaged", low=1, high=100)
    keep_videos: str = GROUP.option(
        "auto", "keep decoded videos in memory (auto: up to 2 GiB)", choices=("auto", "ram", "none")
    )


# What the task takes where neither flag nor YAML says otherwise: the recipe of the publication's action branch.
DEFAULTS: dict[str, Any] = {
    "batch_size": 16,
    "optimizer": "SGD",
    "lr0": 0.01,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "warmup_epochs": 1.0,
    "lr_schedule": "step",
    "ema": False,
    "epochs": 10,
    "pair_colour": "independent",
}
