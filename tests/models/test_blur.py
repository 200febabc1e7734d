"""Blurred resampling by hand, and the filters as published networks store them (specification 2.8)."""

from __future__ import annotations

import pytest
import torch

from models.blur import BlurDown, BlurUp


@pytest.mark.parametrize(
    ("layer", "taps", "total"),
    [(BlurDown(5), [1, 2, 1], 1.0), (BlurUp(5), [1, 3, 3, 1], 4.0)],
)
def test_filters_are_buffers_of_one_copy_a_channel(layer, taps, total):
    """[1,2,1] x [1,2,1] / 16 sums to 1; [1,3,3,1] x [1,3,3,1] / 16 sums to 64 / 16 = 4."""
    row = torch.tensor(taps, dtype=torch.float32)
    assert list(layer.state_dict()) == ["filt"] and not list(layer.parameters())
    assert layer.filt.shape == (5, 1, len(taps), len(taps))
    assert torch.allclose(layer.filt[3, 0], torch.outer(row, row) / 16)
    assert float(layer.filt[0].sum()) == pytest.approx(total)


def test_down_by_hand():
    """Columns 0, 4, 8, 0 mirrored: (4 + 2*0 + 4) / 4 = 2 around column 0, (4 + 2*8 + 0) / 4 = 5 around column 2."""
    image = torch.tensor([0.0, 4.0, 8.0, 0.0]).expand(1, 1, 4, 4)
    assert BlurDown(1)(image)[0, 0].tolist() == [[2.0, 5.0], [2.0, 5.0]]


def test_up_by_hand():
    """Columns 0, 4: each new column is 3/4 of the nearer and 1/4 of the other, and the border repeats."""
    image = torch.tensor([0.0, 4.0]).expand(1, 1, 2, 2)
    assert BlurUp(1)(image)[0, 0].tolist() == [[0.0, 1.0, 3.0, 4.0]] * 4


@pytest.mark.parametrize(("layer", "side", "expected"), [(BlurDown, 7, 4), (BlurDown, 8, 4), (BlurUp, 5, 10)])
def test_sizes_and_even_images(layer, side, expected):
    """An even image stays even, whatever its border."""
    made = layer(3)(torch.full((2, 3, side, side), 0.7))
    assert made.shape == (2, 3, expected, expected)
    assert torch.allclose(made, torch.tensor(0.7))


def test_channels_do_not_mix():
    image = torch.zeros(1, 2, 4, 4)
    image[:, 1] = 1.0
    assert BlurUp(2)(image)[0, 0].abs().max() == 0
