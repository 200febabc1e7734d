"""Options of WiiD. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from data.config import DataKey
from utils.options import Group, option

GROUP = Group("WiiD (--method wiid)")
DETECTOR, STILL, CELLS = ("detect",), ("detect", "classify"), ("detect", "action")


@dataclass(frozen=True)
class WiiDOptions:
    """Published defaults of WiiD's detector; docs/methods/wiid.md has the effect of each."""

    byol_weight: float = option(0.1, "weight of the symmetric BYOL loss", group=GROUP, low=0.0)
    byol_momentum: float = option(0.99, "momentum (EMA decay) of the target network", group=GROUP, low=0.0, high=1.0)
    front_ratio: float = option(
        0.0, "fraction of the cells on objects that are masked", group=GROUP, tasks=CELLS, low=0.0, high=1.0
    )
    back_ratio: float = option(
        0.3, "fraction of the background cells that are masked", group=GROUP, tasks=CELLS, low=0.0, high=1.0
    )
    num_blocks: int = option(5, "cells per side of the occlusion grid", group=GROUP, tasks=CELLS, low=1, high=64)
    mask_token: str = option(
        "zero",
        "fill of masked cells; learned: one colour each",
        group=GROUP,
        tasks=DETECTOR,
        choices=("zero", "learned"),
    )
    highlight: str = option(
        "none",
        "keep only the target: inside the boxes, or where spectral-residual saliency is high",
        group=GROUP,
        tasks=DETECTOR,
        choices=("none", "boxes", "saliency"),
    )
    highlight_quantile: float = option(
        0.5, "fraction of the pixels that saliency highlighting removes", group=GROUP, tasks=STILL, low=0.0, high=1.0
    )
    mask_squares: float = option(
        0.6, "fraction of the batches masked with random squares", group=GROUP, tasks=("classify",), low=0.0, high=1.0
    )
    mask_saliency: float = option(
        0.1,
        "fraction of the batches reduced to salient pixels (see --highlight-quantile)",
        group=GROUP,
        tasks=("classify",),
        low=0.0,
        high=1.0,
    )
    use_mmd: bool | None = option(
        None,
        "also match the feature distributions (MMD) of both views; of classifiers, of darkened and unlabelled night images",
        group=GROUP,
        tasks=STILL,
        shown="off; classifiers: where the data YAML names unlabelled images",
    )
    mmd_weight: float = option(0.1, "weight of the MMD loss", group=GROUP, tasks=STILL, low=0.0)
    pair_colour: str = option(
        "shared",
        "colour jitter of paired images: one draw for both, or independent",
        group=GROUP,
        tasks=CELLS,
        choices=("shared", "independent"),
    )


WIID_KEYS = (
    DataKey("pair", aliases=("train_night",)),
    DataKey("unlabeled", aliases=("favoured", "favored"), tasks=("classify",)),
)
