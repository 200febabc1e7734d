"""YOLOv5 as published (releases 6.0 to 7.0, with anchors), rebuilt from its tensors, on enhanced night photographs.

python -m bench.yolov5_anchors --exdark datasets/exdark8 --weights weights/yolov5n_v6.1_coco.pt

Hardsight's detectors have anchor-free heads; a YOLOv5 checkpoint only starts their training. This puts the published head
on the same backbone and neck. --exdark: a folder of data.yaml, images/val and labels/val with ExDark's classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.enhanced import ENHANCERS
from data.config import load_data
from data.detection.dataset import build_dataset
from engine.checkpoint import transfer
from engine.checkpoint.weights import load_weights
from engine.enhancement.enhancer import open_enhancer
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.robustness import areas
from engine.evaluation.settings import EvalSettings
from models.detector import build
from utils.cli import run_cli
from utils.errors import UserError
from utils.tables import markdown_table

EXDARK_IN_COCO = (1, 8, 39, 5, 2, 15, 56, 41, 16, 3, 0, 60)  # bicycle, boat, bottle, ... of ExDark's order


class AnchorHead(nn.Module):
    """Three levels of maps to boxes (B, 4 + classes, N): centre x, y, width, height in px, then object x class scores.

    anchors: (levels, 3, 2) width and height in cells; classes: numbers of the classes to return, in order. Source: YOLOv5 v6.1.
    """

    end2end = False

    def __init__(
        self, layers: nn.ModuleList, anchors: Tensor, stride: Tensor, classes: Sequence[int], replaced: Any
    ) -> None:
        super().__init__()
        self.m, self.anchors, self.stride, self.classes = layers, anchors, stride, list(classes)
        self.f, self.i, self.np = replaced.f, replaced.i, 0
        setattr(self, "type", "AnchorHead")  # noqa: B010  the name is Ultralytics', and that of a method of modules
        self.max_det, self.agnostic_nms = 300, False
        self.nc = len(self.classes)

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
        scores = out[:, :, 4:5] * out[:, :, [5 + number for number in self.classes]]
        return torch.cat((centres, sizes, scores), 2).transpose(1, 2).flatten(2)


def anchor_detector(weights: Path, names: dict[int, str], classes: Sequence[int], cfg: str = "yolov5n") -> Any:
    """The detector of a YOLOv5 checkpoint, in evaluation mode, returning its `classes` under `names`.

    Raises UserError for another kind of checkpoint.
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
    model.model[last] = AnchorHead(layers, anchors, model.stride, classes, model.model[last])
    return model.float().eval()


def exdark_rows(folder: Path, weights: Path) -> list[dict[str, Any]]:
    """A row for each enhancer: metrics on the photographs at 640 px."""
    config = load_data(str(folder / "data.yaml"), need=("val",))
    model, rows = anchor_detector(weights, dict(config.names), EXDARK_IN_COCO), []
    dataset = build_dataset(config, "val", imgsz=640, stride=32, rect=True, cache="none", batch_size=1)
    for title in ENHANCERS:
        name, _, scale = title.partition(":")
        enhancer = open_enhancer(name, None, int(scale) if scale else None, "cpu")
        enhance = (lambda images, batch, use=enhancer: use.within(images, areas(batch))) if enhancer else None
        settings = EvalSettings(batch_size=1, enhance=enhance, progress=False)
        report = evaluate_detector(model, dataset, settings, device="cpu")
        rows.append({"enhancer": title, **{key: report.metrics[key] for key in ("mAP50", "recall", "precision")}})
    return rows


def main() -> None:
    """Evaluate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exdark", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    print(markdown_table(exdark_rows(options.exdark, options.weights)))


if __name__ == "__main__":
    sys.exit(run_cli(main))
