"""A convolution that applies its SiLU itself gives what the two give one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.inference.backends.fused import fuse_activations, with_silu
from models.detector import build

pytestmark = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_convolution_pointwise"), reason="no oneDNN here")


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"groups": 4}, {"bias": False}, {"dilation": 2}])
@torch.no_grad()
def test_one_convolution(settings: dict) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, **settings)
    x = torch.rand(2, 8, 20, 24)
    for image in (x, x.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(with_silu(conv)(image), nn.functional.silu(conv(x)), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_detector() -> None:
    torch.manual_seed(0)
    model = build("yolov8n", {0: "a"}).eval().fuse(verbose=False)
    x = torch.rand(1, 3, 64, 96)
    expected = model(x)[0]
    assert fuse_activations(model) > 50
    torch.testing.assert_close(model(x)[0], expected, atol=1e-3, rtol=1e-4)
