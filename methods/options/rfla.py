"""Options of RFLA. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from utils.options import Group, RemovedOption

GROUP = Group("RFLA (--method rfla)", tasks=("detect",))
INSTEAD = "--rfla-mode chooses the rules; from Python, methods.rfla.RFLA(rules={...}) replaces single ones."
GONE = "selection ranking target yields topk shrink conflict metric"


@dataclass(frozen=True)
class RFLAOptions:
    """Label assignment for tiny objects. See docs/methods/rfla.md."""

    rfla_mode: str = GROUP.option(
        "hybrid",
        "hybrid: task-aligned assignment, with higher targets for tiny objects; paper: RFLA as published",
        choices=("hybrid", "paper"),
    )
    rf: str = GROUP.option("", "effective receptive fields by stride, px, such as 8:45.5,16:133.5", shown="traced")
    rf_fraction: float = GROUP.option(
        0.5, "effective receptive field, as a fraction of the traced one", low=0.01, high=1.0
    )
    rfla_tiny: float | None = GROUP.option(
        None, "objects with sqrt(area) below this are tiny, px", low=0.0, shown="hybrid 32, paper no limit"
    )
    rfla_floor: float | None = GROUP.fraction(
        None,
        "minimum class target of a tiny object's best point while no predicted box overlaps it",
        shown="hybrid 0.5, paper unused",
    )

    removed: ClassVar = {
        **{f"rfla_{rule}": RemovedOption(None, INSTEAD) for rule in GONE.split()},
        "rfla_box": RemovedOption(None, "The box loss is weighted by the class target."),
        "rfla_inside": RemovedOption(False, "--rfla-mode paper keeps points outside their object, as published."),
    }
