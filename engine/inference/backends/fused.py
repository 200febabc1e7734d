"""Convolution and SiLU as one step of oneDNN, with weights laid out for it once: what torch.compile does, without compiling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.nn.modules.conv import Conv, DWConv  # noqa: E402


def fuse_activations(model: nn.Module) -> int:
    """Let each convolution of a fused float32 model on the CPU apply its SiLU itself. Returns how many do.

    Does nothing where torch has no oneDNN. The model can only be used without gradients afterwards.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")):
        return 0
    layers: list[Any] = [
        layer for layer in model.modules() if type(layer) in (Conv, DWConv) and isinstance(layer.act, nn.SiLU)
    ]
    for layer in layers:
        layer.forward = with_silu(layer.conv)
    return len(layers)


def with_silu(conv: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """A function of x (B, C, H, W) float32 that is SiLU(conv(x))."""
    place = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
    weight = torch._C._nn.mkldnn_reorder_conv2d_weight(conv.weight.detach().to_mkldnn(), *place)
    bias = None if conv.bias is None else conv.bias.detach()

    def forward(x: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *place, "swish", [], "")
        return found

    return forward
