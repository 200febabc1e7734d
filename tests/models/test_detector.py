"""Every model of `models/` against the counts of plain Ultralytics, and what can be read off a detector."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import torch
from ultralytics.nn import tasks
from ultralytics.nn.tasks import DetectionModel, yaml_model_load

from models import detector as module
from models.detector import (
    available,
    build,
    describe,
    find,
    flops,
    parameters,
)
from models.graph import backbone_taps, run_layers, tap_channels, tapped
from utils.errors import UserError

NAMES = {0: "cat", 1: "dog", 2: "bus"}
ALL = [f"{family}{scale}" for family in ("yolov5", "yolov8", "yolo11", "yolo26") for scale in "nsmlx"]
ALL += [f"{family}{scale}-p2" for family in ("yolov5", "yolov8", "yolo26") for scale in "nsmlx"]
PUBLISHED = {  # parameters at 80 classes, as Ultralytics' own model files state them
    "yolov8n": 3_157_200,
    "yolov8s": 11_166_560,
    "yolov8m": 25_902_640,
    "yolov8l": 43_691_520,
    "yolov8x": 68_229_648,
    "yolo11n": 2_624_080,
    "yolo11s": 9_458_752,
    "yolo11m": 20_114_688,
    "yolo11l": 25_372_160,
    "yolo11x": 56_966_176,
    "yolo26n": 2_572_280,
    "yolo26s": 10_009_784,
    "yolo26m": 21_896_248,
    "yolo26l": 26_299_704,
    "yolo26x": 58_993_368,
    "yolov5n-p2": 2_838_000,  # no file of Ultralytics': counted once, with the rows of release 6
    "yolov5s-p2": 8_815_760,
    "yolov5m-p2": 23_886_000,
    "yolov5l-p2": 51_201_232,
    "yolov5x-p2": 94_006_256,
}


def count(description: dict, classes: int) -> int:
    """Parameters of a description, built without memory."""
    with torch.device("meta"):
        network, _ = tasks.parse_model(deepcopy(description) | {"nc": classes}, ch=3, verbose=False)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def yolov8n():
    return build("yolov8n", NAMES)


def test_all_models_are_listed():
    assert set(ALL) <= set(available())


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_model_has_ultralytics_parameter_count(name, root):
    ours = describe(f"models/{name}.yaml")
    assert ours["yaml_file"] == f"{name}.yaml"
    parameters = count(ours, 80)
    assert parameters == (PUBLISHED.get(name) or count(yaml_model_load(f"{name}.yaml"), 80))
    assert f"| `{name}` | {parameters:,} |" in (root / "docs" / "models.md").read_text()


@pytest.mark.parametrize("name", ["yolov5l", "yolov8m", "yolo11s", "yolo26n"])
def test_the_count_follows_the_classes(name):
    assert count(describe(name), 12) == count(yaml_model_load(f"{name}.yaml"), 12)


def test_yolov5m_with_twelve_classes():
    assert count(describe("models/yolov5m.yaml"), 12) == 25_072_084


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolo11n", "yolo26n"])
def test_state_dict_and_outputs_are_those_of_plain_ultralytics(name):
    ours = build(name, NAMES).eval()
    theirs = DetectionModel(f"{name}.yaml", nc=3, verbose=False).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(image)[0], theirs(image)[0])


def test_it_is_the_plain_class(yolov8n):
    assert type(yolov8n) is DetectionModel
    assert yolov8n.names == NAMES
    assert yolov8n.yaml["nc"] == 3
    assert yolov8n.training
    assert yolov8n.stride.tolist() == [8, 16, 32]
    yolov8n.args.box, kept = 1.25, yolov8n.args.box
    assert (kept, yolov8n.args.box, build("yolov8n", NAMES).args.box) == (7.5, 1.25, 7.5)


def test_it_trains(yolov8n):
    batch = {"img": torch.rand(2, 3, 64, 64), "cls": torch.tensor([[0.0], [2.0]])}
    batch |= {"batch_idx": torch.tensor([0.0, 1.0]), "bboxes": torch.full((2, 4), 0.5)}
    loss, items = deepcopy(yolov8n).loss(batch)
    assert loss.sum().isfinite()
    assert len(items) == 3


TAPS = [  # the table of WiiD's specification, section 4, and models with a stride-4 or stride-64 level
    ("yolov5n", (4, 6, 10), (64, 128, 128)),
    ("yolov5m", (4, 6, 10), (192, 384, 384)),
    ("yolov8n", (4, 6, 9), (64, 128, 256)),
    ("yolov8s", (4, 6, 9), (128, 256, 512)),
    ("yolov8m", (4, 6, 9), (192, 384, 576)),
    ("yolo11n", (4, 6, 10), (128, 128, 256)),
    ("yolo11s", (4, 6, 10), (256, 256, 512)),
    ("yolo26n", (4, 6, 10), (128, 128, 256)),
    ("yolov8n-p2", (4, 6, 9), (64, 128, 256)),
    ("yolo26n-p2", (4, 6, 10), (128, 128, 256)),
    ("yolov5n-p6", (4, 6, 8), (64, 128, 192)),
]


@pytest.mark.parametrize(("name", "layers", "channels"), TAPS)
def test_taps_are_found_in_the_graph(name, layers, channels):
    model = build(name, NAMES)
    statistics = {key: value.clone() for key, value in model.named_buffers()}
    taps = backbone_taps(model)
    assert taps == dict(zip(("P3", "P4", "P5"), layers, strict=True))
    assert tuple(tap_channels(model, taps).values()) == channels
    assert model.training
    assert all(torch.equal(value, statistics[key]) for key, value in model.named_buffers())


def test_a_network_without_stride_32_is_named():
    rows = [[-1, 1, "Conv", [16, 3, 2]]] * 4
    model = build({"nc": 1, "backbone": rows, "head": [[[-1], 1, "Detect", ["nc"]]]}, NAMES)
    with pytest.raises(ValueError, match="no backbone layer for P5"):
        backbone_taps(model)


def test_tapped_collects_and_leaves_nothing(yolov8n):
    taps = backbone_taps(yolov8n)
    with tapped(yolov8n, taps) as outputs:
        yolov8n(torch.rand(2, 3, 64, 96))
        assert {name: tuple(value.shape) for name, value in outputs.items()} == {
            "P3": (2, 64, 8, 12), "P4": (2, 128, 4, 6), "P5": (2, 256, 2, 3)
        }  # fmt: skip
        assert all(value.requires_grad for value in outputs.values())
    assert not any(layer._forward_hooks for layer in yolov8n.modules())
    pickle.dumps(yolov8n)


def test_tapped_removes_hooks_after_an_error(yolov8n):
    with pytest.raises(RuntimeError), tapped(yolov8n, {"P3": 4}):
        raise RuntimeError
    assert not yolov8n.model[4]._forward_hooks


@pytest.mark.parametrize("name", ["yolov5n", "yolo11n", "yolov8n-p2"])
def test_partial_forward_equals_the_whole_one(name):
    model = build(name, NAMES).eval()
    taps = backbone_taps(model)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad(), tapped(model, taps) as whole:
        model(image)
        part = run_layers(list(model.model), image, taps)
    assert all(torch.equal(part[level], whole[level]) for level in taps)


@pytest.mark.parametrize(("name", "expected"), [("yolov8n", 8.86), ("yolo11n", 6.67), ("yolo26n", 6.24)])
def test_flops_are_those_that_ultralytics_reports(name, expected):
    """GFLOPs at 640 pixels and 80 classes, of `yolo info` (YOLO26: with both heads)."""
    model = build(name, {number: str(number) for number in range(80)})
    before = list(model.state_dict())
    assert flops(model, 640) == pytest.approx(expected, abs=0.01)
    assert list(model.state_dict()) == before
    assert model.training


def test_parameters(yolov8n):
    assert parameters(yolov8n) == count(yolov8n.yaml, 3)


@pytest.mark.parametrize(
    ("cfg", "file", "scale"),
    [
        ("yolov8n", "yolov8.yaml", "n"),
        ("models/yolov8x.yaml", "yolov8.yaml", "x"),
        ("yolo11s.yaml", "yolo11.yaml", "s"),
        ("yolo26", "yolo26.yaml", "n"),  # the first scale
        ("models/yolov5m.yaml", "yolov5m.yaml", "m"),
        ("yolov8s-p2.yaml", "yolov8-p2.yaml", "s"),
        ("yolov5x-p2", "yolov5-p2.yaml", "x"),
        ("yolov6s.yaml", "yolov6.yaml", "s"),  # of Ultralytics
    ],
)
def test_names_are_resolved(cfg, file, scale):
    assert find(cfg).name == file
    assert describe(cfg)["scale"] == scale


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    own = tmp_path / "yolov8n.yaml"
    own.write_text("backbone: [[-1, 1, Conv, [8, 3, 2]]]\nhead: [[[-1], 1, Detect, [nc]]]\n")
    assert find(own) == own
    monkeypatch.chdir(tmp_path)
    assert len(build("yolov8n.yaml", NAMES).model) == 2


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("yolov8z", "did you mean models/yolov8"),
        ("nothing-like-it", "known models: yolo11n"),
        ("elsewhere/yolov8n.yaml", "no such model YAML"),
        ("x" * 5000, "cannot be a path"),
        ("/", "names no model"),
        ("", "names no model"),
        ({"yaml_file": 100 * "\u732b", "backbone": [], "head": []}, "no list of layers"),
        ({"backbone": []}, "no list of layers"),
        ({"backbone": [[-1, 1, "Conv", [8]]], "head": [[-1, 1, "Classify", ["nc"]]]}, "not Detect"),
        ({"backbone": [[-1, 1, "Conv", ["wide"]]], "head": [[[-1], 1, "Detect", ["nc"]]]}, "cannot be built"),
        ({"backbone": [[7, 1, "Conv", [8]]], "head": [[[-1], 1, "Detect", ["nc"]]]}, "cannot be built"),
    ],
)
def test_bad_models_are_named(cfg, message):
    with pytest.raises(UserError, match=message):
        build(cfg, NAMES)


def test_a_scale_that_a_family_lacks(tmp_path):
    rows = "backbone: [[-1, 1, Conv, [8]]]\nhead: [[-1, 1, Detect, [nc]]]\n"
    (tmp_path / "yolov8.yaml").write_text("scales: {n: [1, 1, 1]}\n" + rows)
    with pytest.raises(UserError, match="no scale 'x'; its scales are n"):
        build(tmp_path / "yolov8x.yaml", NAMES)


@pytest.mark.parametrize("names", [{}, {1: "cat"}, {0: "cat", 2: "dog"}])
def test_class_numbers_must_run_from_zero(names):
    with pytest.raises(UserError, match="class numbers"):
        build("yolov8n", names)


def test_yolov5s_own_description_loses_its_anchors():
    description = describe("models/yolov5n.yaml")
    anchored = deepcopy(description) | {"anchors": [[10, 13], [30, 61], [116, 90]], "ch": 3}
    anchored["head"][-1][3] = ["nc", "anchors"]
    assert parameters(build(anchored, NAMES)) == parameters(build(description, NAMES))
    assert "anchors" in anchored  # the caller's mapping is left alone


def test_every_model_file_parses():
    for path in module.FOLDER.glob("*.yaml"):
        assert describe(path)["head"][-1][2] == "Detect"


@pytest.mark.parametrize("scales", ["&a [*a]", "[n, s]", "{1: [1, 1, 64]}", "true", "n"])
def test_scales_that_are_no_mapping_of_letters(tmp_path, scales):
    file = tmp_path / "tiny8n.yaml"
    file.write_text(f"scales: {scales}\nbackbone: [[-1, 1, Conv, [8]]]\nhead: [[[0], 1, Detect, [nc]]]\n")
    with pytest.raises(UserError, match="`scales` must map letters"):
        build(file, {0: "cat"})
