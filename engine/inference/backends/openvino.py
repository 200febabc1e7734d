"""A detector run by OpenVINO on a CPU: its own format (a folder or its .xml file), or an .onnx file as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.inference.backends.base import ExportedBackend, fixed, unreadable
from utils.errors import UserError
from utils.files import load_yaml
from utils.signals import kept_signal_stack
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()


class OpenVINOBackend(ExportedBackend):
    """A detector, compiled by OpenVINO for this CPU.

    In float32, unless its file holds integers; with `half` in the CPU's own half precision (bfloat16 or float16) if it has one,
    which is about twice as fast and moves boxes by some pixels.
    """

    def __init__(self, path: Path, half: bool = False) -> None:
        try:
            import openvino
        except ImportError:
            raise UserError(f"--weights {path}: needs OpenVINO. Install it: pip install openvino.") from None
        try:
            network = openvino.Core().read_model(network_file(path))
            settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
            settings |= (
                {} if half else {"INFERENCE_PRECISION_HINT": "f32"}
            )  # by itself it takes bfloat16 where there is one
            with kept_signal_stack():
                self.request = openvino.compile_model(network, "CPU", settings).create_infer_request()
        except Exception as problem:
            raise UserError(unreadable(path, problem, "an OpenVINO or ONNX")) from None
        shape = network.input(0).get_partial_shape()
        sides = [side.get_length() if side.is_static else "?" for side in shape]
        self._describe(path, stored_facts(path, network), fixed(sides))

    def _run(self, batch: np.ndarray) -> np.ndarray:
        found = self.request.infer({0: batch}, share_inputs=True, share_outputs=True)[0]
        return np.array(found, np.float32)  # a copy: the engine uses its memory again


def network_file(path: Path) -> Path:
    """The .xml or .onnx file; of a folder the .xml in it. Raises FileNotFoundError without one."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.xml"))
    if not found:
        raise FileNotFoundError("the folder holds no .xml file")
    return found[0]


def stored_facts(path: Path, network: Any) -> dict[str, str]:
    """What an export stored beside the network: in metadata.yaml, or of an .onnx file in it."""
    if path.suffix.lower() == ".onnx":
        try:
            import onnx
        except ImportError:
            return {}
        return {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    beside = network_file(path).with_name("metadata.yaml")
    return {key: str(value) for key, value in load_yaml(beside).items()} if beside.is_file() else {}
