"""Options of AERIS. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group

GROUP = Group("AERIS (--method aeris)", tasks=("detect",))


@dataclass(frozen=True)
class AERISOptions:
    """Degraded training views and a decoder that restores the clean one. See docs/methods/aeris.md."""

    restore_weight: float = GROUP.option(
        0.4, "weight of the restoration (L1) loss; 0: degraded views alone, no decoder", low=0.0
    )
    restore_stage: int = GROUP.option(
        2, "features that the decoder reads: the neck's fusion at stride 16 (1) or 8 (2)", low=1, high=2
    )
    degrade_sizes: str = GROUP.option(
        "equispaced",
        "sizes of the degraded views, drawn per batch: equispaced sizes (as coded) or uniform ratios (as published)",
        choices=("equispaced", "uniform"),
    )
    degrade_scope: str = GROUP.option(
        "all", "what to degrade; blur-noise keeps the size", choices=("all", "resolution", "blur-noise")
    )
    consistency_weight: float = GROUP.option(
        0.0, "weight of the feature distance between two degraded views (not published)", low=0.0
    )
