"""Exported files: beside the weights, in agreement with the detector, with the plain detector's graph; or an error."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys

import onnx
import onnxruntime
import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.nn.tasks import DetectionModel

import export as script
from engine.checkpoint import save_checkpoint, save_safetensors
from engine.exporters import detector as exporter
from engine.exporters.detector import LIMIT, compare, export
from models.detector import build
from utils.errors import UserError

pytestmark = pytest.mark.slow

NAMES = {0: "cat", 1: "dog", 2: "bus"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Folder with best.pt, best.safetensors and end2end.pt (YOLO26) of fresh detectors."""
    folder = tmp_path_factory.mktemp("weights")
    model = build("yolov8n", NAMES)
    save_checkpoint(folder / "best.pt", model, epoch=0, options={"imgsz": 64}, metrics={})
    save_safetensors(folder / "best.safetensors", model, options={}, metrics={}, method="none")
    save_checkpoint(folder / "end2end.pt", build("yolo26n", NAMES), epoch=0, options={}, metrics={})
    return folder


@pytest.fixture
def best(weights, tmp_path):
    """A copy of best.pt in a folder of its own."""
    return shutil.copy(weights / "best.pt", tmp_path / "best.pt")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(file, *shape):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": torch.rand(*shape).numpy()})[0]


@pytest.fixture(scope="module")
def exported(weights, tmp_path_factory):
    """(result, printed lines) of best.pt, exported into both formats."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(weights / "best.pt", folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = export(weights=folder / "best.pt", include=("onnx", "torchscript"), imgsz=(64,))
    return result, printed.getvalue().splitlines()


def test_onnx_and_torchscript_agree_with_the_detector(exported):
    result, lines = exported
    folder = result.files["onnx"].parent
    assert result.files == {"onnx": folder / "best.onnx", "torchscript": folder / "best.torchscript"}
    assert names(folder) == ["best.onnx", "best.pt", "best.torchscript"]
    assert set(result.differences) == {"onnx", "torchscript"}
    assert all(difference < LIMIT for difference in result.differences.values())
    assert sum("agrees with the detector to" in line for line in lines) == 2


def test_the_graph_is_that_of_the_plain_detector(exported, tmp_path, monkeypatch):
    """Same operators, as many of each, as Ultralytics exports from its own YAML."""
    monkeypatch.chdir(tmp_path)
    ours = onnx.load(exported[0].files["onnx"])
    plain = YOLO("yolov8n.yaml", verbose=False)
    plain.model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    plain.model.args, plain.model.task = {"imgsz": 64, "data": None}, "detect"
    theirs = onnx.load(plain.export(format="onnx", imgsz=64, simplify=False, verbose=False))
    operators = [sorted(node.op_type for node in model.graph.node) for model in (ours, theirs)]
    assert operators[0] == operators[1]
    facts = {entry.key: entry.value for entry in ours.metadata_props}
    assert facts["names"] == str(NAMES)
    assert facts["stride"] == "32"


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize(
    ("kind", "device", "limit"),
    [("onnx", "cpu", 1e-3), pytest.param("engine", "cuda", 0.05, marks=[pytest.mark.gpu, NO_GPU])],
)
def test_ultralytics_runs_what_is_exported(kind, device, limit, best):
    """Also where we cannot: a TensorRT engine, which belongs to one GPU. Its sums round as the tensor cores do (TF32)."""
    if kind == "engine":
        pytest.importorskip("tensorrt", reason="needs the package tensorrt")
    file = export(weights=best, include=(kind,), imgsz=(64,)).files[kind]
    detector, _ = exporter.load_detector(best)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = detector.float().eval()(image)[0]  # (1, 7, 84)
        found = AutoBackend(str(file), device=torch.device(device))(image.to(device))
    found = (found[0] if isinstance(found, list | tuple) else found).float().cpu()
    difference = ((found - expected).abs() / expected.abs().clamp(min=1)).max()
    assert file.suffix == f".{kind}" and found.shape == expected.shape and difference < limit


@pytest.mark.slow
def test_safetensors_with_open_sizes(weights, tmp_path):
    source = shutil.copy(weights / "best.safetensors", tmp_path / "best.safetensors")
    result = export(weights=source, imgsz=(64, 96), dynamic=True)
    assert result.differences["onnx"] < LIMIT
    # 8x12 + 4x6 + 2x3 cells of 64x96 pixels; 4 box sides + 3 classes
    assert run(result.files["onnx"], 2, 3, 64, 96).shape == (2, 7, 126)
    assert run(result.files["onnx"], 1, 3, 32, 32).shape == (1, 7, 21)


def test_nms_inside(best, capsys):
    file = export(weights=best, imgsz=(64,), nms=True, max_det=20).files["onnx"]
    assert run(file, 1, 3, 64, 64).shape == (1, 20, 6)
    assert "not compared" in capsys.readouterr().out


@pytest.mark.slow
def test_the_nms_free_head(weights, tmp_path):
    source = shutil.copy(weights / "end2end.pt", tmp_path / "e.pt")
    raw = export(weights=source, imgsz=(64,))
    assert raw.differences["onnx"] < LIMIT
    assert run(raw.files["onnx"], 1, 3, 64, 64).shape == (1, 7, 84)
    ranked = export(weights=source, imgsz=(64,), end2end=True, max_det=30)
    assert ranked.differences == {}
    assert run(ranked.files["onnx"], 1, 3, 64, 64).shape == (1, 30, 6)


def test_half_precision(best):
    file = export(weights=best, imgsz=(64,), half=True).files["onnx"]
    kinds = {tensor.data_type for tensor in onnx.load(file).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert run(file, 1, 3, 64, 64).shape == (1, 7, 84)


def test_differences_are_measured(exported):
    """A detector whose class biases are moved by 1 is no longer the exported one."""
    file = exported[0].files["onnx"]
    detector, _ = exporter.load_detector(file.with_suffix(".pt"))
    assert compare(detector, file, "onnx", (64, 64)) < LIMIT
    for layers in detector.model[-1].cv3:
        layers[-1].bias.data += 1
    assert compare(detector, file, "onnx", (64, 64)) > LIMIT
    assert compare(detector, file, "coreml", (64, 64)) is None


def test_what_disagrees_is_not_kept(best, tmp_path, monkeypatch):
    (tmp_path / "best.onnx").write_text("the one before")
    monkeypatch.setattr(exporter, "compare", lambda *_: float("nan"))
    with pytest.raises(UserError, match="differs from the detector by nan"):
        export(weights=best, imgsz=(64,))
    assert (tmp_path / "best.onnx").read_text() == "the one before"
    assert names(tmp_path) == ["best.onnx", "best.pt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": None}, "--weights: expected the detector"),
        ({"weights": "nowhere.pt"}, "nowhere.pt: there is no such file"),
        ({"imgsz": (65,)}, "--imgsz 65: expected one number or two, multiples of the detector's stride, 32"),
        ({"imgsz": (64, 64, 64)}, "--imgsz 64 64 64"),
        ({"include": ("onxn",)}, "onnx"),
        ({"incldue": ("onnx",)}, "include"),
        ({"opset": 5}, "9"),
        ({"nms": True, "end2end": True}, "--nms and --end2end"),
        ({"include": ()}, "--include: expected a format at least"),
    ],
)
def test_bad_options_are_named(best, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        export(**{"weights": best, "imgsz": (64,)} | options)
    assert names(tmp_path) == ["best.pt"]


@pytest.mark.parametrize(
    ("options", "missing"), [({"include": ("openvino",)}, "openvino"), ({"simplify": True}, "onnxslim")]
)
def test_missing_packages_are_named_and_not_installed(best, monkeypatch, options, missing):
    monkeypatch.setattr(exporter, "find_spec", lambda name: None if name == missing else True)
    with pytest.raises(UserError, match=f"needs {missing}, not installed here; run `pip install {missing}`"):
        export(weights=best, **options)


def test_a_failed_conversion_leaves_nothing(best, tmp_path):
    with pytest.raises(UserError, match="--include onnx: the conversion failed"):
        export(weights=best, imgsz=(64,), opset=99)
    assert names(tmp_path) == ["best.pt"]


def test_ultralytics_installs_nothing():
    from ultralytics.utils import AUTOINSTALL, ONLINE

    assert not AUTOINSTALL
    assert not ONLINE


def test_the_script(best, tmp_path, capsys):
    assert script.main(["--weights", str(best), "--include", "onnx", "--img", "64"]) == 0
    assert (tmp_path / "best.onnx").is_file()
    assert script.main(["--weights", str(tmp_path / "none.pt")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_help_needs_no_torch(root, tmp_path):
    """A torch that cannot be imported stands in the way; --help answers all the same."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(root / "export.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "--include" in done.stdout
