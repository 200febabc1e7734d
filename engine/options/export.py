"""Options of export.py. Free of torch: `export.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.options import Group, option
from utils.options.shared import DETECT, IMAGES, confidence_option, device_option, iou_option, trust_option

INPUT, NETWORK, BOXES = Group("Model and formats"), Group("Network"), Group("Detections", DETECT)


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, into which formats, and in which precision."""

    weights: Path | None = option(
        None, ".pt or .safetensors file; the exported files are written beside it", group=INPUT, shown="required"
    )
    include: tuple[str, ...] = option(
        ("onnx",), "formats", group=INPUT, choices=("onnx", "torchscript", "openvino"), aliases=("format",)
    )
    trust: bool = trust_option(INPUT)

    imgsz: tuple[int, ...] = option(
        (640,),
        "input size, px; one number or height and width",
        group=NETWORK,
        low=32,
        aliases=("img", "img-size"),
        tasks=IMAGES,
    )
    batch_size: int = option(1, "batch size", group=NETWORK, low=1, aliases=("batch",))
    dynamic: bool = option(False, "dynamic batch size, height and width (ONNX, OpenVINO)", group=NETWORK)
    half: bool = option(False, "float16 weights and inference", group=NETWORK, tasks=DETECT)
    opset: int | None = option(None, "ONNX opset", group=NETWORK, low=9, shown="newest that runs everywhere")
    simplify: bool = option(False, "simplify the ONNX graph (needs onnxslim)", group=NETWORK, tasks=DETECT)
    device: str = device_option(NETWORK, "cpu")

    nms: bool = option(False, "include NMS in the exported network", group=BOXES)
    end2end: bool = option(False, "export the NMS-free (end-to-end) head where the model has one", group=BOXES)
    conf_thres: float = confidence_option(BOXES, 0.25, "with --nms: ")
    iou_thres: float = iou_option(BOXES, 0.45, "with --nms: ")
    max_det: int = option(300, "with --nms or --end2end: maximum detections per image", group=BOXES, low=1)


ABOUT = "Export a detector or classifier to ONNX, TorchScript or OpenVINO."
EXAMPLES = (
    "python export.py --weights runs/train/exp/weights/best.pt",
    "python export.py --weights best.pt --include onnx openvino --dynamic",
    "python export.py --weights best.pt --nms --conf-thres 0.25",
)
