"""Options of export.py. Free of torch: `export.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import option

_WHAT, _NETWORK, _BOXES = "What", "Network", "Detections"
DETECT = ("detect",)


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, into which formats, and with which arithmetic."""

    weights: Path | None = option(
        None, "detector to export (needed): .pt or .safetensors; the files are written beside it", group=_WHAT
    )
    include: tuple[str, ...] = option(
        ("onnx",), "formats to write", group=_WHAT, choices=("onnx", "torchscript", "openvino"), aliases=("format",)
    )
    trust: bool = option(False, "load the checkpoint the ordinary way, which runs the code inside it", group=_WHAT)

    imgsz: tuple[int, ...] = option(
        (640,),
        "input size, px: one number, or height and width",
        group=_NETWORK,
        low=32,
        aliases=("img", "img-size"),
        tasks=("detect", "classify"),
    )
    batch_size: int = option(1, "images per call", group=_NETWORK, low=1, aliases=("batch",))
    dynamic: bool = option(False, "leave batch, height and width open (ONNX, OpenVINO)", group=_NETWORK)
    half: bool = option(False, "float16 weights and arithmetic", group=_NETWORK, tasks=DETECT)
    opset: int | None = option(
        None, "ONNX operator set; left out, the newest that runs everywhere", group=_NETWORK, low=9
    )
    simplify: bool = option(
        False, "fold constants in the ONNX graph (needs the package onnxslim)", group=_NETWORK, tasks=DETECT
    )
    device: str = option("cpu", "cpu, or a GPU's number", group=_NETWORK)

    nms: bool = option(False, "put suppression into the exported network", group=_BOXES, tasks=DETECT)
    end2end: bool = option(
        False, "export the suppression-free head of models that have one", group=_BOXES, tasks=DETECT
    )
    conf_thres: float = option(
        0.25, "with --nms: lowest confidence", group=_BOXES, low=0.0, high=1.0, aliases=("conf",), tasks=DETECT
    )
    iou_thres: float = option(
        0.45,
        "with --nms: overlap at which the weaker box is dropped",
        group=_BOXES,
        low=0.0,
        high=1.0,
        aliases=("iou",),
        tasks=DETECT,
    )
    max_det: int = option(
        300, "with --nms or --end2end: detections kept of an image", group=_BOXES, low=1, tasks=DETECT
    )
