"""Descriptions that would exhaust the machine are refused before anything is built."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import detector
from models.description import cost
from models.description.cost import TooLarge, rehearse
from models.detector import build
from tests.engine.tiny import CRUX_NETWORK, NETWORK
from utils.errors import UserError

NAMES = {0: "cat", 1: "dog"}
CONV = [-1, 1, "Conv", [16, 3, 2]]


def network(*rows, head=None, **entries):
    """A description of these backbone rows and a head on the last of them."""
    return {"backbone": [CONV, *rows], "head": [head or [[len(rows)], 1, "Detect", ["nc"]]], **entries}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (network([-1, 1_000_000_000, "Conv", [8]]), "repeats 1000000000 times; expected 1 to 200"),
        (network([-1, "3", "Conv", [8]]), "repeats 3 times"),
        (network([-1, 0, "Conv", [8]]), "repeats 0 times"),
        (network([-1, 3, "C2f", [8]], depth_multiple=100), "repeats 3 times"),
        (network([-1, 3, "C2f", [8]], scales={"n": [100, 1, 8]}), "repeats 3 times"),
        (network([-1, 3, "C2f", [8]], depth_multiple=1e9), "has a number beyond 65536"),
        (network([-1, 3, "C2f", [10**400]]), "has an argument beyond 65536"),
        (network([-1, 1, "Conv", [1_000_000]]), "has an argument beyond 65536"),
        (network([-1, 1, "Conv", [float("inf")]]), "has an argument beyond"),
        (network([-1, 1, "Conv", ["9" * 400]]), "has an argument beyond"),
        (network([-1, 1, "CBLinear", [[8] * 2000]]), "has an argument beyond"),
        (network([-1, 1, "Conv", [[[[[[[[[[8]]]]]]]]]]]), "has an argument beyond"),
        (network(reg_max=1_000_000_000), "has a number beyond"),
        (network(*[CONV] * 1000), "describes 1002 layers"),
        (network([-1, 1, "Conv", [60_000, 99]]), "more than 500,000,000 parameters"),
        (network([-1, 1, "AIFI", []], [-1, 1, "AIFI", []]), "values of its layers"),  # attention of every cell to every cell
        (network([-1, 1, "nn.Upsample", ["None", 500]]), "values of its layers"),
        (network([-1, 1, "nn.ZeroPad2d", [60_000]]), "values of its layers"),
        (network([-1, 1, "Conv", [1024, 1]], [-1, 3, "nn.Conv2d", [1024, 1024, 3, 1, 1]]), "FLOPs at 256 px"),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused_at_once(description, message):
    with pytest.raises(UserError, match=message) as refusal:
        build(description, NAMES)
    assert len(str(refusal.value)) < 500


def test_too_many_classes():
    with pytest.raises(UserError, match="at most 100000"):
        build(NETWORK, {number: str(number) for number in range(cost.MOST_CLASSES + 1)})


@pytest.mark.parametrize("description", [NETWORK, CRUX_NETWORK])
def test_a_rehearsal_changes_nothing(description, monkeypatch):
    monkeypatch.setattr(detector, "REHEARSED", set())
    networks = []
    for known in (False, True):
        monkeypatch.setattr(detector, "_is_installed", lambda found, known=known: known)
        torch.manual_seed(0)
        networks.append(build(description, NAMES).state_dict())
        detector.REHEARSED.clear()
    assert all(torch.equal(networks[0][key], networks[1][key]) for key in networks[1])


def test_installed_descriptions_and_those_of_their_checkpoints_are_not_rehearsed(monkeypatch):
    monkeypatch.setattr(detector, "REHEARSED", set())
    monkeypatch.setattr("models.parse.rehearse", lambda make, channels: pytest.fail("rehearsed"))
    own = build("yolov5n", NAMES).yaml
    detector.REHEARSED.clear()
    build(own, NAMES)
    with pytest.raises(BaseException, match="rehearsed"):
        build({**own, "backbone": [*own["backbone"][:-1], [-1, 1, "SPPF", [1024, 7]]]}, NAMES)


def test_the_meter_counts_by_hand():
    """A 1 x 1 convolution of 3 to 2 channels: 8 parameters; 2 x 256 x 256 outputs, 2 x 3 FLOPs each."""
    layer = nn.Conv2d(3, 2, 1)
    layer.i, layer.f = 0, -1
    rehearse(lambda: nn.Sequential(layer.to("meta")), 3)
    meter = cost._Meter(10**9, "values")
    with torch.device("meta"), meter:
        layer(torch.zeros(1, 3, 256, 256))
    assert meter.elements == (3 + 2) * 256**2
    assert meter.flops == 2 * 256**2 * 6


def test_a_layer_of_many_operations(monkeypatch):
    """Ultralytics' block repeats its parts as often as its last argument says."""
    monkeypatch.setattr(cost, "MOST_OPERATIONS", 2000)
    with pytest.raises(UserError, match="more than 2,000 operations"):
        build(network([-1, 1, "RepNCSPELAN4", [8, 8, 8, 60_000]]), NAMES)


def test_a_bound_ends_it(monkeypatch):
    monkeypatch.setattr(cost, "MOST_OPERATIONS", 3)
    with pytest.raises(TooLarge, match="more than 3 operations"):
        rehearse(lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)), 3)
