"""The network of a run as compiled code (`--compile`): the forward pass of every view, with the features that methods tap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.graph import tapped


class CompiledNetwork:
    """A network as a function from images to (predictions, taps), compiled at its first call, and for every size anew.

    Weights, batch norms and hooks stay those of the network; what is not its forward pass (losses, targets, masks) runs
    as written. layers: as in `models.graph.tapped`.
    """

    def __init__(self, network: Any, layers: Mapping[str, int | str], backend: str = "inductor") -> None:
        self.network, self.layers = network, layers
        self.taps: dict[str, Tensor] = {}
        self.known = dict(graph_breaks())
        self.compiled: Any = torch.compile(self._run, backend=backend, dynamic=False)

    def _run(self, image: Tensor) -> tuple[Any, dict[str, Tensor]]:
        predictions = self.network(image)
        return predictions, dict(self.taps)

    def __call__(self, image: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """image: (B, 3, H, W). The hooks that collect taps exist only during the call, always the same ones."""
        self.taps.clear()
        with tapped(self.network, self.layers, self.taps):
            return self.compiled(image)  # type: ignore[no-any-return]

    def notes(self) -> list[str]:
        """How whole the network was compiled: the graph breaks since this was made, each with its reason."""
        breaks = {reason: number - self.known.get(reason, 0) for reason, number in graph_breaks().items()}
        found = {reason: number for reason, number in breaks.items() if number > 0}
        if not found:
            return ["compile: the network is one graph"]
        first = f"compile: {sum(found.values())} graph breaks, at each of which the network runs as written"
        return [first, *(f"compile: {number} x {' '.join(reason.split())[:200]}" for reason, number in found.items())]


def graph_breaks() -> Mapping[str, int]:
    """Reason -> how often, in this process."""
    from torch._dynamo.utils import counters

    return counters["graph_break"]
