"""A seventh method, of which the project knows nothing: features that an edge filter cannot see are pulled towards sketches.

It is here to show what a method outside the project may bring along: an option, an unpaired view, a YAML layer with a map to
paint, a command of prepare.py. docs/method-protocol.md walks through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Command, DataKey, Detector, LayerSpec, Method, Step, View
from utils.options import option


@dataclass(frozen=True)
class SketchOptions:
    """One flag of train.py."""

    sketch_weight: float = option(0.1, "weight of the distance to sketches", group="Sketch", low=0.0)


class EdgeGate(nn.Module):
    """YAML layer: damps an image (B, 3, H, W) where it has no edges. Where it has some is its map to paint."""

    def __init__(self, floor: float = 0.5) -> None:
        super().__init__()
        self.floor = nn.Parameter(torch.tensor(floor))

    def edges(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 1, H, W) in [0, 1]."""
        grey = nn.functional.pad(x.mean(1, keepdim=True), (0, 1, 0, 1), mode="replicate")
        steps = (grey[..., 1:, :-1] - grey[..., :-1, :-1]).abs() + (grey[..., :-1, 1:] - grey[..., :-1, :-1]).abs()
        return steps.clamp(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the same."""
        return x * (self.floor + (1 - self.floor) * self.edges(x))


class Sketch(Method):
    """The method `sketch`: a head trains to give images and unpaired sketches features of one mean."""

    name = "sketch"
    Options = SketchOptions
    views = (View("sketches", "unpaired", "Name a folder of drawings ('sketches: images/sketches')"),)
    keys = (DataKey("sketches"),)
    layers = {"EdgeGate": LayerSpec(lambda inputs, stand_in, args: EdgeGate(*args), heat_map="edges")}
    commands = {
        "sketch": Command(
            "Draw the edges of images.",
            "tests.external_method.command:DrawOptions",
            "tests.external_method.command:draw",
            first="source",
        )
    }

    def attach(self, detector: Detector) -> None:
        """The head trains with the detector; the running mean of sketches is a target."""
        self.head = nn.Linear(3, 4)
        self.register_buffer("mean", torch.zeros(4))

    def taps(self, detector: Detector) -> dict[str, int]:
        """The first layer's output, of three channels with an EdgeGate there."""
        return {"gate": 0}

    def loss(self, step: Step) -> dict[str, Tensor]:
        """The distance of the images' mean feature to that of the sketches seen so far."""
        sketches = self.head(step.batch["sketches"].mean((2, 3))).mean(0)  # (4,)
        mean: Any = self.mean
        mean.lerp_(sketches.detach(), 0.1)
        images = self.head(step.taps["gate"].float().mean((2, 3))).mean(0)  # (4,)
        value = self.options.sketch_weight * ((images - mean) ** 2).sum()
        return {"sketch": value * step.images}
