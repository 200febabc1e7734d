"""Options of LCP. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Group, option

GROUP = Group("LCP (--method lcp)", tasks=("detect",))


@dataclass(frozen=True)
class LCPOptions:
    """Crux and catch-up learners, trained in turn; needs a crux model. See docs/methods/lcp.md."""

    catch_up_weight: float = option(
        100.0, "weight of the catch-up loss (published: 100 underwater, 1 in fog and rain)", group=GROUP, low=0.0
    )
    lcp_turns: str = option(
        "", "who trains in each epoch, U: catch-up learner, C: crux learner and detector, B: both at once (ours); a short text "
        "repeats, such as C; left out: the published order", group=GROUP,
    )  # fmt: skip
    crux_lr_gain: float = option(
        1.0,
        "learning rate of the crux learner, as a multiple (published: 100 underwater, with SGD)",
        group=GROUP,
        low=0.0,
    )
    lcp_shallow: str = option(
        "rest", "the shallow layers that image and crux share: rest, as published; steady: train in C epochs with the "
        "batch statistics they started with; train", group=GROUP, choices=("rest", "steady", "train"),
    )  # fmt: skip
    train_catch_up: bool = option(
        False,
        "let the catch-up learner train in C epochs too, by the detection loss; published: in U only",
        group=GROUP,
    )
    adapt_statistics: bool = option(
        False, "in U epochs, let the batch statistics of the shallow layers follow the low-quality images; published: never",
        group=GROUP,
    )  # fmt: skip
