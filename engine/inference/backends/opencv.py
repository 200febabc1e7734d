"""A detector in an .onnx file, run by OpenCV's DNN module on the CPU."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engine.inference.backends.base import ExportedBackend, unreadable
from utils.errors import UserError


class OpenCVBackend(ExportedBackend):
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
            raise UserError(unreadable(path, problem, "an ONNX")) from None
        shape = graph.graph.input[0].type.tensor_type.shape.dim
        facts = {entry.key: entry.value for entry in graph.metadata_props}
        self._describe(path, facts, [entry.dim_value or entry.dim_param for entry in shape])

    def _run(self, batch: np.ndarray) -> np.ndarray:
        self.net.setInput(batch)
        return np.array(self.net.forward(), np.float32)  # a copy: the engine uses its memory again
