"""Detectors in other formats, through Ultralytics' exporter. Nothing is installed or downloaded for it."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

from engine.checkpoint import load_detector
from models.detector import DetectionModel
from utils.files import atomic_write, file_digest
from utils.log import LOGGER
from utils.ultralytics_env import contain_ultralytics

KEPT = Path("runs/.cache/onnx")  # networks that --backend converted


def convert(detector: DetectionModel, folder: Path, stem: str, **settings: Any) -> Path:
    """Write the detector in a format into a folder; returns the file or folder that was made.

    settings: the exporter's, `format` and `imgsz` (height, width) among them. Raises what the conversion raises.
    """
    contain_ultralytics()
    from ultralytics.engine.exporter import Exporter
    from ultralytics.utils import DEFAULT_CFG_DICT

    settings = {"device": "cpu", "verbose": False, "mode": "export", **settings}
    detector.pt_path = str(folder / f"{stem}.pt")  # it writes beside this file, which need not exist
    detector.args = {**DEFAULT_CFG_DICT, "imgsz": max(settings["imgsz"])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of what is meant to be
        return Path(Exporter(overrides=settings)(model=detector))


def as_onnx(weights: Path, trust: bool = False, kept: Path = KEPT) -> Path:
    """A checkpoint as an .onnx file for images of any size, raw predictions for NMS to follow; made once and kept.

    Its name is the digest of the checkpoint, so that a changed one is converted again.
    """
    import onnx

    key = hashlib.sha256(f"{file_digest(weights)} onnx {onnx.__version__}".encode()).hexdigest()[:32]
    file = kept / f"{key}.onnx"
    if not file.is_file():
        LOGGER.info(f"converting {weights.name} to ONNX, once: {file}")
        detector, _ = load_detector(weights, "cpu", trust)
        with tempfile.TemporaryDirectory(prefix="hardsight-") as folder:
            made = convert(detector, Path(folder), "detector", format="onnx", imgsz=[640, 640], dynamic=True)
            kept.mkdir(parents=True, exist_ok=True)
            atomic_write(file, made.read_bytes())
    return file
