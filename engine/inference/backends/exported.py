"""An exported network in the place of a PyTorch detector, so that it is evaluated as one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from engine.inference.backends.base import ExportedBackend
from engine.inference.backends.load import kind_of, open_exported
from engine.options.val import ValOptions
from utils.errors import UserError


class ExportedDetector(nn.Module):
    """What an evaluation asks of a detector, answered by an exported network on the CPU.

    size: the only (height, width) that it takes, None for any.
    """

    def __init__(self, backend: ExportedBackend) -> None:
        super().__init__()
        self.backend = backend
        self.names, self.size = dict(backend.names), backend.size
        self.stride = torch.tensor([backend.stride])
        self.end2end = not backend.overlaps
        self.model = nn.ModuleList([nn.Identity()])  # in the place of a head, whose settings it has not

    def forward(self, images: Tensor, augment: bool = False) -> Tensor:
        """images: (B, 3, H, W) in [0, 1]. Returns raw predictions, see engine.inference.backends.base.Backend."""
        return self.backend.predict(images.float().cpu().numpy()).to(images.device)


def is_exported(weights: Path) -> bool:
    """Whether a file or folder holds an exported network, by its name."""
    return kind_of(weights) != "torch"


def load_exported(weights: Path, options: ValOptions) -> ExportedDetector:
    """The network of a file. Raises UserError for options that need PyTorch, and for one that is made for a rectangle."""
    for name in ("augment", "end2end", "show_map", "calibrate"):
        if getattr(options, name):
            raise UserError(
                f"--{name.replace('_', '-')}: needs the PyTorch checkpoint, and {weights.name} is exported."
            )
    model = ExportedDetector(open_exported(weights, kind_of(weights), "cpu", options.trust))
    if model.size is None:
        return model
    height, width = model.size
    if height != width or options.native or options.slice is not None or options.task == "study":
        raise UserError(
            f"{weights}: takes images of {height} x {width} px only. Export it with --dynamic to evaluate it like this."
        )
    return model
