"""Detectors behind one call: PyTorch, ONNX Runtime or OpenCV's DNN module."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.tasks import DETECT
from utils.devices import pick_device
from utils.errors import UserError
from utils.log import LOGGER
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()


class Backend(Protocol):
    """What the predictor needs of a detector.

    `size` is (height, width) where the file is made for one size only. `overlaps` tells whether boxes of one object may
    still overlap in the output, so that NMS must follow.
    """

    names: Mapping[int, str]
    stride: int
    size: tuple[int, int] | None
    overlaps: bool

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """images: (H, W, 3) uint8 of one shape, blue-green-red.

        Returns float32 (B, 4 + classes, N) with centre boxes or, where nothing overlaps, (B, n, 6) with corner boxes.
        """


class TorchBackend:
    """An Ultralytics `DetectionModel`, fused for inference (which changes the model), in float16 on request."""

    size: tuple[int, int] | None = None

    def __init__(
        self,
        model: Any,
        device: torch.device | str = "cpu",
        *,
        half: bool = False,
        augment: bool = False,
        max_det: int = 1000,
        agnostic: bool = False,
        end2end: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.names: Mapping[int, str] = dict(model.names)
        self.stride = int(max(model.stride))
        head = model.model[-1]
        if getattr(head, "one2one_cv2", None) is not None and head.cv2 is not None:  # fusing removes one of the two
            model.end2end = end2end
        self.overlaps = not getattr(model, "end2end", False)
        head.max_det, head.agnostic_nms = max_det, agnostic
        self.augment = {"augment": True} if augment else {}
        self.half = half and self.device.type == "cuda"
        model = model.eval().fuse(verbose=False).to(self.device).requires_grad_(False)
        self.model = model.half() if self.half else model.float()

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """See Backend."""
        output = self.model(self._batch(images), **self.augment)
        return (output[0] if isinstance(output, (tuple, list)) else output).float()

    def _batch(self, images: Sequence[np.ndarray]) -> Tensor:
        """Images as a network takes them: (B, 3, H, W), red-green-blue, in [0, 1]."""
        if self.device.type == "cpu":
            return torch.from_numpy(_blob(images))
        bytes_ = torch.from_numpy(np.stack(images)).to(self.device)  # a quarter of the traffic of floats
        batch = bytes_.permute(0, 3, 1, 2).flip(1)
        return (batch.half() if self.half else batch.float()) / 255


class OnnxFile:
    """What the two ways to run an .onnx file share: what the file says of its network, and batches that it takes."""

    def _describe(self, path: Path, facts: Mapping[str, str], shape: Sequence[Any]) -> None:
        """facts: as an export stores them; shape: of the input. Raises UserError for a network that is no detector."""
        _refuse_other_tasks(path, facts, shape)
        self.names: Mapping[int, str]
        self.names, self.stride, self.overlaps = _facts(facts)
        height, width = shape[2:4]
        self.single = shape[0] == 1  # takes one image at a time
        self.size = (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """See Backend."""
        blob = _blob(images)
        parts = [blob[i : i + 1] for i in range(len(blob))] if self.single else [blob]
        return torch.from_numpy(np.concatenate([self._run(part) for part in parts]))

    def _run(self, blob: np.ndarray) -> np.ndarray:
        """blob: (B, 3, H, W). Returns float32."""
        raise NotImplementedError


class OnnxBackend(OnnxFile):
    """A detector in an .onnx file, run by ONNX Runtime."""

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"--weights {path}: needs ONNX Runtime. Install it: pip install onnxruntime.") from None
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(path, settings, providers=_providers(onnxruntime, device))
        except Exception as problem:
            raise UserError(_unreadable(path, problem)) from None
        entry = self.session.get_inputs()[0]
        self.input, self.type = entry.name, np.float16 if "float16" in entry.type else np.float32
        self._describe(path, self.session.get_modelmeta().custom_metadata_map, entry.shape)

    def _run(self, blob: np.ndarray) -> np.ndarray:
        output: np.ndarray = self.session.run(None, {self.input: blob.astype(self.type, copy=False)})[0]
        return output.astype(np.float32, copy=False)


class OpenCVBackend(OnnxFile):
    """A detector in an .onnx file, run by OpenCV's DNN module on the CPU (`--dnn`)."""

    def __init__(self, path: Path) -> None:
        try:
            import onnx
        except ImportError:
            raise UserError("--dnn: the file's facts are read with the package onnx. pip install onnx.") from None
        try:
            graph = onnx.load(path, load_external_data=False)
            self.net = cv2.dnn.readNetFromONNX(str(path))
        except Exception as problem:
            raise UserError(_unreadable(path, problem)) from None
        shape = graph.graph.input[0].type.tensor_type.shape.dim
        facts = {entry.key: entry.value for entry in graph.metadata_props}
        self._describe(path, facts, [entry.dim_value or entry.dim_param for entry in shape])

    def _run(self, blob: np.ndarray) -> np.ndarray:
        self.net.setInput(blob)
        return np.array(self.net.forward(), np.float32)  # a copy: the engine uses its memory again


def load_backend(weights: Path, options: Any) -> Backend:
    """The detector of a file, as the options of detect.py ask. Raises UserError if they do not match."""
    device = pick_device(options.device)
    is_onnx = weights.suffix.lower() == ".onnx"
    if options.dnn and not is_onnx:
        raise UserError(f"--dnn: OpenCV runs .onnx files only, not {weights.name}. Export it first with export.py.")
    if is_onnx and options.augment:
        raise UserError("--augment: needs the detector's PyTorch checkpoint (.pt or .safetensors), not an .onnx file.")
    if options.half and (is_onnx or device.type != "cuda"):
        LOGGER.info("note: --half needs a CUDA GPU and a PyTorch checkpoint; using the file's own precision")
    if is_onnx:
        return OpenCVBackend(weights) if options.dnn else OnnxBackend(weights, device)
    from engine.checkpoint import load_detector

    model, _ = load_detector(weights, device, options.trust)
    chosen = {name: getattr(options, name) for name in ("half", "augment", "max_det", "end2end")}
    return TorchBackend(model, device, agnostic=options.agnostic_nms, **chosen)


def _blob(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images as a network takes them: float32 (B, 3, H, W), red-green-blue, in [0, 1]."""
    return cv2.dnn.blobFromImages(list(images), 1 / 255, swapRB=True)


def _providers(onnxruntime: Any, device: torch.device | str) -> list[str]:
    """ONNX Runtime's execution providers, best first."""
    cuda = torch.device(device).type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return ["CUDAExecutionProvider"] * cuda + ["CPUExecutionProvider"]


def _facts(stored: Mapping[str, str]) -> tuple[dict[int, str], int, bool]:
    """(class names, stride, whether boxes overlap) as an export stores them; without them: no names, 32, yes."""
    try:
        names = ast.literal_eval(stored.get("names", "{}"))
        stride = int(stored.get("stride", 32))
    except (ValueError, SyntaxError):
        names, stride = {}, 32
    listed = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(number): str(name) for number, name in listed}, stride, stored.get("end2end", "") != "True"


def _refuse_other_tasks(path: Path, stored: Mapping[str, str], shape: Sequence[Any]) -> None:
    """Raise UserError for an exported network that is no detector, by the task that it states, or its input's shape."""
    task = stored.get("task", DETECT)
    if task == DETECT and len(shape) == 4:
        return
    what = (
        f"is of task '{task}'" if task != DETECT else f"takes no images: its input has {len(shape)} dimensions, not 4"
    )
    raise UserError(
        f"--weights {path}: {what}, and of .onnx files only detectors are run here. A classifier's .pt or .safetensors "
        "weights are measured by val.py; those of a clip classifier (task action) also run in detect.py."
    )


def _unreadable(path: Path, problem: Exception) -> str:
    """The message for a file that cannot be loaded."""
    reason = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
    return f"--weights {path}: is not an ONNX network that can be run here ({reason}). Export it again with export.py."
