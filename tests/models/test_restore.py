"""The numbers of the AERIS specification for the restoring decoder."""

from __future__ import annotations

import math

import pytest
import torch

from models.restore import RestorationBranch, RestorationDecoder


def count(module: torch.nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.parameters())


@pytest.mark.parametrize(("c1", "expected"), [(16, 34_736), (32, 41_648), (64, 55_472)])
def test_parameters(c1: int, expected: int) -> None:
    """(9 c1 + 1) 48 + 2 ((432 + 1) 16 + (144 + 1) 48)."""
    assert count(RestorationDecoder(c1)) == expected


@pytest.mark.parametrize(("c1", "expected"), [(192, 66_544), (256, 75_760), (384, 94_192)])
def test_parameters_of_the_whole_branch(c1: int, expected: int) -> None:
    """The decoder's 34,736, and 144 c1 + 4,160 of the adapter."""
    assert count(RestorationBranch(c1, (64, 64))) == expected


def test_golden() -> None:
    """Specification 7.1: parameters in the order conv_init, res_1, res_2, each linspace(-1, 1, n) / sqrt(n)."""
    decoder = RestorationDecoder(16)
    with torch.no_grad():
        for tensor in decoder.parameters():
            n = tensor.numel()
            tensor.copy_((torch.linspace(-1, 1, n) / math.sqrt(n)).view(tensor.shape))
        y = decoder(torch.sin(torch.arange(16 * 40 * 40, dtype=torch.float32)).view(1, 16, 40, 40))
    assert y.sum().item() == pytest.approx(2878.19, abs=0.05)
    assert y.abs().mean().item() == pytest.approx(0.434939, abs=1e-5)
    assert [y.min().item(), y.max().item()] == pytest.approx([-0.874685, 0.882292], abs=1e-5)
    assert y[0, 0, 0, :4].tolist() == pytest.approx([-0.717328, -0.686741, -0.656155, -0.625568], abs=1e-5)
    assert y[0, 2, 511, -3:].tolist() == pytest.approx([0.652841, 0.683148, 0.713454], abs=1e-5)


@pytest.mark.parametrize("side", [128, 160, 256, 352, 512])
def test_any_input_gives_the_fixed_size(side: int) -> None:
    assert RestorationDecoder(4, (64, 128))(torch.zeros(1, 4, side // 4, side // 8)).shape == (1, 3, 64, 128)


def test_the_branch_doubles_before_it_decodes() -> None:
    branch = RestorationBranch(8, (32, 32)).eval()
    assert branch.adapter(torch.zeros(1, 8, 3, 5)).shape == (1, 16, 6, 10)
    assert branch(torch.zeros(1, 8, 3, 5)).shape == (1, 3, 32, 32)


def test_a_size_that_cannot_be_shuffled() -> None:
    with pytest.raises(ValueError, match="30 x 32 px: both sides must be divisible by 4"):
        RestorationDecoder(16, (30, 32))
