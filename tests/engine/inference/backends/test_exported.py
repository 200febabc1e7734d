"""An exported network is evaluated as its checkpoint is: same mAP, to rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import save_checkpoint
from engine.conversion import as_onnx
from engine.evaluation.api import validate
from engine.inference.backends import OnnxBackend
from engine.inference.backends.exported import ExportedDetector, is_exported
from models.detector import build
from tests.engine.tiny import NETWORK, write_dataset
from utils.errors import UserError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """best.pt and any.onnx of a fresh detector, and a tiny data set."""
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    model = build(dict(NETWORK, scale="n"), {0: "square", 1: "bar"}).eval()
    save_checkpoint(folder / "best.pt", model, epoch=0, options={}, metrics={})
    as_onnx(folder / "best.pt", kept=folder).rename(folder / "any.onnx")
    write_dataset(folder / "data", images=4)
    return folder


def measured(files: Path, name: str, **given: Any) -> Any:
    options = {"data": str(files / "data" / "world.yaml"), "weights": files / name, "imgsz": 64, "device": "cpu"}
    return validate(**options, plots=False, project=files / "runs", **given).reports[0]


def test_the_same_detections(files: Path) -> None:
    torch_report, onnx_report = measured(files, "best.pt"), measured(files, "any.onnx")
    for mine, other in zip(torch_report.detections, onnx_report.detections, strict=True):
        assert mine.file == other.file and len(mine.conf) == pytest.approx(len(other.conf), abs=3)
    for name, value in torch_report.metrics.items():
        assert onnx_report.metrics[name] == pytest.approx(value, abs=1e-3)


def test_what_needs_pytorch_is_refused(files: Path) -> None:
    for name in ("augment", "end2end", "calibrate"):
        with pytest.raises(UserError, match=f"--{name}: needs the PyTorch checkpoint, and any.onnx is exported"):
            measured(files, "any.onnx", **{name: True})


def test_names_tell_what_is_exported() -> None:
    found = {
        name: is_exported(Path(name))
        for name in ("a.pt", "a.safetensors", "a.onnx", "a_openvino_model", "a.torchscript")
    }
    assert found == dict(zip(found, (False, False, True, True, True), strict=True))


def test_a_detector_of_a_backend(files: Path) -> None:
    model = ExportedDetector(OnnxBackend(files / "any.onnx"))
    assert model(torch.rand(2, 3, 64, 64)).shape[:2] == (2, 6)
    assert json.dumps(model.names) and int(model.stride.max()) == 32 and model.size is None and not model.end2end
