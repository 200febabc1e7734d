"""The numbers of the LCP specification: the catch-up loss and the order of the turns."""

from __future__ import annotations

import math

import pytest
import torch

from methods.lcp import alternation, catch_up_loss


def ramp(*shape: int) -> torch.Tensor:
    return torch.cos(0.11 * torch.arange(math.prod(shape), dtype=torch.float64)).view(shape)


RAMP = ramp(2, 3, 4, 4)
ZERO = torch.zeros_like(RAMP)


@pytest.mark.parametrize(
    ("low_quality", "favoured", "expected"),
    [
        (RAMP, RAMP, 0.0),
        (RAMP, RAMP + 7, 0.0),  # a constant changes nothing
        (ZERO, RAMP, 0.225928234602),
        (RAMP, ZERO, 0.247370724000),
        (ZERO, 2 * RAMP, 0.629238948491),  # the scale does
        (torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.75, 0.25]]]]).log(), 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
        (torch.zeros(1, 4, 1, 1), torch.tensor([60.0, 0, 0, 0]).view(1, 4, 1, 1), math.log(4)),
    ],
)
def test_loss_by_hand(low_quality: torch.Tensor, favoured: torch.Tensor, expected: float) -> None:
    assert catch_up_loss(low_quality, favoured, weight=1.0).item() == pytest.approx(expected, abs=1e-7)
    assert catch_up_loss(low_quality, favoured).item() == pytest.approx(100 * expected, abs=1e-5)


def test_identical_samples_count_as_one() -> None:
    four = [map_.expand(4, -1, -1, -1) for map_ in (ZERO[:1], RAMP[:1])]
    assert catch_up_loss(*four).item() == pytest.approx(catch_up_loss(ZERO[:1], RAMP[:1]).item())


def test_gradient_is_the_difference_of_the_distributions() -> None:
    """weight * (softmax(q) - softmax(d)) / B, and nothing for the favoured side."""
    q, d = ramp(2, 1, 3, 3).requires_grad_(), ramp(2, 1, 3, 3).flip(0).clone().requires_grad_()
    catch_up_loss(q, d, weight=3.0).backward()
    expected = 3 / 2 * (q.flatten(1).softmax(1) - d.flatten(1).softmax(1)).view_as(q)
    assert q.grad is not None and torch.allclose(q.grad, expected) and d.grad is None


def test_half_precision_is_widened() -> None:
    assert catch_up_loss(ZERO.half(), RAMP.half()).dtype == torch.float32


def test_unequal_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\) and \(1, 3, 4, 4\)"):
        catch_up_loss(RAMP, RAMP[:1])


@pytest.mark.parametrize(
    ("epochs", "letters"),
    [
        (24, "UUUUUUCCCCCCUCUCUCUCUCUC"),
        (12, "UUUCCCUCUCUC"),
        (8, "UUCCUCUC"),
        (4, "UCUC"),
        (5, "UCCUC"),  # a quarter is 1; 3 remain: one more C, then in turn
        (2, "UC"),
        (1, "C"),
    ],
)
def test_the_turns(epochs: int, letters: str) -> None:
    assert alternation(epochs) == letters


@pytest.mark.parametrize("epochs", range(1, 60))
def test_the_last_turn_is_always_the_detectors(epochs: int) -> None:
    letters = alternation(epochs)
    assert len(letters) == epochs and letters[-1] == "C" and set(letters) <= {"U", "C"}


def test_no_epoch_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one epoch"):
        alternation(0)
