"""The names on the list exist and are networks' modules, and none of them reaches outside."""

from __future__ import annotations

import pytest
import torchvision.ops
from torch import nn
from ultralytics.nn import tasks

from models.description.layer_names import ACTIVATIONS, HEADS, NETWORK_LAYERS, TORCH, TORCHVISION, ULTRALYTICS
from models.detector import ULTRALYTICS_MODELS
from models.parse import is_layer
from utils.files import load_yaml


@pytest.mark.parametrize(
    ("names", "package", "prefix"),
    [
        (ACTIVATIONS | TORCH, nn, "nn."),
        (TORCHVISION, torchvision.ops, "torchvision.ops."),
        (HEADS | ULTRALYTICS, tasks, ""),
    ],
)
def test_every_name_is_a_module(names, package, prefix):
    for name in names:
        assert issubclass(vars(package)[name.removeprefix(prefix)], nn.Module), name
        assert is_layer(name), name


def test_the_list_has_no_module_that_fetches_or_holds_others():
    assert NETWORK_LAYERS.isdisjoint({"TorchVision", "nn.Module", "nn.Sequential", "nn.ModuleList", "nn.ModuleDict"})


def test_every_layer_of_ultralytics_detectors_is_on_it():
    for file in ULTRALYTICS_MODELS.rglob("*.yaml"):
        description = load_yaml(file)
        named = {layer[2] for key in ("backbone", "head") for layer in description[key]}
        assert named - {"TorchVision"} <= NETWORK_LAYERS, file.name
