"""A detector in an .onnx file, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.inference.backends.base import ExportedBackend, fixed, unreadable
from utils.errors import UserError
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()


class OnnxBackend(ExportedBackend):
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
            raise UserError(unreadable(path, problem, "an ONNX")) from None
        entry = self.session.get_inputs()[0]
        self.input, self.type = entry.name, np.float16 if "float16" in entry.type else np.float32
        self._describe(path, self.session.get_modelmeta().custom_metadata_map, fixed(entry.shape))

    def _run(self, batch: np.ndarray) -> np.ndarray:
        output: np.ndarray = self.session.run(None, {self.input: batch.astype(self.type, copy=False)})[0]
        return output.astype(np.float32, copy=False)


def _providers(onnxruntime: Any, device: torch.device | str) -> list[str]:
    """ONNX Runtime's execution providers, best first."""
    cuda = torch.device(device).type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return ["CUDAExecutionProvider"] * cuda + ["CPUExecutionProvider"]
