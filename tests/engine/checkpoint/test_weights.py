"""The four kinds of weights file, and files that are none of them."""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.checkpoint.weights import Weights, load_weights
from models.detector import build
from utils.errors import UserError

NAMES = {0: "cat", 1: "dog"}


@pytest.fixture(scope="module")
def model():
    return build("yolov8n", NAMES)


def same(weights: Weights, state) -> bool:
    return list(weights.state) == list(state) and all(torch.equal(weights.state[key], state[key]) for key in state)


@pytest.mark.parametrize(
    "layout",
    [
        lambda model: {"model": model, "epoch": 3},  # a finished Ultralytics run
        lambda model: {"model": None, "ema": model, "epoch": 3},  # one that goes on
        lambda model: {"model": nn.Linear(1, 1), "ema": model, "epoch": 3},  # the average is the better one
        lambda model: {"model": nn.DataParallel(model), "epoch": 3},
    ],
)
def test_pickled_networks(tmp_path, model, layout):
    torch.save(layout(model), tmp_path / "w.pt")
    weights = load_weights(tmp_path / "w.pt")
    assert same(weights, model.state_dict())
    assert weights.meta["epoch"] == 3


def test_what_a_network_says_of_itself(tmp_path, model):
    torch.save({"model": model, "train_args": {"imgsz": 64}, "optimizer": {1: torch.ones(1)}}, tmp_path / "w.pt")
    weights = load_weights(tmp_path / "w.pt")
    assert weights.names == NAMES
    assert weights.yaml == model.yaml
    assert weights.source == "ultralytics"
    assert weights.meta == {"train_args": {"imgsz": 64}}  # what is no plain value is left out


@pytest.mark.parametrize(
    "layout",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {"model": state, "epoch": 1},
        lambda state: {"model_state_dict": OrderedDict(state)},
        lambda state: {f"module.{key}": value for key, value in state.items()},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_plain_state_dicts(tmp_path, layout, zipped):
    state = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).state_dict()
    torch.save(layout(state), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    weights = load_weights(tmp_path / "w.pth")
    assert same(weights, state)
    assert (weights.names, weights.yaml, weights.source) == (None, None, "state dict")


def test_safetensors_with_a_header(tmp_path):
    state = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}
    yaml = {"backbone": [[-1, 1, "Conv", [8]]], "head": [], "nc": 12}
    names = {str(row): f"c{row}" for row in range(12)}
    header = {"names": json.dumps(names), "yaml": json.dumps(yaml), "note": "by hand"}
    save_file(state, tmp_path / "w.safetensors", metadata=header)
    weights = load_weights(tmp_path / "w.safetensors")
    assert same(weights, state)
    assert list(weights.names) == list(range(12))  # 10 comes after 9, not after 1
    assert weights.yaml == yaml
    assert (weights.source, weights.meta) == ("safetensors", {"note": "by hand"})


def test_safetensors_of_others(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "w.bin")  # the kind is told from the content
    weights = load_weights(tmp_path / "w.bin")
    assert (weights.names, weights.yaml, weights.meta) == (None, None, {})


def test_yolov5_checkpoint(shared):
    weights = load_weights(shared / "data" / "weights" / "yolov5n_v6.1_coco.pt")
    assert weights.source == "yolov5"
    assert len(weights.state) == 349
    assert weights.state["model.0.conv.weight"].shape == (16, 3, 6, 6)
    assert weights.state["model.0.conv.weight"].dtype == torch.float16
    assert len(weights.names) == 80
    assert weights.names[79] == "toothbrush"
    assert weights.yaml["anchors"][0] == [10, 13, 16, 30, 33, 23]
    learned = [value.numel() for key, value in weights.state.items()
               if not key.endswith(("running_mean", "running_var", "num_batches_tracked", "anchors"))]  # fmt: skip
    assert sum(learned) == 1_872_157


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><title>404</title>", "it begins with b'<!DOCTYPE html>.*error page"),
        (b"these are my weights", "this is not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n", "this is not a checkpoint"),
        (b"\x80\x04]\x94.", "not a readable checkpoint"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all}", "damaged safetensors"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{", "this is not a checkpoint"),  # a header longer than the file
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(UserError, match=message) as problem:
        load_weights(tmp_path / "w.pt")
    assert "w.pt" in str(problem.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 1}, "holds no weights"),
        ([1, 2], "holds no weights"),
        ({"model": "yolov8n"}, "holds no weights"),
    ],
)
def test_checkpoints_without_weights(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=message):
        load_weights(tmp_path / "w.pt")


def test_a_network_inside_itself(tmp_path):
    ring = nn.Sequential(nn.Linear(1, 1))
    ring._modules["again"] = ring
    torch.save(ring, tmp_path / "w.pt")
    assert list(load_weights(tmp_path / "w.pt").state) == ["0.weight", "0.bias"]


def test_names_and_yaml_that_are_none(tmp_path):
    """Odd entries of a stranger's file are left out, not believed."""
    state = {"a": torch.ones(1), "names": {"zero": "cat"}, "yaml": {"backbone": [os.path.join]}}
    state["yaml"] = {"backbone": nn.Identity()}
    torch.save(state, tmp_path / "w.pt")
    weights = load_weights(tmp_path / "w.pt")
    assert (weights.names, weights.yaml) == (None, None)


def test_missing_files_are_named(tmp_path):
    (tmp_path / "best.pt").touch()
    with pytest.raises(UserError, match=r"bets\.pt: no such weights file .*did you mean best\.pt"):
        load_weights(tmp_path / "bets.pt")
    with pytest.raises(UserError, match="no such weights file"):
        load_weights(tmp_path / "nowhere" / "best.pt")
    with pytest.raises(UserError, match="this is a folder"):
        load_weights(tmp_path)


class Marks:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_trust_runs_what_a_file_asks_for_and_says_so(tmp_path, caplog):
    marker = tmp_path / "ran"
    torch.save({"state_dict": {"a": torch.ones(1)}, "extra": Marks(marker)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="mkdir"):
        load_weights(tmp_path / "w.pt")
    assert not marker.exists()
    with caplog.at_level(logging.WARNING, logger="hardsight"):
        weights = load_weights(tmp_path / "w.pt", trust=True)
    assert marker.exists()
    assert list(weights.state) == ["a"]
    assert "--trust" in caplog.text


def test_trust_reads_a_real_network(tmp_path, model):
    torch.save({"model": model}, tmp_path / "w.pt")
    weights = load_weights(tmp_path / "w.pt", trust=True)
    assert same(weights, model.state_dict())
    assert weights.yaml == model.yaml


def test_trust_names_a_missing_module(tmp_path):
    (tmp_path / "w.pt").write_bytes(pickle.dumps({"a": 1}).replace(b".", b"") + b"cno_such_package\nThing\n.")
    with pytest.raises(UserError, match="no_such_package"):
        load_weights(tmp_path / "w.pt", trust=True)


@pytest.mark.parametrize("name", ["best.onnx", "best.xml"])
def test_exports_are_named_as_such(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(
        UserError, match="this is an export, which detect.py, val.py .* run. .* weights that it was made from"
    ):
        load_weights(tmp_path / name)
