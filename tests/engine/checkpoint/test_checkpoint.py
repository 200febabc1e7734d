"""Into a detector and out of it: transfer, the layout of Ultralytics, safetensors, and plain Ultralytics reading the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from ultralytics.nn.tasks import DetectionModel

from engine import checkpoint
from engine.checkpoint import Weights, load_detector, load_weights, save_checkpoint, save_safetensors, transfer
from models.detector import build, parameters
from models.graph import tapped
from utils.errors import UserError

NAMES = {0: "cat", 1: "dog", 2: "bus"}
YOLOV5 = Path("data") / "weights" / "yolov5n_v6.1_coco.pt"


@pytest.fixture(scope="module")
def trained():
    """A detector whose numbers look trained: statistics that are not those of a fresh network."""
    torch.manual_seed(0)
    model = build("yolov8n", NAMES)
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, 3, 64, 64))
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return model


@pytest.fixture
def saved(tmp_path, trained):
    """(best.pt, best.safetensors) of the trained detector."""
    for name, save in {"best.pt": save_pt, "best.safetensors": save_st}.items():
        save(tmp_path / name, trained)
    return tmp_path / "best.pt", tmp_path / "best.safetensors"


def save_pt(path, model, **changes):
    options = {"imgsz": 64, "data": "night.yaml", "epochs": 7, "batch_size": 4, "weights": Path("yolov5n.pt")}
    save_checkpoint(path, model, **{"epoch": 6, "options": options, "metrics": {"mAP50": 0.5}} | changes)


def save_st(path, model):
    save_safetensors(path, model, options={"imgsz": 64}, metrics={"mAP50": 0.5}, method="wiid")


def half(state):
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def equal(a, b):
    return sorted(a) == sorted(b) and all(torch.equal(a[key], b[key]) for key in a)


def weights_of(model, names=None):
    return Weights({key: value.clone() for key, value in model.state_dict().items()}, names, None, "test")


# --- transfer


def test_yolov5_gives_its_whole_backbone_and_neck(shared):
    """342 of the 349 tensors: the other 7 are the anchors, and weight and bias of three anchor-based layers."""
    weights = load_weights(shared / YOLOV5)
    model = build("models/yolov5n.yaml", NAMES)
    assert transfer(model, weights) == (342, 427)
    state = model.state_dict()
    body = [key for key in state if not key.startswith("model.24.")]
    assert len(body) == 342
    assert all(torch.equal(state[key], weights.state[key].to(state[key].dtype)) for key in body)
    assert {key for key in weights.state if key not in body} == {
        "model.24.anchors", *(f"model.24.m.{level}.{part}" for level in range(3) for part in ("weight", "bias"))
    }  # fmt: skip


def test_yolov5s_own_description_builds_the_anchor_free_detector(shared):
    weights = load_weights(shared / YOLOV5)
    model = build(weights.yaml, weights.names)
    assert transfer(model, weights) == (342, 427)
    assert parameters(model) == parameters(build("models/yolov5n.yaml", weights.names))


def test_everything_transfers_between_equal_detectors(trained):
    target = build("yolov8n", NAMES)
    total = len(trained.state_dict())
    assert transfer(target, weights_of(trained, NAMES)) == (total, total)
    assert equal(target.state_dict(), trained.state_dict())


def last_biases(model):
    return [layers[-1].bias for layers in model.model[-1].cv3]


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        # class rows of the file hold 10, 20, 30; -1 marks a row that keeps its initial value
        ({0: "cat", 1: "dog", 2: "bus"}, {0: "cat", 1: "dog", 2: "bus"}, [10, 20, 30]),
        ({0: "bus", 1: "cat"}, {0: "cat", 1: "dog", 2: "bus"}, [30, 10]),  # by name
        ({0: "BUS ", 1: "Dog"}, {0: "cat", 1: "dog", 2: "bus"}, [30, 20]),  # case and spaces do not count
        ({0: "cat", 1: "fox"}, {0: "cat", 1: "dog", 2: "bus"}, [10, -1]),  # one is new
        ({0: "fox", 1: "elk"}, {0: "cat", 1: "dog", 2: "bus"}, [-1, -1]),  # all are new
        ({0: "dog", 1: "bus", 2: "cat"}, {0: "cat", 1: "dog", 2: "bus"}, [20, 30, 10]),  # same count, another order
        ({0: "fox", 1: "elk", 2: "owl"}, {0: "cat", 1: "dog", 2: "bus"}, [10, 20, 30]),  # same count, by position
        ({0: "0", 1: "1", 2: "2"}, {0: "cat", 1: "dog", 2: "bus"}, [10, 20, 30]),  # numbers are no names
        ({0: "cat", 1: "dog", 2: "bus"}, None, [10, 20, 30]),
        ({0: "cat", 1: "dog"}, None, [-1, -1]),
    ],
)
def test_class_rows_follow_their_names(here, there, expected):
    source = build("yolov8n", {row: f"c{row}" for row in range(3)})
    target = build("yolov8n", here)
    for model, values in ((source, [10.0, 20.0, 30.0]), (target, [-1.0] * len(here))):
        for bias in last_biases(model):
            bias.data.copy_(torch.tensor(values))
    copied, total = transfer(target, weights_of(source, there))
    for bias in last_biases(target):
        assert bias.tolist() == expected
    assert total - copied == (6 if set(expected) == {-1} else 0)  # weight and bias on three levels


def test_both_heads_of_yolo26_take_their_rows():
    source, target = build("yolo26n", NAMES), build("yolo26n", {0: "bus"})
    transfer(target, weights_of(source, NAMES))
    for branch in ("cv3", "one2one_cv3"):
        for mine, theirs in zip(getattr(target.model[-1], branch), getattr(source.model[-1], branch), strict=True):
            assert torch.equal(mine[-1].weight[0], theirs[-1].weight[2])


def test_other_shapes_are_left_alone():
    source, target = build("yolov8s", NAMES), build("yolov8n", NAMES)
    before = deepcopy(target.state_dict())
    copied, _ = transfer(target, weights_of(source))
    changed = {key for key, value in target.state_dict().items() if not torch.equal(value, before[key])}
    assert all(source.state_dict()[key].shape == before[key].shape for key in changed)
    shapes = {key: value.shape for key, value in source.state_dict().items()}
    assert copied == sum(shapes.get(key) == value.shape for key, value in before.items())


# --- the layout of Ultralytics


def test_the_saved_file_agrees_with_the_live_detector(saved, trained):
    for path in saved:
        weights = load_weights(path)
        assert equal(weights.state, half(trained.state_dict()))
        assert weights.names == NAMES
        loaded, _ = load_detector(path)
        assert parameters(loaded) == parameters(trained)
        assert not loaded.training
        live = deepcopy(trained).half().float().eval()
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            assert torch.equal(loaded(image)[0], live(image)[0])


def test_the_live_detector_is_left_as_it_is(tmp_path):
    model = build("yolov8n", NAMES)
    model.loss({"img": torch.rand(1, 3, 64, 64), "cls": torch.zeros(1, 1), "batch_idx": torch.zeros(1),
                "bboxes": torch.full((1, 4), 0.5)})[0].sum().backward()  # fmt: skip
    model.helper = nn.Linear(1, 1)
    before, gradients = deepcopy(model.state_dict()), [parameter.grad is None for parameter in model.parameters()]
    with tapped(model, {"P3": 4}):
        save_pt(tmp_path / "a.pt", model)
        assert model.model[4]._forward_hooks
    assert equal(model.state_dict(), before)
    assert model.training
    assert model.criterion is not None
    assert all(parameter.requires_grad for key, parameter in model.named_parameters() if "dfl" not in key)
    assert gradients == [parameter.grad is None for parameter in model.parameters()]


def test_nothing_but_the_plain_detector_is_saved(tmp_path, trained):
    model = deepcopy(trained)
    model.criterion, model.method, model.projector = object(), "wiid", nn.Linear(2, 2)
    model.model[4].register_forward_hook(lambda *_: None)
    model.loss = lambda *_: None
    save_pt(tmp_path / "a.pt", model)
    content = torch.load(tmp_path / "a.pt", weights_only=False)
    network = content["model"]
    assert type(network) is DetectionModel
    assert {"criterion", "method", "projector", "loss"}.isdisjoint(vars(network))
    assert list(network._modules) == ["model"]
    assert not any(module._forward_hooks for module in network.modules())
    assert {value.dtype for value in network.state_dict().values()} == {torch.float16, torch.int64}
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert type(network.args) is dict


def test_the_layout_is_ultralytics_own(saved):
    content = torch.load(saved[0], weights_only=False)
    theirs = {"date", "version", "license", "docs", "epoch", "best_fitness", "model", "ema", "updates", "optimizer",
             "scaler", "train_args", "train_metrics", "train_results"}  # fmt: skip
    assert set(content) == theirs | {"hardsight"}
    assert content["epoch"] == 6
    assert content["ema"] is None
    assert content["train_metrics"] == {"mAP50": 0.5}
    used = {key: content["train_args"][key] for key in ("imgsz", "data", "epochs", "batch", "task", "mode")}
    assert used == {"imgsz": 64, "data": "night.yaml", "epochs": 7, "batch": 4, "task": "detect", "mode": "train"}
    assert content["hardsight"]["options"]["weights"] == "yolov5n.pt"


def test_results_become_columns(tmp_path, trained):
    save_pt(tmp_path / "a.pt", trained, results="epoch, loss\n1, 2.5\n2, oops\n")
    columns = load_weights(tmp_path / "a.pt").meta["train_results"]
    assert columns["epoch"] == [1, 2]
    assert columns["loss"][0] == 2.5
    assert columns["loss"][1] != columns["loss"][1]  # not a number


def test_values_beyond_float16_are_clamped(tmp_path, trained):
    model = deepcopy(trained)
    model.model[0].conv.weight.data[0, 0, 0, 0] = 1e6
    model.model[0].conv.weight.data[0, 0, 0, 1] = -1e6
    save_pt(tmp_path / "a.pt", model)
    weight = load_weights(tmp_path / "a.pt").state["model.0.conv.weight"]
    assert weight[0, 0, 0, :2].tolist() == [65504, -65504]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_saved(tmp_path, trained, value):
    """It would detect nothing; and written as 0 it would hide that the training has diverged."""
    model = deepcopy(trained)
    model.model[0].conv.weight.data[0, 0, 0, 1] = value
    for save in (save_pt, save_st):
        with pytest.raises(UserError, match=r"not saved: 1 of .*\(model\.0\.conv\.weight\)"):
            save(tmp_path / "a.pt", model)
    assert not list(tmp_path.iterdir())


def test_only_plain_detectors_are_saved(tmp_path):
    class Ours(DetectionModel):
        pass

    model = build("yolov8n", NAMES)
    model.__class__ = Ours
    for save in (save_pt, save_st):
        with pytest.raises(TypeError, match="got Ours"):
            save(tmp_path / "a", model)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path, trained, monkeypatch):
    save_pt(tmp_path / "a.pt", trained)
    before = (tmp_path / "a.pt").read_bytes()
    monkeypatch.setattr(checkpoint.torch, "save", lambda content, file: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        save_pt(tmp_path / "a.pt", trained)
    assert (tmp_path / "a.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_the_json_header(saved, trained):
    with safe_open(saved[1], "pt") as file:
        header = file.metadata()
    assert json.loads(header["names"]) == {"0": "cat", "1": "dog", "2": "bus"}
    assert json.loads(header["yaml"])["backbone"] == trained.yaml["backbone"]
    assert json.loads(header["stride"]) == [8, 16, 32]
    assert header["method"] == "wiid"
    assert json.loads(header["options"]) == {"imgsz": 64}
    assert json.loads(header["metrics"]) == {"mAP50": 0.5}
    assert set(json.loads(header["versions"])) == {"torch", "ultralytics"}


PLAIN = """
import json, sys
import numpy as np
from ultralytics import YOLO
path, data = sys.argv[1:]
model = YOLO(path)
found = model.predict(np.full((48, 64, 3), 114, np.uint8), imgsz=64, conf=0.0001, verbose=False)[0]
keys = list(model.val(data=data, imgsz=64, workers=0, plots=False, verbose=False).results_dict) if data else []
ours = [name for name in sys.modules if name.split(".")[0] in ("engine", "methods", "models", "utils", "data")]
print(json.dumps([found.names, found.boxes.data.tolist(), keys, model.ckpt["epoch"], ours]))
"""


def open_elsewhere(path: Path, folder: Path, data: str = "", **environment: str):
    """Class names, boxes, metric names, epoch and modules of ours, as plain Ultralytics sees them elsewhere."""
    folder.mkdir()
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", PLAIN, str(path), data]
    done = subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_plain_ultralytics_predicts_and_validates(saved, tiny_set, tmp_path):
    """In another process, from another folder, with Hardsight nowhere on the path."""
    data = tiny_set / "data.yaml"
    data.write_text(data.read_text().replace("path: .", f"path: {tiny_set}").replace("}", ", 2: bus}"))
    names, boxes, keys, epoch, ours = open_elsewhere(saved[0], tmp_path / "elsewhere", str(data))
    assert names == {"0": "cat", "1": "dog", "2": "bus"}
    assert boxes
    assert keys[:4] == ["metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)"]
    assert epoch == 6
    assert ours == []


@pytest.mark.slow
def test_ultralytics_restricted_loading_opens_it(saved, tmp_path):
    """ULTRALYTICS_SAFE_LOAD rebuilds its own classes only: there is nothing else in the file."""
    _, boxes, *_ = open_elsewhere(saved[0], tmp_path / "elsewhere", ULTRALYTICS_SAFE_LOAD="1")
    assert boxes


# --- back into a detector


def test_yolov5s_head_is_no_detector(shared):
    with pytest.raises(UserError, match=r"fills only 342 of its detector's 427 tensors \(yolov5\)"):
        load_detector(shared / YOLOV5)


def test_a_state_dict_says_nothing_about_its_network(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "a.pt")
    with pytest.raises(UserError, match="no network description"):
        load_detector(tmp_path / "a.pt")


def test_a_description_that_calls_is_refused(tmp_path, trained):
    model, marker = deepcopy(trained), tmp_path / "ran"
    model.yaml["activation"] = f"open({str(marker)!r}, 'w')"
    torch.save({"model": model}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="not an activation of torch.nn"):
        load_detector(tmp_path / "a.pt")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolo11n", "yolo26n"])
def test_a_detector_fine_tuned_by_ultralytics_loads(tmp_path, name):
    """Ultralytics keeps the inner width of a pretrained head (80 classes: 80 channels) when the class count changes."""
    pretrained = DetectionModel(f"{name}.yaml", nc=80, verbose=False)
    theirs = DetectionModel(f"{name}.yaml", nc=3, verbose=False)
    theirs.load(pretrained, verbose=False)
    theirs.names = dict(NAMES)
    assert theirs.model[-1].cv3[0][-1].in_channels == 80
    torch.save({"model": theirs}, tmp_path / "a.pt")
    loaded, _ = load_detector(tmp_path / "a.pt")
    assert equal(loaded.state_dict(), theirs.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(image)[0], theirs.eval()(image)[0])


@pytest.mark.parametrize(
    ("name", "save", "suffix"),
    [("yolov5n", save_pt, "pt"), ("yolo26n", save_st, "safetensors"), ("yolov8n-p2", save_st, "safetensors")],
)
def test_families_survive_the_round_trip(tmp_path, name, save, suffix):
    model = build(name, NAMES)
    save(tmp_path / f"a.{suffix}", model)
    loaded, meta = load_detector(tmp_path / f"a.{suffix}")
    assert equal(half(loaded.state_dict()), half(model.state_dict()))
    assert meta.get("metrics", meta.get("hardsight", {}).get("metrics")) == {"mAP50": 0.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, trained, value):
    path = tmp_path / "best.safetensors"
    save_st(path, trained)
    with safe_open(path, "pt") as file:
        metadata, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    state["model.0.conv.weight"][0, 0, 0, 0] = value
    save_file(state, path, metadata)
    with pytest.raises(UserError, match=r"1 of its tensors contain NaN or Inf \(.*model\.0\.conv\.weight"):
        load_detector(path)
