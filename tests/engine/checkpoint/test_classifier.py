"""Classifiers in files: torchvision's keys, what is told apart, what does not fit; and ONNX."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import engine
from engine.checkpoint.classifier import (
    IMAGES,
    classes_in,
    classes_of,
    load_classifier,
    network_of,
    save_classifier,
    start_from,
)
from engine.checkpoint.weights import Weights, load_weights
from engine.exporters import classifier as classification_export
from engine.exporters.classifier import convert
from engine.exporters.detector import ExportResult
from engine.tasks import task_of_weights
from models.classifier import build
from tests.engine.classification.tiny_classes import TinyNetwork, same, use_tiny_network
from utils.errors import UserError


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The folder of best.pt and best.safetensors of a fresh network of three classes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    facts = {"names": {0: "a", 1: "b", 2: "c"}, "imgsz": 32}
    save_classifier(folder, "best", TinyNetwork(3), task=IMAGES, name="resnet18", facts=facts)
    return folder


@pytest.fixture
def tiny(monkeypatch) -> None:
    """Files are read into the tiny network."""
    use_tiny_network(monkeypatch)


def test_a_plain_file_takes_what_its_neighbour_says_and_a_lone_one_is_known_by_its_tensors(files, tmp_path, tiny):
    lone = Path(shutil.copy(files / "best.pt", tmp_path))
    beside = load_classifier(files / "best.pt", IMAGES)
    assert (beside.name, beside.names, beside.shape.size) == ("resnet18", {0: "a", 1: "b", 2: "c"}, 32)
    alone = load_classifier(lone, IMAGES)
    assert (alone.name, alone.names, alone.shape.size) == ("resnet18", None, 224)
    assert task_of_weights(lone) == "detect"


def test_the_plain_file_opens_anywhere_and_ours_opens_both(files, tiny):
    network = TinyNetwork(3)
    network.load_state_dict(torch.load(files / "best.pt", weights_only=True))
    bare, named = load_classifier(files / "best.pt", IMAGES), load_classifier(files / "best.safetensors", IMAGES)
    assert same(network.state_dict(), bare.model.network.state_dict()) and same(
        bare.model.network.state_dict(), named.model.network.state_dict()
    )
    assert (named.name, named.names, named.shape.size) == ("resnet18", {0: "a", 1: "b", 2: "c"}, 32)
    assert task_of_weights(files / "best.safetensors") == task_of_weights(files / "best.pt") == "classify"


def test_old_files_without_counters_are_complete(files):
    state = {key: value for key, value in load_weights(files / "best.pt").state.items() if "num_batches" not in key}
    note = start_from(TinyNetwork(3), Weights(state, None, None, "state dict"), "resnet18", Path("old.pt"))
    assert note == "old.pt: all 9 tensors transferred"  # convolutions 1 + 2, norm 4 without its counter, head 2


def test_another_architecture_is_named_by_its_tensors(tmp_path):
    with torch.device("meta"):
        smaller, larger = build("resnet18", 3), build("resnet50", 3)
    weights = Weights(smaller.state_dict(), None, None, "state dict")
    assert network_of(weights, Path("r18.pt"), IMAGES) == "resnet18"
    with pytest.raises(
        UserError, match=r"is not of resnet50: .*layer1.0.conv1.weight has shape 64x64x3x3 instead of 64x64x1x1.* more"
    ):
        start_from(larger, weights, "resnet50", Path("r18.pt"))
    torch.save({"conv.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="holds no classifier of ours"):
        load_classifier(tmp_path / "other.pt", IMAGES)
    with pytest.raises(UserError, match="number of classes is unknown"):
        classes_in(Weights({"conv1.weight": torch.zeros(1)}, None, None, "state dict"), Path("x.pt"))


@pytest.mark.parametrize(
    ("shapes", "classes"),
    [
        ({"fc.weight": (3, 16), "fc.bias": (3,)}, 3),  # ResNets
        ({"classifier.1.weight": (7, 4, 1, 1, 1), "classifier.1.bias": (7,)}, 7),  # s3d: a convolution
        ({"head.weight": (5, 16)}, 5),
        ({"layer.fc.weight": (3, 16), "head.scale": ()}, 0),  # no last layer; a number has no rows
    ],
)
def test_classes_of_a_head(shapes, classes):
    assert classes_of({key: torch.zeros(shape) for key, shape in shapes.items()}) == classes


def test_export(files, tiny):
    import onnx

    result = engine.export(weights=files / "best.safetensors", include=("onnx", "torchscript"), dynamic=True)
    assert all(difference < 1e-5 for difference in result.differences.values())
    model = onnx.load(result.files["onnx"])
    assert {entry.key: entry.value for entry in model.metadata_props}["names"] == '{"0": "a", "1": "b", "2": "c"}'
    assert sorted(path.name for path in files.iterdir()) == [
        "best.onnx",
        "best.pt",
        "best.safetensors",
        "best.torchscript",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"nms": True}, "--nms: does not apply to task 'classify'"), ({"include": ("openvino",)}, "onnx or torchscript")],
)
def test_what_export_refuses(files, options, message):
    with pytest.raises(UserError, match=message):
        engine.export(weights=files / "best.safetensors", **options)


@pytest.mark.parametrize(("off", "kept"), [(5e-5, True), (2e-4, False), (float("nan"), False)])
def test_an_export_that_disagrees_is_not_kept(tmp_path, monkeypatch, off, kept):
    """The limit is 1e-4 of a probability."""
    ready = nn.Sequential(nn.Flatten(), nn.Softmax(1))
    monkeypatch.setitem(classification_export.RUNNERS, "onnx", lambda made, example: ready(example) + off)
    result = ExportResult({})
    given = (result, lambda made: made.touch(), ready, torch.zeros(1, 2), tmp_path / "best.pt", "onnx")
    if kept:
        convert(*given)
        assert result.files == {"onnx": tmp_path / "best.onnx"} and result.differences["onnx"] == pytest.approx(
            off, rel=0.01
        )
    else:
        with pytest.raises(UserError, match="differs from the classifier"):
            convert(*given)
    assert [path.name for path in tmp_path.iterdir()] == ["best.onnx"] * kept
