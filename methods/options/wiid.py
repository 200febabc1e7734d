"""Options of WiiD. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data.config import DataKey
from utils.options import Group

GROUP = Group("WiiD (--method wiid)")
DETECTOR, STILL, CELLS = ("detect",), ("detect", "classify"), ("detect", "action")


@dataclass(frozen=True)
class WiiDOptions:
    """Published defaults of WiiD's detector; docs/methods/wiid.md has the effect of each."""

    byol_weight: float = GROUP.option(0.1, "weight of the symmetric BYOL loss", low=0.0)
    byol_momentum: float = GROUP.fraction(0.99, "momentum (EMA decay) of the target network")
    front_ratio: float = GROUP.fraction(0.0, "fraction of the cells on objects that are masked", tasks=CELLS)
    back_ratio: float = GROUP.fraction(0.3, "fraction of the background cells that are masked", tasks=CELLS)
    num_blocks: int = GROUP.option(5, "cells per side of the occlusion grid", tasks=CELLS, low=1, high=64)
    mask_token: str = GROUP.option(
        "zero", "fill of masked cells; learned: one colour each", tasks=DETECTOR, choices=("zero", "learned")
    )
    highlight: str = GROUP.option(
        "none",
        "keep only the target: inside the boxes, or where spectral-residual saliency is high",
        tasks=DETECTOR,
        choices=("none", "boxes", "saliency"),
    )
    highlight_quantile: float = GROUP.fraction(
        0.5, "fraction of the pixels that saliency highlighting removes", tasks=STILL
    )
    mask_squares: float = GROUP.fraction(0.6, "fraction of the batches masked with random squares", tasks=("classify",))
    mask_saliency: float = GROUP.fraction(
        0.1, "fraction of the batches reduced to salient pixels (see --highlight-quantile)", tasks=("classify",)
    )
    use_mmd: bool | None = GROUP.option(
        None,
        "also match the feature distributions (MMD) of both views; of classifiers, of darkened and unlabelled night images",
        tasks=STILL,
        shown="off; classifiers: where the data YAML names unlabelled images",
    )
    mmd_weight: float = GROUP.option(0.1, "weight of the MMD loss", tasks=STILL, low=0.0)
    pair_colour: str = GROUP.option(
        "shared",
        "colour jitter of paired images: one draw for both, or independent",
        tasks=CELLS,
        choices=("shared", "independent"),
    )

    foreign: ClassVar = {  # of the published code
        "encoder_moment": "It is --byol-momentum.",
        "use_byol": "--method wiid trains with BYOL; --byol-weight 0 turns it off.",
        "checkpoint": "It is --weights to start from a network, --resume to continue a run.",
        "experiment": "It is --name, the folder of the run.",
        "byol_w": "It is --byol-weight.",
    }


WIID_KEYS = (
    DataKey("pair", aliases=("train_night",), paired=True),
    DataKey("unlabeled", aliases=("favoured", "favored"), tasks=("classify",)),
)
