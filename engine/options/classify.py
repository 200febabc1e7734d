"""Options of `task: classify`. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from utils.options import option

GROUP = "Classification (task: classify)"


@dataclass(frozen=True)
class ClassifyOptions:
    """What training a classifier has that training a detector has not; see docs/tasks/classify.md."""

    select: str = option(
        "val",
        "choose the best epoch on val, or on test: as the publication did, which flatters the result",
        group=GROUP,
        choices=("val", "test"),
        tasks=("classify", "action"),
    )
    lr_schedule: str = option(
        "step", "a tenth of the learning rate after each third of the run, or as --lrf and --cos-lr say", group=GROUP,
        choices=("step", "linear"), tasks=("classify", "action"))  # fmt: skip
    crops: str = option(
        "shared", "cut both members of a pair alike, or each by itself (as published)", group=GROUP,
        choices=("shared", "independent"), tasks=("classify",))  # fmt: skip
    least_crop: float = option(
        0.5, "least share of an image that a crop keeps", group=GROUP, low=0.05, high=1.0, tasks=("classify",)
    )
    colour_jitter: float = option(
        0.4,
        "how far brightness, contrast and saturation of a batch may change",
        group=GROUP,
        low=0.0,
        high=1.0,
        tasks=("classify",),
    )
    hue_jitter: float = option(0.4, "how far its hue may turn", group=GROUP, low=0.0, high=0.5, tasks=("classify",))
    mask_squares: float = option(
        0.6,
        "with wiid: share of the batches that are masked with random squares",
        group=GROUP,
        low=0.0,
        high=1.0,
        tasks=("classify",),
    )
    mask_saliency: float = option(
        0.1,
        "with wiid: share of the batches of which only the salient pixels stay (see --highlight-quantile)",
        group=GROUP,
        low=0.0,
        high=1.0,
        tasks=("classify",),
    )
    mmd_share: float = option(
        0.25,
        "with wiid: unlabelled nights of a batch, as a share of its labelled images",
        group=GROUP,
        low=0.0,
        high=1.0,
        tasks=("classify",),
    )


# What the task takes where neither flag nor YAML says otherwise: the publication's recipe.
DEFAULTS: dict[str, Any] = {
    "imgsz": 224,
    "batch_size": 32,
    "optimizer": "Adam",
    "lr0": 0.0017,
    "weight_decay": 1e-5,
    "momentum": 0.9,
    "warmup_epochs": 0.0,
    "byol_weight": 0.13,
    "use_mmd": True,
}
