"""Options of WiiD. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import option

GROUP = "WiiD (--method wiid)"


@dataclass(frozen=True)
class WiiDOptions:
    """Published defaults of WiiD's detector; see docs/methods/wiid.md for what each is worth."""

    byol_weight: float = option(0.1, "weight of the symmetric BYOL loss", group=GROUP, low=0.0)
    byol_momentum: float = option(
        0.99, "share of itself that the momentum target keeps each step", group=GROUP, low=0.0, high=1.0
    )
    front_ratio: float = option(
        0.0, "share of the cells on objects that are masked", group=GROUP, tasks=("detect", "action"), low=0.0, high=1.0
    )
    back_ratio: float = option(
        0.3, "share of the background cells that are masked", group=GROUP, tasks=("detect", "action"), low=0.0, high=1.0
    )
    num_blocks: int = option(
        5, "cells per side of the occlusion grid", group=GROUP, tasks=("detect", "action"), low=1, high=64
    )
    mask_token: str = option(
        "zero", "what fills a masked cell: zero pixels, or a learned RGB token per cell", group=GROUP, tasks=("detect",),
        choices=("zero", "learned"),
    )  # fmt: skip
    highlight: str = option(
        "none", "keep only the target: inside the boxes, or where spectral-residual saliency is high", group=GROUP,
        tasks=("detect",), choices=("none", "boxes", "saliency"),
    )  # fmt: skip
    highlight_quantile: float = option(
        0.5,
        "share of the pixels that saliency highlighting removes",
        group=GROUP,
        tasks=("detect", "classify"),
        low=0.0,
        high=1.0,
    )
    use_mmd: bool = option(
        False,
        "also match the feature distributions of the two members (MMD)",
        group=GROUP,
        tasks=("detect", "classify"),
    )
    mmd_weight: float = option(0.1, "weight of the MMD term", group=GROUP, tasks=("detect", "classify"), low=0.0)
