"""Options of RFLA. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group, option

GROUP = Group("RFLA (--method rfla)", tasks=("detect",))


@dataclass(frozen=True)
class RFLAOptions:
    """Label assignment for tiny objects; options left out follow the mode. See docs/methods/rfla.md."""

    rfla_mode: str = option(
        "hybrid", "hybrid: the stock rule, lifted for tiny objects; paper: RFLA as published", group=GROUP,
        choices=("hybrid", "paper"),
    )  # fmt: skip
    rf: str = option(
        "", "sides of the effective receptive fields by stride, px, such as 8:45.5,16:133.5; left out: traced",
        group=GROUP,
    )  # fmt: skip
    rf_fraction: float = option(
        0.5, "effective receptive field, as a share of the traced one", group=GROUP, low=0.01, high=1.0
    )
    rfla_tiny: float | None = option(
        None, "objects with sqrt(area) under this are tiny, px (hybrid: 32, paper: every object)", group=GROUP, low=0.0
    )
    rfla_selection: str | None = option(
        None, "points that train a tiny object: stock; nearest: with its nearest free ones; hierarchy: RFLA's",
        group=GROUP, choices=("stock", "nearest", "hierarchy"),
    )  # fmt: skip
    rfla_ranking: str | None = option(
        None, "what its points share its target by: gaussian distance, or aligned with the predictions", group=GROUP,
        choices=("gaussian", "aligned"),
    )  # fmt: skip
    rfla_target: str | None = option(
        None, "its class target: stock; floor: at least --rfla-floor, yielding; one", group=GROUP,
        choices=("stock", "floor", "one"),
    )  # fmt: skip
    rfla_box: str | None = option(
        None, "weight of its box loss: the class target; cap: less outside the object; stock", group=GROUP,
        choices=("target", "cap", "stock"),
    )  # fmt: skip
    rfla_floor: float | None = option(
        None, "least target of its best point while no box overlaps it", group=GROUP, low=0.0, high=1.0
    )
    rfla_yields: float | None = option(
        None, "best stock target at which the floor is gone", group=GROUP, low=0.001, high=1.0
    )
    rfla_topk: tuple[int, ...] | None = option(
        None, "points per object takes in the two stages of hierarchy", group=GROUP, low=1
    )
    rfla_shrink: float | None = option(
        None, "factor on the fields between the two stages", group=GROUP, low=0.1, high=1.0
    )
    rfla_inside: bool = option(False, "drop points of hierarchy that lie outside their object", group=GROUP)
    rfla_conflict: str | None = option(
        None, "who gets a point that two objects want: the later in order, or the nearer (rfd)", group=GROUP,
        choices=("order", "rfd"),
    )  # fmt: skip
    rfla_metric: str | None = option(
        None, "distance of Gaussians: kl (Kullback-Leibler) or wd (Wasserstein)", group=GROUP, choices=("kl", "wd")
    )
