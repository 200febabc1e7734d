"""`engine.export`, behind export.py: a checkpoint as ONNX, TorchScript or OpenVINO, compared with its detector.

Ultralytics' exporter does the conversion; nothing is installed or downloaded for it. Each format is written to a hidden
folder beside the weights and moved into place once it is complete and has passed the comparison.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.checkpoint import load_detector
from engine.conversion import convert
from engine.exporters.calibration import calibration_set
from engine.inference.backends import OpenVINOBackend
from engine.options.export import ExportOptions
from engine.tasks import resolve, task_of_weights
from models.detector import DetectionModel
from utils.errors import UserError
from utils.files import find_weights
from utils.log import LOGGER
from utils.options import build
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

DYNAMIC = ("onnx", "openvino", "engine", "mnn")  # formats whose input may be open
# Largest difference from the detector: relative to values above 1 (pixels), absolute below (scores).
LIMIT = 1e-4
LIMITS = {"openvino": 1e-3}  # it reorders sums: trained detectors reach 5e-4
PACKAGES: dict[str, tuple[str, ...]] = {  # what each format is written with; a name in brackets is what pip calls it
    "onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",), "torchscript": (), "engine": ("tensorrt", "onnx"),
    "coreml": ("coremltools",), "ncnn": ("ncnn", "pnnx"), "litert": ("litert_torch",), "saved_model": ("tensorflow", "onnx2tf"),
    "pb": ("tensorflow", "onnx2tf"), "edgetpu": ("tensorflow", "onnx2tf"), "paddle": ("paddle", "x2paddle"),
    "mnn": ("MNN", "onnx"), "executorch": ("executorch",), "imx": ("imx500_converter", "mct_quantizers"),
    "rknn": ("rknn", "onnx"),
}  # fmt: skip
PIP = {
    "litert_torch": "litert-torch",
    "paddle": "paddlepaddle",
    "imx500_converter": "imx500-converter",
    "rknn": "rknn-toolkit2",
}
QUANTIZERS = {"openvino": ("nncf",), "onnx": ()}


@dataclass(frozen=True)
class ExportResult:
    """files: format -> what was written; differences: format -> largest difference from the detector, if compared."""

    files: dict[str, Path]
    differences: dict[str, float] = field(default_factory=dict)


def export(**options: Any) -> ExportResult:
    """Export a checkpoint: `engine.export(weights="best.pt", include=("onnx", "torchscript"))`.

    Takes the options of export.py. Raises UserError for a wrong option, unreadable weights, a missing package, or an
    exported network that does not agree with the detector; a format that fails leaves nothing behind.
    """
    (chosen,) = build([ExportOptions], options)
    if chosen.weights is None:
        raise UserError("--weights: expected the detector to export, such as runs/train/exp/weights/best.pt.")
    other = resolve("export", task_of_weights(find_weights(chosen.weights)))
    if other is not None:
        found: ExportResult = other(**options)
        return found
    if bool(chosen.calibrate) is not chosen.int8:
        raise UserError(
            "--int8 and --calibrate: go together: name the data whose images set the ranges, such as "
            "--int8 --calibrate demo-night:val."
        )
    if chosen.int8 and chosen.half:
        raise UserError("--int8 and --half: are two precisions; give one of the two.")
    if chosen.nms and chosen.end2end:
        raise UserError("--nms and --end2end: the NMS-free head needs no NMS; give one of the two.")
    check_packages(chosen)
    weights = find_weights(chosen.weights)
    detector, _ = load_detector(weights, "cpu", chosen.trust)
    size = _size(chosen, int(max(detector.stride)))
    result = ExportResult({})
    for kind in dict.fromkeys(chosen.include):
        make = partial(_convert, detector, chosen, kind, size, weights.stem)
        differs = partial(_difference, detector, chosen, kind, size)
        place_agreeing(result, weights, kind, make, differs, "detector", ", or leave --simplify off")
    return result


def check_packages(options: ExportOptions) -> None:
    """Say what is missing before anything is converted."""
    if not options.include:
        raise UserError("--include: expected a format at least, such as onnx.")
    needed = [name for kind in options.include for name in PACKAGES[kind]] + ["onnxslim"] * options.simplify
    needed += [name for kind in options.include if options.int8 for name in QUANTIZERS.get(kind, ())]
    missing = " ".join(PIP.get(name, name) for name in dict.fromkeys(needed) if find_spec(name) is None)
    if missing:
        flags = f"--include {' '.join(options.include)}{' --simplify' * options.simplify}{' --int8' * options.int8}"
        raise UserError(f"{flags}: needs {missing}, not installed here; run `pip install {missing}`.")


def _size(options: ExportOptions, stride: int) -> tuple[int, int]:
    """Height and width in pixels."""
    if not 1 <= len(options.imgsz) <= 2 or any(side % stride for side in options.imgsz):
        given = " ".join(map(str, options.imgsz))
        raise UserError(f"--imgsz {given}: expected one number or two, multiples of the detector's stride, {stride}.")
    return options.imgsz[0], options.imgsz[-1]


def place_agreeing(
    result: ExportResult, weights: Path, kind: str, make: Callable[[Path], Path],
    differs: Callable[[Path], float | None], source: str, remedy: str = "",
) -> None:  # fmt: skip
    """Make a file or folder of a format, compare it with what it came from, move it beside the weights, and note it.

    make: writes into a folder and returns what it wrote; differs: its difference from the source, None if not compared.
    Raises UserError above the limit, or where writing fails: not every network can become everything.
    """
    try:
        workplace = tempfile.TemporaryDirectory(dir=weights.parent, prefix=".export-")
    except OSError as problem:
        raise UserError(f"{weights.parent}: not writable ({problem.strerror}); copy the weights elsewhere.") from None
    with workplace as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of what is meant to be
        try:
            made = make(Path(folder))
        except (AssertionError, ImportError, RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as problem:
            reason = " ".join(str(problem).split())
            raise UserError(
                f"--include {kind}: the conversion failed ({reason:.300}); nothing was written."
            ) from problem
        difference = differs(made)
        limit = LIMITS.get(kind, LIMIT)
        if difference is not None and not difference <= limit:
            raise UserError(
                f"--include {kind}: the exported network differs from the {source} by {difference:.1e} "
                f"(limit {limit:.0e}), so it was not kept; try another --opset{remedy}."
            )
        target = result.files[kind] = weights.parent / made.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(made, target)
    if difference is None:
        LOGGER.info(f"{target}: written; not compared with the {source} here")
    else:
        result.differences[kind] = difference
        LOGGER.info(f"{target}: agrees with the {source} to {difference:.1e} (limit {limit:.0e})")


def _convert(
    detector: DetectionModel, options: ExportOptions, kind: str, size: tuple[int, int], stem: str, folder: Path
) -> Path:
    """Run Ultralytics' exporter, which writes into the folder."""
    precision = 8 if options.int8 else 16 if options.half else None
    settings = {
        "format": kind, "imgsz": list(size), "batch": options.batch_size, "device": _device(options, kind),
        "quantize": precision, "nms": True if options.nms else False if options.end2end else None,
    }  # fmt: skip
    if kind in DYNAMIC:
        settings["dynamic"] = options.dynamic
    if kind == "onnx":
        settings |= {"opset": options.opset, "simplify": options.simplify}
    if options.nms or options.end2end:
        settings |= {"conf": options.conf_thres, "iou": options.iou_thres, "max_det": options.max_det}
    if not options.int8:
        return convert(detector, folder, stem, **settings)
    with tempfile.TemporaryDirectory(prefix="hardsight-") as images:
        data = calibration_set(options, Path(images), detector.names)
        made = convert(detector, folder, stem, data=str(data), **settings)
    return made if "int8" in made.name else made.rename(made.with_name(made.name.replace(stem, f"{stem}_int8", 1)))


def _device(options: ExportOptions, kind: str) -> str:
    """TensorRT's format is made on a GPU; all others where the options say."""
    return "0" if kind == "engine" and options.device in ("", "cpu") else options.device or "cpu"


def _difference(
    detector: DetectionModel, options: ExportOptions, kind: str, size: tuple[int, int], file: Path
) -> float | None:
    """None unless these are raw float32 predictions: after NMS or ranking, near ties may swap; integers round by design."""
    raw = not (options.nms or options.end2end or options.half or options.int8)
    return compare(detector, file, kind, size, options.batch_size) if raw else None


def compare(
    detector: DetectionModel, file: Path, kind: str, size: tuple[int, int], batch_size: int = 1
) -> float | None:
    """Largest difference between an exported network and its detector on one image of noise (B, 3, H, W).

    Values above 1 (pixels) count relative to themselves. None for a format that cannot be run here.
    """
    run = RUNNERS.get(kind)
    if run is None:
        return None
    image = torch.rand(batch_size, 3, *size, generator=torch.Generator().manual_seed(0))
    detector.end2end = False  # the exporter writes the head whose predictions go through NMS
    with torch.no_grad():
        expected = detector(image)[0]  # (B, 4 + classes, anchors)
    found = run(file, image)
    return float(((found - expected).abs() / expected.abs().clamp(min=1)).max())


def _run_onnx(file: Path, image: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    return torch.from_numpy(output)


def _run_torchscript(file: Path, image: Tensor) -> Tensor:
    output = torch.jit.load(file, map_location="cpu")(image)
    return output if isinstance(output, Tensor) else output[0]


def _run_openvino(file: Path, image: Tensor) -> Tensor:
    return OpenVINOBackend(file).predict(image.numpy())


RUNNERS: dict[str, Callable[[Path, Tensor], Tensor]] = {
    "onnx": _run_onnx,
    "torchscript": _run_torchscript,
    "openvino": _run_openvino,
}
