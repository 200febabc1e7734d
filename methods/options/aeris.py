"""Options of AERIS. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group, option

GROUP = Group("AERIS (--method aeris)", tasks=("detect",))


@dataclass(frozen=True)
class AERISOptions:
    """Degraded training views and a decoder that restores the clean one. See docs/methods/aeris.md."""

    restore_weight: float = option(
        0.4, "weight of the restored image's L1 loss; 0: degraded views alone, no decoder", group=GROUP, low=0.0
    )
    restore_stage: int = option(
        2, "where the decoder reads: 2, where the neck joins features at stride 8; 1, at stride 16", group=GROUP, low=1,
        high=2,
    )  # fmt: skip
    degrade_sizes: str = option(
        "equispaced", "sizes of the degraded views, drawn once per batch: equispaced, as coded; uniform ratios, as published",
        group=GROUP, choices=("equispaced", "uniform"),
    )  # fmt: skip
    degrade_scope: str = option(
        "all", "what is degraded: all; resolution alone; blur-noise: blur and noise at full size", group=GROUP,
        choices=("all", "resolution", "blur-noise"),
    )  # fmt: skip
    consistency_weight: float = option(
        0.0, "weight of the distance between the features of two degraded views of an image; not published", group=GROUP,
        low=0.0,
    )  # fmt: skip
