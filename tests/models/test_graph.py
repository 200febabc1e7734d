"""Walking a small hand-made graph: 0 halves, 1 halves, 2 doubles the size, 3 joins rows 2 and 0, 4 is the head."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch.utils._pytree import tree_leaves

from models.detector import build
from models.graph import (
    CompiledNetwork,
    backbone_taps,
    descent,
    evaluating,
    layer_input,
    run_layers,
    sources,
    tapped,
)


class Join(nn.Module):
    """Sum of its inputs."""

    def forward(self, parts):
        return sum(parts)


def toy() -> nn.Sequential:
    layers = [nn.AvgPool2d(2), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), Join(), nn.Identity()]
    for number, (layer, source) in enumerate(zip(layers, [-1, -1, -1, [-1, 0], -1], strict=True)):
        layer.i, layer.f = number, source
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("source", "row", "expected"),
    [(-1, 3, []), (1, 3, [1]), (-2, 3, [1]), ([-1, 0], 3, [0]), ([-1, -3], 4, [1])],
)
def test_sources_are_absolute_rows(source, row, expected):
    layer = nn.Identity()
    layer.i, layer.f = row, source
    assert sources(layer) == expected


@pytest.mark.parametrize(("source", "expected"), [(-1, 9.0), (0, 1.0), ([-1, 0], [9.0, 1.0]), ([-3, -1], [1.0, 9.0])])
def test_layer_input(source, expected):
    layer = nn.Identity()
    layer.i, layer.f = 3, source
    found = layer_input(layer, torch.tensor(9.0), {0: torch.tensor(1.0)})
    assert (found.item() if isinstance(expected, float) else [part.item() for part in found]) == expected


def test_run_layers_by_hand():
    """An image of ones: pooling and enlarging keep ones, the join of rows 2 and 0 adds them up to twos."""
    kept = run_layers(list(toy()), torch.ones(1, 1, 8, 8), {"small": 1, "joined": 3})
    assert kept["small"].shape == (1, 1, 2, 2)
    assert torch.equal(kept["joined"], torch.full((1, 1, 4, 4), 2.0))


def test_run_layers_stops_at_the_last_kept_row():
    layers = toy()
    layers[2].forward = lambda image: pytest.fail("row 2 was run")
    assert run_layers(list(layers), torch.ones(1, 1, 8, 8), {"P": 1})["P"].shape == (1, 1, 2, 2)


@pytest.mark.parametrize("keep", [{}, {"P": 5}, {"P": -1}])
def test_run_layers_names_rows_that_are_not_there(keep):
    with pytest.raises(ValueError, match="must lie in 0..4"):
        run_layers(list(toy()), torch.ones(1, 1, 8, 8), keep)


def test_run_layers_passes_gradients():
    image = torch.ones(1, 1, 8, 8, requires_grad=True)
    run_layers(list(toy()), image, {"P": 3})["P"].sum().backward()
    # 16 cells of weight 1 from row 0, and as much again from row 2; each pools 4 pixels: 32 / 64 per pixel
    assert torch.allclose(image.grad, torch.full((1, 1, 8, 8), 0.5))


def test_descent_ends_where_the_graph_goes_up():
    shapes = descent(list(toy()), torch.ones(1, 1, 8, 8))
    assert [(shape.index, shape.channels, shape.stride) for shape in shapes] == [(0, 1, 2.0), (1, 1, 4.0)]


def test_descent_reads_the_widest_of_several_inputs():
    """Rows of one size joined keep their size, so the walk goes on; the head is not run."""
    layers = nn.Sequential(nn.AvgPool2d(2), nn.Identity(), Join(), nn.Identity())
    for number, (layer, source) in enumerate(zip(layers, [-1, -1, [-1, 0], -1], strict=True)):
        layer.i, layer.f = number, source
    assert [shape.index for shape in descent(list(layers), torch.ones(1, 1, 8, 8))] == [0, 1, 2]


def test_evaluating_restores_each_mode():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Sequential(nn.BatchNorm2d(1), nn.Dropout()))
    model[1][0].eval()  # frozen by hand
    before = [part.training for part in model.modules()]
    with evaluating(model):
        assert not any(part.training for part in model.modules())
        assert not torch.is_grad_enabled()
        model(torch.rand(2, 1, 4, 4))
    assert [part.training for part in model.modules()] == before
    assert model[0].num_batches_tracked == 0


def test_evaluating_restores_after_an_error():
    model = nn.BatchNorm2d(1)
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert model.training
    assert torch.is_grad_enabled()


class Stumbling(nn.Module):
    """A network that cannot be one graph."""

    def forward(self, image):
        torch._dynamo.graph_break()
        return image + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolov8n-crux", "yolo26n"])
def test_a_network_compiles_as_one_graph(name):
    """For both views of a step; predictions, taps and batch statistics are those of the network as written.

    torch's own compiler makes faster code of the same graph: the backend here runs it as it stands.
    """
    torch._dynamo.reset()
    torch.manual_seed(0)
    detector = build(name, {0: "a", 1: "b"}).train()
    plain, before = deepcopy(detector), counters["stats"]["unique_graphs"]
    compiled = CompiledNetwork(detector, taps := backbone_taps(detector), backend="eager")
    for image in torch.rand(2, 2, 3, 64, 64):
        with tapped(plain, taps) as wanted:
            predictions = plain(image)
        found = tree_leaves(compiled(image))
        assert all(torch.equal(*pair) for pair in zip(found, tree_leaves((predictions, wanted)), strict=True))
    assert compiled.notes() == ["compile: the network is one graph"]
    assert counters["stats"]["unique_graphs"] - before == 1
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in detector.state_dict().items())


def test_a_break_of_the_graph_is_told_with_its_reason():
    torch._dynamo.reset()
    compiled = CompiledNetwork(Stumbling(), {}, backend="eager")
    assert compiled(torch.zeros(1))[0].item() == 1
    first, reason = compiled.notes()
    assert first.endswith("graph breaks, at each of which the network runs as written")
    assert "graph_break" in reason
