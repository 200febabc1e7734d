"""The temperature of a calibrated checkpoint: kept in its header, applied to the head when a detector is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils.errors import UserError

KEY = "temperature"
LOWEST, HIGHEST = 0.01, 100.0  # what a file may ask for


def temperature_of(meta: Mapping[str, Any], path: Path | str) -> float:
    """The temperature that a checkpoint's plain entries name; 1 where they name none. Raises UserError for no such number."""
    own = meta.get("hardsight")
    found = meta.get(KEY, own.get(KEY, 1.0) if isinstance(own, Mapping) else 1.0)
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if not number or not LOWEST <= found <= HIGHEST:
        raise UserError(
            f"{path}: its temperature is {found!r:.60}; expected a number from {LOWEST} to {HIGHEST}. Calibrate the original "
            "checkpoint again: val.py --calibrate."
        )
    return float(found)


def apply_temperature(detector: nn.Module, temperature: float) -> None:
    """Divide the class logits of a detector by the temperature, in its last layers, so that every export has it too.

    The confidence sigmoid(z) becomes sigmoid(z / temperature); boxes and the order of detections stay.
    """
    if temperature == 1:
        return
    head: Any = list(detector.model.children())[-1]  # type: ignore[union-attr, operator]
    with torch.no_grad():
        for branch in ("cv3", "one2one_cv3"):
            for layers in getattr(head, branch, None) or ():
                layers[-1].weight /= temperature
                layers[-1].bias /= temperature
