"""YAML rows: rows of our own, and rows that must not pass."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
import torch
from torch import nn
from ultralytics.nn import tasks

from models import parse
from models.detector import build, parameters
from models.graph import LAYERS, LayerSpec
from models.parse import check_layers, is_activation, is_layer
from utils.errors import UserError

NAMES = {0: "cat", 1: "dog"}
ALONE = """
import sys
from pathlib import Path
from engine.checkpoint import load_detector, save_checkpoint
from models.detector import build
model = build("models/yolov5n-crux.yaml", {0: "cat"})
save_checkpoint(sys.argv[1], model, epoch=0, options={}, metrics={})
assert load_detector(Path(sys.argv[1]))[0].model[0].type == "CruxSplit"
assert "methods.lcp" not in sys.modules
"""


def test_a_process_without_the_method_reads_its_layers(tmp_path, root):
    """As val.py, detect.py and export.py do: nothing but what loads a network is imported."""
    words = [sys.executable, "-c", ALONE, str(tmp_path / "best.pt")]
    result = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


class Scale(nn.Module):
    """A toy block of one input: multiplies by one learned number per channel, on batch-normalised values."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.factor = nn.Parameter(torch.full((1, channels, 1, 1), start))

    def forward(self, x):
        return self.norm(x) * self.factor


class Blend(nn.Module):
    """A toy block of two inputs, brought to the last one's channels and size."""

    def __init__(self, inputs: list[int]) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs[0], inputs[-1], 1)

    def forward(self, parts):
        return nn.functional.interpolate(self.project(parts[0]), parts[1].shape[2:]) + parts[1]


@pytest.fixture
def blocks(monkeypatch):
    """The registry with three toy blocks in it."""
    monkeypatch.setitem(LAYERS, "Scale", LayerSpec(lambda inputs, stand_in, args: Scale(inputs[0], *args)))
    monkeypatch.setitem(LAYERS, "Blend", LayerSpec(lambda inputs, stand_in, args: Blend(inputs), stand_in="CBFuse",
                                                   stand_in_args=lambda args: [[0]]))  # fmt: skip
    monkeypatch.setitem(
        LAYERS,
        "Shrink",
        LayerSpec(lambda inputs, stand_in, args: nn.Conv2d(inputs[0], stand_in.conv.out_channels, 3, 2, 1),
            stand_in="Conv", stand_in_args=lambda args: [args[0], 3, 2]),
    )  # fmt: skip


def rows(extra_backbone, head_from, scales=None):
    """A network of stride 8 .. whatever the rows make of it, with a head on some of its rows."""
    description = {
        "nc": 80,
        "backbone": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], *extra_backbone],
        "head": [[head_from, 1, "Detect", ["nc"]]],
    }
    return description | ({"scales": scales} if scales else {})


def test_a_block_of_ours_gets_the_channels_that_arrive(blocks):
    model = build(rows([[-1, 1, "Scale", [0.5]], [-1, 1, "Conv", [64, 3, 2]]], [3]), NAMES)
    block = model.model[2]
    assert type(block) is Scale
    assert block.factor.shape == (1, 32, 1, 1)
    assert (block.i, block.f, block.type, block.np) == (2, -1, "Scale", 32 * 3)
    assert model(torch.rand(2, 3, 64, 64))["feats"][0].shape == (2, 64, 8, 8)


def test_the_dry_run_moves_no_statistics(blocks):
    model = build(rows([[-1, 1, "Scale", [0.5]]], [2]), NAMES)
    assert model.model[2].training
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.num_batches_tracked == 0
            assert not module.running_mean.any()


def test_a_block_of_two_inputs(blocks):
    extra = [[-1, 1, "Conv", [64, 3, 2]], [[1, -1], 1, "Blend", []]]
    model = build(rows(extra, [3]), NAMES)
    assert model.model[3].project.weight.shape == (64, 32, 1, 1)
    assert 1 in model.save  # the row that Blend reads is kept
    assert model(torch.rand(2, 3, 64, 64))["feats"][0].shape == (2, 64, 8, 8)


@pytest.mark.parametrize(("scale", "channels"), [("n", 16), ("s", 32)])
def test_blocks_follow_the_scale(blocks, scale, channels):
    """A stand-in with channels of its own is scaled by the parser: 64 x 0.25 = 16, 64 x 0.5 = 32."""
    scales = {"n": [0.33, 0.25, 1024], "s": [0.33, 0.5, 1024]}
    description = rows([[-1, 1, "Shrink", [64]], [-1, 1, "Scale", [1.0]]], [3], scales) | {"scale": scale}
    model = build(description, NAMES)
    assert model.model[2].out_channels == channels
    assert model.model[3].factor.shape[1] == channels


def test_parameters_grow_by_the_block_alone(blocks):
    plain = build(rows([[-1, 1, "nn.Identity", []]], [2]), NAMES)
    ours = build(rows([[-1, 1, "Scale", [1.0]]], [2]), NAMES)
    assert parameters(ours) - parameters(plain) == 32 * 3  # norm weight and bias, factor


@pytest.mark.parametrize("child", ["i", "f", "np"])
def test_a_child_with_a_reserved_name_is_refused(monkeypatch, child):
    block = nn.Module()
    block.add_module(child, nn.Identity())
    monkeypatch.setitem(LAYERS, "Bad", LayerSpec(lambda inputs, stand_in, args: block))
    with pytest.raises(UserError, match=f"child called '{child}'"):
        build(rows([[-1, 1, "Bad", []]], [2]), NAMES)


def test_the_parser_is_put_back(blocks):
    original = tasks.parse_model
    build(rows([[-1, 1, "Scale", [1.0]]], [2]), NAMES)
    with pytest.raises(Exception), parse.our_layers():  # noqa: B017, PT011
        raise Exception
    assert tasks.parse_model is original


@pytest.mark.parametrize("head", [[2], [99]])  # a network, and one that is refused
def test_an_activation_holds_for_its_own_network(head):
    before = tasks.Conv.default_act
    with contextlib.suppress(Exception):
        network = build(rows([], [1]) | {"activation": "nn.ReLU()"}, NAMES)
        assert any(isinstance(part, torch.nn.ReLU) for part in network.modules())
    with contextlib.suppress(Exception):
        build(rows([], head) | {"activation": "nn.ReLU()"}, NAMES)
    assert tasks.Conv.default_act is before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Conv", True),
        ("C2f", True),
        ("nn.Upsample", True),
        ("torchvision.ops.DeformConv2d", True),
        ("torch_load", False),  # a function that unpickles
        ("torch_safe_load", False),
        ("Path", False),
        ("DetectionModel", False),  # a module, but not a layer
        ("WorldModel", False),  # fetches a text encoder
        ("TorchVision", False),  # fetches weights
        ("nn.Module.load_state_dict", False),
        ("nn.functional", False),
        ("nn.Linear", False),  # a module, but none that a network of image maps has
        ("nn.Sequential", False),
        ("nn.ModuleDict", False),
        ("torchvision.ops.FeaturePyramidNetwork", False),
        ("nn.nosuch", False),
        ("nosuch", False),
    ],
)
def test_is_layer(name, expected):
    assert is_layer(name) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nn.SiLU()", True),
        ("torch.nn.LeakyReLU(0.1, inplace=True)", True),
        ("nn.SiLU", False),
        ("nn.Conv2d(100000, 100000, 1)", False),  # a layer, but no activation
        (f"nn.ReLU({'(' * 5000})", False),
        ("__import__('os').system('true')", False),
        ("nn.Identity(__import__('os').system('true'))", False),
        ("nn.Identity(**__import__('os').environ)", False),
        ("nn.modules.module.torch.load('x')", False),
        ("print('x')", False),
        ("", False),
        (3, False),
    ],
)
def test_is_activation(text, expected):
    assert is_activation(text) is expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": []}, "no list of layers under `backbone`"),
        ({"head": "Detect"}, "no list of layers under `head`"),
        ({"backbone": [[-1, 1, "Conv"]]}, "backbone layer 0 is"),
        ({"backbone": [[-1, 1, "Conv", 16]]}, "expected \\[from, repeats, module, \\[arguments\\]\\]"),
        ({"backbone": [[-1, 1, "Cnov", [16]]]}, "'Cnov', which is not a known layer; did you mean Conv?"),
        ({"backbone": [[-1, 1, "torch_load", ["x.pt"]]]}, "'torch_load', which is not a known layer"),
        ({"backbone": [[-1, 1, 7, []]]}, "module 7, which is not a known layer"),
        ({"backbone": [[-1, 1, "Conv", ["6x", 3]]]}, "the argument '6x' is neither a number nor a name"),
        ({"activation": "__import__('os').system('true')"}, "is not an activation of torch.nn"),
    ],
)
def test_bad_rows_are_named(change, message):
    description = rows([], [1]) | change
    with pytest.raises(UserError, match=message):
        check_layers(description, "model.yaml")


def test_nothing_in_a_description_is_run(tmp_path):
    marker = tmp_path / "ran"
    description = rows([], [1]) | {"activation": f"open({str(marker)!r}, 'w')"}
    with pytest.raises(UserError):
        build(description, NAMES)
    assert not marker.exists()
