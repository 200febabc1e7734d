"""Options of export.py. Free of torch: `export.py --help` reads this file only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.options.common import DETECT, IMAGES, confidence_option, device_option, iou_option, trust_option
from utils.options import Group

INPUT, NETWORK, BOXES = Group("Model and formats"), Group("Network"), Group("Detections", DETECT)

FORMATS = (
    "onnx", "torchscript", "openvino", "engine", "coreml", "ncnn", "litert", "saved_model", "pb", "edgetpu", "paddle", "mnn",
    "executorch", "imx", "rknn",
)  # fmt: skip


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, into which formats, and in which precision."""

    weights: Path | None = INPUT.option(
        None, ".pt or .safetensors file; the exported files are written beside it", shown="required"
    )
    include: tuple[str, ...] = INPUT.option(
        ("onnx",),
        "formats: of Ultralytics' exporter; onnx, torchscript and openvino are compared with the detector",
        choices=FORMATS,
        aliases=("format",),
    )
    trust: bool = trust_option(INPUT)

    imgsz: tuple[int, ...] = NETWORK.option(
        (640,), "input size, px; one number or height and width", low=32, aliases=("img", "img-size"), tasks=IMAGES
    )
    batch_size: int = NETWORK.option(1, "batch size", low=1, aliases=("batch",))
    dynamic: bool = NETWORK.option(False, "dynamic batch size, height and width (ONNX, OpenVINO)")
    half: bool = NETWORK.option(False, "float16 weights and inference", tasks=DETECT)
    int8: bool = NETWORK.option(False, "8-bit weights and activations; needs --calibrate", tasks=DETECT)
    calibrate: str = NETWORK.option(
        "",
        "with --int8: DATA or DATA:SPLIT whose images set the ranges, in equal parts of all conditions",
        tasks=DETECT,
    )
    calibrate_images: int = NETWORK.option(128, "with --int8: images to calibrate with", low=1, tasks=DETECT)
    opset: int | None = NETWORK.option(None, "ONNX opset", low=9, shown="newest that runs everywhere")
    simplify: bool = NETWORK.option(False, "simplify the ONNX graph (needs onnxslim)", tasks=DETECT)
    device: str = device_option(NETWORK, "cpu")

    nms: bool = BOXES.option(False, "include NMS in the exported network")
    end2end: bool = BOXES.option(False, "export the NMS-free (end-to-end) head where the model has one")
    conf_thres: float = confidence_option(BOXES, 0.25, "with --nms: ")
    iou_thres: float = iou_option(BOXES, 0.45, "with --nms: ")
    max_det: int = BOXES.option(300, "with --nms or --end2end: maximum detections per image", low=1)


ABOUT = "Export a detector or classifier to ONNX, TorchScript, OpenVINO or the format of a device."
EXAMPLES = (
    "python export.py --weights runs/train/exp/weights/best.pt",
    "python export.py --weights best.pt --include onnx openvino --dynamic",
    "python export.py --weights best.pt --include openvino --int8 --calibrate night.yaml:val",
)
