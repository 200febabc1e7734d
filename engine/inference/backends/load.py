"""The backend of a file, as the options ask."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from engine.conversion import as_onnx
from engine.inference.backends.base import Backend, ExportedBackend
from engine.inference.backends.onnx import OnnxBackend
from engine.inference.backends.opencv import OpenCVBackend
from engine.inference.backends.openvino import OpenVINOBackend
from engine.inference.backends.pytorch import TorchBackend
from engine.inference.backends.torchscript import TorchScriptBackend
from utils.devices import pick_device
from utils.errors import UserError
from utils.log import LOGGER

TORCH = "torch"
SUFFIXES = {".onnx": "onnx", ".torchscript": "torchscript", ".xml": "openvino"}
RUNTIMES = {
    "torch": ("openvino", "onnx"),
    "onnx": ("openvino",),
    "openvino": (),
    "torchscript": (),
}  # others, the fastest first
NAMES = {
    "torch": "a checkpoint", "onnx": "an .onnx file", "openvino": "an OpenVINO network", "torchscript": "a TorchScript file"
}  # fmt: skip
PACKAGES = {"onnx": "onnx onnxruntime", "openvino": "onnx openvino"}


def kind_of(weights: Path) -> str:
    """What a file or folder holds by its name: "torch" for a checkpoint, else the format."""
    if weights.name.endswith("_openvino_model"):
        return "openvino"
    return SUFFIXES.get(weights.suffix.lower(), "torch")


def load_backend(weights: Path, options: Any, conf: float | None = None) -> Backend:
    """The detector of a file, as the options of detect.py ask. Raises UserError if they do not match.

    conf: confidence above which boxes are needed, see TorchBackend; None: all are.
    """
    kind, device = kind_of(weights), pick_device(options.device)
    if options.dnn and kind != "onnx":
        raise UserError(f"--dnn: OpenCV runs .onnx files only, not {weights.name}. Export it first with export.py.")
    if options.dnn and options.backend:
        raise UserError(f"--dnn: is a runtime of its own, beside --backend {options.backend}. Leave one of them out.")
    runtime = "dnn" if options.dnn else choose(options.backend, kind, device.type, available())
    if runtime != TORCH and (needs := [f"--{name}" for name in ("augment", "end2end") if getattr(options, name)]):
        files = f"{weights.suffix or 'exported'} files"
        other = f"--backend {options.backend}" if kind == TORCH else files
        raise UserError(
            f"{needs[0]}: needs the detector's PyTorch checkpoint in PyTorch, and does not go with {other}."
        )
    if options.half and runtime != "openvino" and (runtime != TORCH or device.type != "cuda"):
        LOGGER.info(
            "note: --half needs a CUDA GPU and a PyTorch checkpoint, or OpenVINO; using the file's own precision"
        )
    if runtime == "dnn":
        return OpenCVBackend(weights)
    if runtime != TORCH:
        file = as_onnx(weights, options.trust) if kind == TORCH else weights
        return open_exported(file, runtime, device, options.trust, options.half)
    from engine.checkpoint import load_detector

    model, _ = load_detector(weights, device, options.trust)
    chosen = {name: getattr(options, name) for name in ("half", "augment", "max_det", "end2end")}
    return TorchBackend(model, device, agnostic=options.agnostic_nms, conf=conf, **chosen)


def open_exported(
    path: Path, runtime: str, device: torch.device | str = "cpu", trust: bool = False, half: bool = False
) -> ExportedBackend:
    """An exported network, run by what `choose` chose."""
    if runtime == "openvino":
        return OpenVINOBackend(path, half)
    return TorchScriptBackend(path, device, trust=trust) if runtime == "torchscript" else OnnxBackend(path, device)


def choose(wanted: str | None, kind: str, device: str, installed: Collection[str]) -> str:
    """What runs a file of a kind: "torch", "onnx" (ONNX Runtime), "openvino" or "torchscript".

    wanted: --backend, None for the file's own. device: its type; OpenVINO runs on the CPU only. installed: see `available`.
    Raises UserError where the file cannot be run so.

    >>> choose("auto", "torch", "cpu", {"openvino", "onnx"}), choose("auto", "torch", "cuda", {"onnx"})
    ('openvino', 'torch')
    """
    if wanted is None or wanted == kind:
        return kind
    possible = RUNTIMES[kind]
    if wanted == "auto":
        return next((name for name in possible if device == "cpu" and name in installed), kind)
    if wanted not in possible:
        files = " or ".join(text for text in (NAMES[one] for one, ways in RUNTIMES.items() if wanted in (one, *ways)))
        raise UserError(f"--backend {wanted}: runs {files}, and --weights names {NAMES[kind]}.")
    if device != "cpu" and wanted == "openvino":
        raise UserError("--backend openvino: runs on the CPU. Add --device cpu, or choose --backend auto.")
    if wanted not in installed:
        raise UserError(
            f"--backend {wanted}: needs packages that are not installed; run `pip install {PACKAGES[wanted]}`."
        )
    return wanted


def available() -> set[str]:
    """The runtimes that checkpoints can be run with here: what converts them, and what runs the result."""
    return {name for name, packages in PACKAGES.items() if all(find_spec(package) for package in packages.split())}
