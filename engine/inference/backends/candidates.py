"""Boxes only where a class passes the threshold: on a CPU, a fifth of a small detector's work is the box branch of its head.

Class scores are computed first, everywhere. A box depends on the 5 x 5 cells around its own, through two 3 x 3 convolutions:
where candidates are few, the branch sees these cells only.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.nn.modules.conv import Conv  # noqa: E402
from ultralytics.nn.modules.head import Detect  # noqa: E402

FEW = 0.1  # fraction of a level's cells up to which looking at each candidate's surroundings is less work
REACH = 2  # cells around its own that a box depends on


def boxes_of_candidates(model: Any, conf: float = 0.0) -> bool:
    """Let the head of a fused detector leave out the boxes of cells without a confidence above `conf`. Whether it does.

    The model then returns (predictions, {}), predictions (B, 4 + classes, N) as before, but with boxes of 0 in these cells.
    The threshold can be changed: `model.model[-1].candidates.conf`. The model can only be used without gradients afterwards.
    Heads that are not Ultralytics' plain one, and those without NMS, stay as they are.
    """
    head = model.model[-1]
    if type(head) is not Detect or head.end2end or not all(_is_usual(layers) for layers in head.cv2):
        return False
    head.candidates = CandidateBoxes(head, conf)
    head.forward = head.candidates.predictions
    return True


def _is_usual(layers: Sequence[nn.Module]) -> bool:
    """Whether a level's box branch is 3 x 3, 3 x 3 and 1 x 1, each with stride 1."""
    convs = [layer.conv if isinstance(layer, Conv) else layer for layer in layers]
    shapes = [(conv.kernel_size, conv.stride, conv.padding) for conv in convs if isinstance(conv, nn.Conv2d)]
    return shapes == [((3, 3), (1, 1), (1, 1))] * 2 + [((1, 1), (1, 1), (0, 0))]


class CandidateBoxes(nn.Module):
    """The forward pass of a `Detect` head, with boxes of candidates only."""

    def __init__(self, head: Any, conf: float) -> None:
        super().__init__()
        self._head, self.conf = [head], conf  # in a list: it is this module's parent
        self.near = nn.ModuleList(copy.deepcopy(layers) for layers in head.cv2)
        for layers in self.near:
            for layer in layers[:2]:  # type: ignore[index]
                layer.conv.padding = (0, 0)  # the surroundings are given

    def predictions(self, features: Sequence[Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """features: (B, C, H, W) by level. Returns what `boxes_of_candidates` says."""
        return torch.cat([self._level(level, x) for level, x in enumerate(features)], 2), {}

    def _level(self, level: int, x: Tensor) -> Tensor:
        """x: (B, C, H, W). Returns (B, 4 + classes, H * W)."""
        head = self._head[0]
        images, (height, width) = len(x), x.shape[2:]
        scores = head.cv3[level](x).flatten(2).sigmoid()  # (B, classes, H*W)
        image, cell = (scores.amax(1) > self.conf).nonzero(as_tuple=True)  # (k,) each
        row, column = cell // width, cell % width
        boxes = scores.new_zeros(images, height * width, 4)
        if len(cell):
            few = len(cell) <= FEW * images * height * width
            raw = self._nearby(level, x, image, row, column) if few else head.cv2[level](x)[image, :, row, column]
            anchors = torch.stack((column, row)) + 0.5  # (2, k)
            sides = head.dfl(raw.T[None])  # (1, 4, k)
            boxes[image, cell] = head.decode_bboxes(sides, anchors[None])[0].T * head.stride[level]
        return torch.cat((boxes.transpose(1, 2), scores), 1)

    def _nearby(self, level: int, x: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The box branch at k cells of x (B, C, H, W): (k, 4 * reg_max)."""
        height, width = x.shape[2:]
        layers: Any = self.near[level]
        around = torch.arange(-REACH, REACH + 1)
        rows, columns = row[:, None] + around, column[:, None] + around  # (k, 5)
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        inside = inside[:, None].to(x.dtype)  # (k, 1, 5, 5)
        rows, columns = rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
        cells = x.permute(0, 2, 3, 1)[image[:, None, None], rows, columns].permute(0, 3, 1, 2)  # (k, C, 5, 5)
        middle = layers[0](cells * inside) * inside[:, :, 1:-1, 1:-1]  # (k, C', 3, 3): the padding between the two
        found: Tensor = layers[2](layers[1](middle)).flatten(1)
        return found
