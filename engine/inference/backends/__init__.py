"""Detectors behind one call: PyTorch, TorchScript, ONNX Runtime, OpenVINO or OpenCV's DNN module."""

from engine.inference.backends.base import Backend
from engine.inference.backends.load import load_backend
from engine.inference.backends.onnx import OnnxBackend
from engine.inference.backends.opencv import OpenCVBackend
from engine.inference.backends.openvino import OpenVINOBackend
from engine.inference.backends.pytorch import TorchBackend
from engine.inference.backends.torchscript import TorchScriptBackend

__all__ = [
    "Backend", "OnnxBackend", "OpenCVBackend", "OpenVINOBackend", "TorchBackend", "TorchScriptBackend", "load_backend",
]  # fmt: skip
