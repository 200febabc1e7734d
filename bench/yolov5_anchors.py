"""YOLOv5's own detectors of releases 6.0 to 7.0 (anchors), rebuilt from their tensors, so that they can be measured.

Hardsight's detectors have anchor-free heads; a YOLOv5 checkpoint only starts their training. This puts the published head
on the same backbone and neck.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.checkpoint import transfer
from engine.checkpoint.weights import load_weights
from models.detector import build
from utils.errors import UserError


class AnchorHead(nn.Module):
    """Three levels of maps to boxes (B, 4 + classes, N): centre x, y, width, height in px, then object x class scores.

    anchors: (levels, 3, 2) width and height in cells; kept: numbers of the classes to give, in order. Source: YOLOv5 v6.1.
    """

    end2end = False

    def __init__(self, layers: nn.ModuleList, anchors: Tensor, stride: Tensor, kept: Sequence[int], place: Any) -> None:
        super().__init__()
        self.m, self.anchors, self.stride, self.kept = layers, anchors, stride, list(kept)
        self.f, self.i, self.np = place.f, place.i, 0
        setattr(self, "type", "AnchorHead")  # noqa: B010  the name is Ultralytics', and that of a method of modules
        self.max_det, self.agnostic_nms = 300, False
        self.nc = len(self.kept)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, None]:
        """maps: (B, C, H, W) of each level, finest first."""
        return torch.cat([self._level(number, features) for number, features in enumerate(maps)], 2), None

    def _level(self, number: int, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 4 + classes, 3 * H * W)."""
        out = self.m[number](features).sigmoid()
        batch, _, height, width = out.shape
        out = out.view(batch, 3, -1, height, width)  # anchor, then x, y, w, h, object, classes
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        cells = torch.stack((columns, rows)).to(out)  # (2, H, W)
        centres = (2 * out[:, :, :2] - 0.5 + cells) * self.stride[number]
        sizes = (2 * out[:, :, 2:4]).square() * (self.anchors[number] * self.stride[number]).view(1, 3, 2, 1, 1)
        scores = out[:, :, 4:5] * out[:, :, [5 + kind for kind in self.kept]]
        return torch.cat((centres, sizes, scores), 2).transpose(1, 2).flatten(2)


def anchor_detector(weights: Path, names: dict[int, str], kept: Sequence[int], cfg: str = "yolov5n") -> Any:
    """The detector of a YOLOv5 checkpoint, in evaluation mode, giving the classes `kept` of it under `names`.

    Raises UserError where the file is no such checkpoint.
    """
    state = {name: tensor.float() for name, tensor in load_weights(weights).state.items()}
    model: Any = build(cfg, names)
    last = len(model.model) - 1
    anchors = state.get(f"model.{last}.anchors")
    if anchors is None:
        raise UserError(
            f"{weights}: has no anchors; expected a YOLOv5 checkpoint of release 6.0 to 7.0, such as yolov5n.pt."
        )
    transfer(model, load_weights(weights))
    layers = nn.ModuleList()
    for level in range(len(anchors)):
        weight, bias = (state[f"model.{last}.m.{level}.{part}"] for part in ("weight", "bias"))
        layer = nn.Conv2d(weight.shape[1], len(weight), 1)
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers.append(layer)
    model.model[last] = AnchorHead(layers, anchors, model.stride, kept, model.model[last])
    return model.float().eval()
