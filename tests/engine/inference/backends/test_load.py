"""One call, many engines: PyTorch, TorchScript, ONNX Runtime, OpenVINO, OpenCV."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import save_checkpoint
from engine.inference.backends import (
    OnnxBackend,
    OpenCVBackend,
    OpenVINOBackend,
    TorchBackend,
    TorchScriptBackend,
    load_backend,
)
from engine.inference.backends.base import facts_of
from engine.inference.backends.load import choose
from engine.options.detect import DetectOptions
from models.detector import build
from tests.engine.tiny import NETWORK
from utils.errors import UserError
from utils.files import save_yaml
from utils.options import build as build_options

NAMES = {0: "square", 1: "bar"}


def detector() -> Any:
    torch.manual_seed(0)
    return build(dict(NETWORK, scale="n"), NAMES).eval()


def options(**given: Any) -> DetectOptions:
    return build_options([DetectOptions], {"device": "cpu", **given})[0]


def noise(count: int = 1, height: int = 64, width: int = 96) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8))


def export(path: Path, dynamic: bool, **facts: str) -> Path:
    """The tiny detector as an .onnx file for 64 x 96 pixels, or any size."""
    onnx = pytest.importorskip("onnx")
    model = detector()
    model.model[-1].export = True
    axes = {"images": {0: "batch", 2: "height", 3: "width"}} if dynamic else None
    example = torch.zeros(1, 3, 64, 96)
    torch.onnx.export(
        model, (example,), path, input_names=["images"], dynamic_axes=axes, opset_version=18, dynamo=False
    )
    graph = onnx.load(path)
    for key, value in facts.items():
        graph.metadata_props.add(key=key, value=value)
    onnx.save(graph, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a network file of one size and one of any size."""
    folder = tmp_path_factory.mktemp("networks")
    save_checkpoint(folder / "best.pt", detector(), epoch=1, options={}, metrics={})
    export(folder / "fixed.onnx", False, names=str(NAMES), stride="32")
    export(folder / "any.onnx", True, names=str(NAMES), stride="32")
    return folder


def test_pytorch_gives_what_the_plain_model_gives() -> None:
    images = noise(2)
    batch = torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255  # red-green-blue
    with torch.no_grad():
        expected = detector()(batch)[0]
    network = TorchBackend(detector())
    found = network(images)
    assert (network.names, network.stride, network.size, network.overlaps) == (NAMES, 32, None, True)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)  # batch norms are fused
    assert found.dtype == torch.float32 and not found.requires_grad


@pytest.mark.parametrize("name", ["fixed.onnx", "any.onnx"])
@pytest.mark.parametrize("engine", [OnnxBackend, OpenCVBackend])
def test_network_files_give_what_pytorch_gives(files: Path, name: str, engine: type) -> None:
    pytest.importorskip("onnxruntime")
    network = engine(files / name)
    assert (dict(network.names), network.stride, network.overlaps) == (NAMES, 32, True)
    assert network.size == ((64, 96) if name == "fixed.onnx" else None)
    expected = TorchBackend(detector())(noise(3))  # a file for single images is called three times
    torch.testing.assert_close(network(noise(3)), expected, atol=2e-3, rtol=1e-3)


def test_torchscript_gives_what_pytorch_gives_and_is_a_program(tmp_path: Path) -> None:
    model = detector()
    model.model[-1].export = True
    traced = torch.jit.trace(model, torch.zeros(1, 3, 64, 96), strict=False, check_trace=False)
    facts = {"names": NAMES, "stride": 32, "imgsz": [64, 96], "batch": 1}
    file = tmp_path / "best.torchscript"
    traced.save(file, _extra_files={"config.txt": json.dumps(facts)})
    with pytest.raises(UserError, match="a TorchScript file is a program. Add --trust"):
        load_backend(file, options())
    network = load_backend(file, options(trust=True))
    assert isinstance(network, TorchScriptBackend)
    assert (dict(network.names), network.stride, network.size) == (NAMES, 32, (64, 96))
    torch.testing.assert_close(network(noise(2)), TorchBackend(detector())(noise(2)), atol=2e-3, rtol=1e-3)
    file.write_bytes(b"no program")
    with pytest.raises(UserError, match="is not a TorchScript network"):
        load_backend(file, options(trust=True))


@pytest.mark.parametrize("name", ["fixed.onnx", "any.onnx"])
def test_openvino_gives_what_pytorch_gives(files: Path, name: str) -> None:
    pytest.importorskip("openvino")
    network = load_backend(files / name, options(backend="openvino"))
    assert isinstance(network, OpenVINOBackend)
    half = load_backend(files / name, options(backend="openvino", half=True))
    assert half(noise()).shape == network(noise()).shape
    assert (dict(network.names), network.stride, network.overlaps) == (NAMES, 32, True)
    assert network.size == ((64, 96) if name == "fixed.onnx" else None)
    torch.testing.assert_close(network(noise(3)), TorchBackend(detector())(noise(3)), atol=2e-3, rtol=1e-3)


def test_openvinos_own_format(files: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    folder = tmp_path / "best_openvino_model"
    folder.mkdir()
    with pytest.raises(UserError, match="the folder holds no .xml file"):
        load_backend(folder, options())
    openvino.save_model(openvino.Core().read_model(files / "any.onnx"), folder / "best.xml", compress_to_fp16=False)
    save_yaml(folder / "metadata.yaml", {"names": NAMES, "stride": 32})
    for place in (folder, folder / "best.xml"):
        network = load_backend(place, options())
        assert (dict(network.names), network.stride, network.size) == (NAMES, 32, None)
    torch.testing.assert_close(network(noise(2)), TorchBackend(detector())(noise(2)), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("wanted", "kind", "device", "installed", "expected"),
    [
        (None, "torch", "cpu", {"openvino", "onnx"}, "torch"),
        ("auto", "torch", "cpu", {"onnx"}, "onnx"),
        ("auto", "torch", "cpu", set(), "torch"),
        ("auto", "onnx", "cpu", {"openvino"}, "openvino"),
        ("auto", "onnx", "cuda", {"openvino"}, "onnx"),
        ("auto", "torchscript", "cpu", {"openvino"}, "torchscript"),
        ("onnx", "torch", "cpu", {"onnx"}, "onnx"),
        ("torch", "onnx", "cpu", set(), "--backend torch: runs a checkpoint, and --weights names an .onnx file"),
        (
            "onnx",
            "openvino",
            "cpu",
            {"onnx"},
            "runs a checkpoint or an .onnx file, and --weights names an OpenVINO network",
        ),
        ("openvino", "torch", "cpu", set(), "run `pip install onnx openvino`"),
        ("openvino", "torch", "cuda", {"openvino"}, "Add --device cpu"),
    ],
)
def test_what_runs_a_file(wanted: str | None, kind: str, device: str, installed: set[str], expected: str) -> None:
    if " " not in expected:
        assert choose(wanted, kind, device, installed) == expected
    else:
        with pytest.raises(UserError, match=re.escape(expected)):
            choose(wanted, kind, device, installed)


def test_a_file_of_any_size_takes_another(files: Path) -> None:
    pytest.importorskip("onnxruntime")
    images = noise(1, 96, 64)
    expected = TorchBackend(detector())(images)
    for engine in (OnnxBackend, OpenCVBackend):
        torch.testing.assert_close(engine(files / "any.onnx")(images), expected, atol=2e-3, rtol=1e-3)


def test_a_network_file_without_facts_has_none(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    plain = export(tmp_path / "plain.onnx", False)
    odd = export(tmp_path / "odd.onnx", False, names="{not python", end2end="True")
    for engine in (OnnxBackend, OpenCVBackend):
        assert (dict(engine(plain).names), engine(plain).stride, engine(plain).overlaps) == ({}, 32, True)
        assert (dict(engine(odd).names), engine(odd).overlaps) == ({}, False)


def test_names_are_read_as_data_and_never_executed(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    marker = tmp_path / "executed"
    path = export(tmp_path / "evil.onnx", False, names=f"__import__('pathlib').Path({str(marker)!r}).touch()")
    assert OnnxBackend(path).names == {} and not marker.exists()


def test_load_network_chooses_by_suffix_and_flag(files: Path) -> None:
    assert isinstance(load_backend(files / "best.pt", options()), TorchBackend)
    assert isinstance(load_backend(files / "any.onnx", options()), OnnxBackend)
    assert isinstance(load_backend(files / "any.onnx", options(dnn=True)), OpenCVBackend)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("best.pt", {"dnn": True}, "--dnn: OpenCV runs .onnx files only, not best.pt"),
        ("any.onnx", {"augment": True}, "--augment: needs the detector's PyTorch checkpoint"),
        ("any.onnx", {"augment": True, "dnn": True}, "--augment"),
        ("any.onnx", {"end2end": True}, "--end2end: needs the detector's PyTorch checkpoint in PyTorch"),
        ("best.pt", {"augment": True, "backend": "onnx"}, "does not go with --backend onnx"),
        ("broken.onnx", {}, "is not an ONNX network"),
        ("broken.onnx", {"dnn": True}, "is not an ONNX network"),
    ],
)
def test_what_does_not_go_together(files: Path, name: str, given: dict, words: str) -> None:
    (files / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=words):
        load_backend(files / name, options(**given))


@pytest.mark.parametrize("dnn", [False, True])
@pytest.mark.parametrize(
    ("shape", "facts", "words"),
    [
        ((1, 3, 32, 32), {"task": "classify"}, "is of task 'classify', and of exported networks only detectors"),
        ((1, 3, 2, 32, 32), {}, "takes no images: its input has 5 dimensions, not 4"),  # a clip classifier
    ],
)
def test_other_tasks_are_refused(
    tmp_path: Path, dnn: bool, shape: tuple[int, ...], facts: dict[str, str], words: str
) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    file = tmp_path / "best.onnx"
    torch.onnx.export(torch.nn.ReLU(), (torch.zeros(shape),), file, opset_version=17, dynamo=False)
    graph = onnx.load(file)
    onnx.helper.set_model_props(graph, facts)
    onnx.save(graph, file)
    with pytest.raises(UserError, match=words):
        load_backend(file, options(dnn=dnn))


def test_half_on_the_cpu_is_said_once_and_left_out(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = load_backend(files / "best.pt", options(half=True))
    assert network(noise()).dtype == torch.float32
    assert capsys.readouterr().out.count("--half needs a CUDA GPU") == 1


def test_augment_adds_views(files: Path) -> None:
    plain, more = (load_backend(files / "best.pt", options(augment=augment)) for augment in (False, True))
    assert more(noise()).shape[2] > plain(noise()).shape[2]


@pytest.mark.parametrize("end2end", [False, True])
def test_the_nms_free_head_on_request(end2end: bool) -> None:
    head = [*NETWORK["head"][:-1], [[12, 9, 6], 1, "Detect", ["nc"]]]
    model = build({**NETWORK, "head": head, "scale": "n", "end2end": True, "reg_max": 1}, NAMES)
    network = TorchBackend(model, max_det=17, end2end=end2end)
    found = network(noise())
    assert network.overlaps is not end2end
    assert found.shape == ((1, 17, 6) if end2end else (1, 6, 64 * 96 // 64 + 64 * 96 // 256 + 64 * 96 // 1024))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("half", [False, True])
def test_a_gpu_gives_what_the_cpu_gives(half: bool) -> None:
    expected = TorchBackend(detector())(noise(2))
    found = TorchBackend(detector(), "cuda", half=half)(noise(2)).cpu()
    torch.testing.assert_close(found, expected, atol=0.5 if half else 1e-2, rtol=1e-2)


@pytest.mark.parametrize("names", ["3", "{'x': 'a'}", "{0", "[" * 5000, "{2.5: 'a'}", "None", "os.getcwd()"])
def test_names_that_are_none(names: str) -> None:
    assert facts_of({"names": names}) == ({}, 32, True)


@pytest.mark.parametrize(
    ("args", "overlaps"), [("{'nms': True}", False), ("{'nms': False}", True), ("['nms']", True), ("{", True)]
)
def test_a_network_that_ends_with_nms_has_no_overlaps(args: str, overlaps: bool) -> None:
    assert facts_of({"names": "['a']", "stride": "16", "args": args}) == ({0: "a"}, 16, overlaps)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backend": "openvino"}, "--dnn: is a runtime of its own"),
        ({"end2end": True}, "--end2end: needs the detector's"),
    ],
)
def test_dnn_goes_with_no_other_runtime(files: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_backend(files / "fixed.onnx", options(dnn=True, **given))
