"""Sizes and outputs of the BYOL heads, against the numbers of the WiiD specification."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.byol import Predictor, Projector, VectorProjector, momentum_update, side_by_side, use_batch_statistics


def filled(module: nn.Module, value: float = 0.01) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module.eval()


@pytest.mark.parametrize(
    ("channels", "parameters"),
    [(64, 62_144), (128, 99_008), (192, 135_872), (256, 172_736), (384, 246_464), (512, 320_192)],
)
def test_projector_parameters(channels: int, parameters: int) -> None:
    """576 * c1 + 25,280."""
    assert sum(p.numel() for p in Projector(channels).parameters()) == parameters == 576 * channels + 25_280


def test_predictor_parameters() -> None:
    """Two linear layers of 128 * 128 + 128 and a batch norm of 2 * 128."""
    assert sum(p.numel() for p in Predictor().parameters()) == 33_280 == 2 * (128 * 128 + 128) + 2 * 128


@pytest.mark.parametrize(
    ("channels", "side", "expected"), [(64, 8, 0.0234070), (128, 4, 0.0236658), (128, 2, 0.0234300)]
)
def test_projector_on_ones(channels: int, side: int, expected: float) -> None:
    out = filled(Projector(channels))(torch.ones(1, channels, side, side))
    assert out.shape == (1, 128)
    assert out[0, 0].item() == pytest.approx(expected, abs=5e-8)


@pytest.mark.parametrize(
    ("channels", "side", "expected"), [(64, 8, 0.0233115), (128, 4, 0.0233157), (128, 2, 0.0233119)]
)
def test_predictor_after_projector(channels: int, side: int, expected: float) -> None:
    out = filled(Predictor())(filled(Projector(channels))(torch.ones(1, channels, side, side)))
    assert out[0, 0].item() == pytest.approx(expected, abs=5e-8)
    assert F.normalize(out)[0, 0].item() == pytest.approx(0.0883883, abs=1e-7)  # 1 / sqrt(128)


def test_predictor_on_ones_by_hand() -> None:
    """(1.29 * 0.01 / sqrt(1 + 1e-5) + 0.01) * 1.28 + 0.01: 128 * 0.01 + 0.01 in, weight and bias 0.01, 128 terms of 0.01."""
    out = filled(Predictor())(torch.ones(1, 128))
    expected = (1.29 * 0.01 / (1 + 1e-5) ** 0.5 + 0.01) * 1.28 + 0.01
    assert out[0, 0].item() == pytest.approx(expected, abs=1e-7) == pytest.approx(0.0393119, abs=5e-8)


def test_batch_norms_as_published() -> None:
    projector = Projector(8)
    assert (projector.conv[1].eps, projector.conv[1].momentum) == (1e-3, 0.03)
    assert (projector.linear[1].eps, projector.linear[1].momentum) == (1e-5, 0.1)


def test_momentum_update_by_hand() -> None:
    """0.75 * 4 + 0.25 * 8 = 5."""
    target, online = torch.full((2,), 4.0), torch.full((2,), 8.0, requires_grad=True)
    momentum_update([target], [online], 0.75)
    assert target.tolist() == [5.0, 5.0] and not target.requires_grad


def test_momentum_update_wants_equal_counts() -> None:
    with pytest.raises(ValueError, match="1 tensors from 0"):
        momentum_update([torch.ones(1)], [], 0.9)


def test_vector_projector_by_hand() -> None:
    """All parameters 0.01, evaluation, ones (512): linear 512 * .01 + .01 = 5.13; batch norm x / sqrt(1 + 1e-5) * .01 + .01

    = .0612997; ReLU keeps it; linear 128 * .0612997 * .01 + .01 = .0884636. The predictor has 33,280 parameters.
    """
    projector = VectorProjector(512).eval()
    for parameter in projector.parameters():
        nn.init.constant_(parameter, 0.01)
    inner = 5.13 / math.sqrt(1 + 1e-5) * 0.01 + 0.01
    assert projector(torch.ones(1, 512))[0].tolist() == pytest.approx([128 * inner * 0.01 + 0.01] * 128)
    assert projector(torch.ones(1, 512))[0, 0].item() == pytest.approx(0.0884636, abs=1e-6)
    assert (sum(p.numel() for p in projector.parameters()), sum(p.numel() for p in Predictor().parameters())) == (
        82_432,
        33_280,
    )


def test_chains_side_by_side_by_hand() -> None:
    """Chains x -> 2x + 1 and x -> -x, then ReLU: 1 -> 3 and 0, -1 -> 0 and 1; two batches of one row each."""
    chains = [[nn.Linear(1, 1), nn.ReLU()] for _ in range(2)]
    for (linear, _), weight, bias in zip(chains, (2.0, -1.0), (1.0, 0.0), strict=True):
        nn.init.constant_(linear.weight, weight)
        nn.init.constant_(linear.bias, bias)
    x = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1).expand(2, 2, 1, 1)
    assert side_by_side(chains, x).flatten(1).tolist() == [[3, 0], [0, 1]]


@pytest.mark.parametrize("chains", [1, 3])
@pytest.mark.parametrize("batch", [2, 8])
def test_chains_side_by_side_equal_one_call_each(chains: int, batch: int) -> None:
    """Values and gradients bit for bit: each chain and batch has batch statistics of its own."""
    torch.manual_seed(0)
    heads = [nn.Sequential(*Projector(8).linear, *Predictor()) for _ in range(chains)]
    weights = [weight for head in heads for weight in head.parameters()]
    x = torch.randn(chains, 2, batch, 64)
    wanted = torch.stack([torch.stack([head(rows) for rows in both]) for head, both in zip(heads, x, strict=True)])
    use_batch_statistics(nn.ModuleList(heads))
    found = side_by_side([[*head] for head in heads], x)
    assert torch.equal(found, wanted)
    for one, other in zip(*(torch.autograd.grad(y.square().sum(), weights) for y in (found, wanted)), strict=True):
        assert torch.equal(one, other)


def test_without_running_statistics_buffers_stay() -> None:
    norm = nn.BatchNorm1d(2)
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    wanted = norm(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    norm.load_state_dict(state)
    use_batch_statistics(norm)
    assert torch.equal(norm(torch.tensor([[0.0, 1.0], [2.0, 5.0]])), wanted)
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())
