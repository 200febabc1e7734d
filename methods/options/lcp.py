"""Options of LCP. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data.config import DataKey
from methods.spec import Command
from utils.options import Group, RemovedOption

GROUP = Group("LCP (--method lcp)", tasks=("detect",))
RECIPES = ("published", "unfrozen", "fixed-bn")
INSTEAD = (
    "--lcp-recipe chooses what trains: published, unfrozen (all layers) or fixed-bn (with fixed batch statistics)."
)


@dataclass(frozen=True)
class LCPOptions:
    """Crux and catch-up learners, trained in turn; needs a crux model. See docs/methods/lcp.md."""

    lcp_recipe: str = GROUP.option(
        "published",
        "published: shallow layers frozen; unfrozen: all layers train; fixed-bn: also, with fixed shallow batch statistics",
        choices=RECIPES,
    )
    lcp_schedule: str = GROUP.option(
        "",
        "what trains in each epoch, U: catch-up learner, C: crux learner and detector; a short text repeats, such as C",
        formerly=("lcp_turns",),
        shown="by the recipe",
    )
    catch_up_weight: float | None = GROUP.option(
        None,
        "weight of the catch-up loss (published 100 underwater, 1 in fog and rain)",
        low=0.0,
        shown="published 100, else 1",
    )
    crux_lr_gain: float | None = GROUP.option(
        None,
        "learning rate multiplier of the crux learner (published 100 underwater, with SGD)",
        low=0.0,
        shown="published 1, else 10",
    )
    failure_weight: float = GROUP.option(
        0.0,
        "weight of a loss that marks in the crux map where objects are missed and alarms false (not published)",
        low=0.0,
    )

    removed: ClassVar = {
        "lcp_shallow": RemovedOption("rest", INSTEAD),
        "train_catch_up": RemovedOption(False, INSTEAD),
        "adapt_statistics": RemovedOption(False, INSTEAD),
    }


LCP_LAYERS = ("CruxSplit", "PlainHalf", "CatchUpFuse")
LCP_COMMANDS = {
    "select": Command(
        "Select the images on which a detector does well: reference images for --method lcp.",
        "engine.options.prepare:SelectOptions",
        "engine.preparation.select:select",
        formerly="favour",
    )
}
LCP_KEYS = (DataKey("reference", aliases=("favoured", "favored"), tasks=("detect",)),)
