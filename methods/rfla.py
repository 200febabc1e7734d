"""RFLA: label assignment by Gaussian receptive fields, for objects of a few pixels (Xu et al., ECCV 2022).

Changes label assignment only; the network, its cost and its checkpoints stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from methods.base import Detector, Method
from methods.options.rfla import RFLAOptions
from methods.rfla_assigner import RFLAssigner, Rules
from methods.rfla_math import boundaries, hierarchical_assign, receptive_field_distance
from models.receptive_field import effective_fields
from utils.errors import UserError

__all__ = ["RFLA", "RFLAssigner", "hierarchical_assign", "receptive_field_distance"]


class RFLA(Method):
    """The method `rfla`: wraps the assigner of every branch of the criterion.

    rules: single rules in place of those of the mode, by their names in `methods.rfla_assigner.Rules`.
    """

    name = "rfla"
    Options = RFLAOptions

    def __init__(self, options: RFLAOptions | None = None, rules: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        chosen = {"tiny": self.options.rfla_tiny, "floor": self.options.rfla_floor}
        self.rules = {name: value for name, value in chosen.items() if value is not None} | dict(rules or {})
        self.given = read_fields(self.options.rf)
        self.fields: dict[int, float] = {}

    def attach(self, detector: Detector) -> None:
        """Find the receptive fields of the detector's levels. Raises UserError where --rf names a level it has not."""
        self.fields = effective_fields(detector, self.options.rf_fraction, self.given)

    def criterion(self, branch: Any) -> None:
        """Wrap the assigner of a branch."""
        mode = self.options.rfla_mode
        branch.assigner = RFLAssigner(mode=mode, rules=self.rules, fields=self.fields, tal=branch.assigner)

    def notes(self, detector: Detector) -> list[str]:
        """The effective fields, and the object sizes at which the nearest level changes."""
        sides = ", ".join(f"stride {stride}: {side:g} px" for stride, side in self.fields.items())
        metric = self.rules.get("metric", Rules.metric)
        split = [f"{low}|{high} at {side:.0f} px" for (low, high), side in boundaries(self.fields, metric).items()]
        return [f"rfla {self.options.rfla_mode}: effective receptive fields {sides}; levels split {', '.join(split)}"]


def read_fields(text: str) -> dict[int, float]:
    """`8:45.5,16:133.5` as a mapping. Raises UserError for anything else."""
    fields = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        stride, _, side = part.partition(":")
        try:
            fields[int(stride)] = float(side)
        except ValueError:
            fields[0] = 0.0
        if not all(stride > 0 and 0 < side < 1e5 for stride, side in fields.items()):
            raise UserError(
                f"--rf {text}: {part!r} is not a stride:side pair in pixels; expected such as 8:45.5,16:133.5."
            )
    return fields
