"""Heads of BYOL (Grill et al., NeurIPS 2020) as WiiD sizes them, and the momentum update of its target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Projector(nn.Module):
    """Feature map to vector: 3x3 convolution, batch norm, ReLU, global average, two linear layers.

    Source: Watching it in Dark (ECCV 2024), detection branch. 576 * c1 + 25,280 parameters at the default sizes.

    >>> Projector(64)(torch.zeros(2, 64, 8, 8)).shape
    torch.Size([2, 128])
    """

    def __init__(self, c1: int, hidden: int = 64, out: int = 128) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(c1, hidden, 3, padding=1), nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.03), nn.ReLU(inplace=True)
        )
        self.linear = nn.Sequential(
            nn.Linear(hidden, out), nn.BatchNorm1d(out), nn.ReLU(inplace=True), nn.Linear(out, out)
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, c1, H, W). Returns (B, out). Batch norm needs B >= 2 in training."""
        return self.linear(self.stem(x))  # (B, out)

    def stem(self, x: Tensor) -> Tensor:
        """The part whose size depends on c1: (B, c1, H, W) to (B, hidden)."""
        return self.conv(x).mean((2, 3))

    @property
    def rest(self) -> list[nn.Module]:
        """The layers after the stem."""
        return [*self.linear]


class VectorProjector(nn.Sequential):
    """BYOL's projector for features that are pooled already: linear, batch norm, ReLU, linear; (B, c1) to (B, out).

    82,432 parameters from 512 to 128. Batch norm needs B >= 2 in training. Source: Watching it in Dark (ECCV 2024),
    classification branch.

    >>> sum(parameter.numel() for parameter in VectorProjector(512).parameters())
    82432
    """

    def __init__(self, c1: int, out: int = 128) -> None:
        super().__init__(nn.Linear(c1, out), nn.BatchNorm1d(out), nn.ReLU(inplace=True), nn.Linear(out, out))
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def stem(self, x: Tensor) -> Tensor:
        """The layer whose size depends on c1: (B, c1) to (B, out)."""
        result: Tensor = self[0](x)
        return result

    @property
    def rest(self) -> list[nn.Module]:
        """The layers after the stem."""
        return [*self][1:]


class Predictor(nn.Sequential):
    """Vector to vector: linear, batch norm, ReLU, linear; the asymmetry that keeps BYOL from collapsing.

    33,280 parameters at dim 128.
    """

    def __init__(self, dim: int = 128) -> None:
        super().__init__(nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.ReLU(inplace=True), nn.Linear(dim, dim))


def side_by_side(chains: Sequence[Sequence[nn.Module]], x: Tensor) -> Tensor:
    """Run equal chains of linear layers, batch norms and ReLUs as one: an operation takes a layer of all chains.

    x: (N, V, B, in), V batches for each of N chains. Returns (N, V, B, out), on the CPU the same bits as one call per chain
    and batch. Batch norms take the statistics of each batch for itself, and must have no running ones
    (`use_batch_statistics`).
    """
    number, views = x.shape[:2]
    x = x.flatten(0, 1)  # (N*V, B, in)
    for layers in zip(*chains, strict=True):
        if isinstance(layers[0], nn.ReLU):
            x = x.relu()
            continue
        weight, bias = (_of_each_view(layers, name, views) for name in ("weight", "bias"))  # (N*V, ...)
        if isinstance(layers[0], nn.Linear):
            x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))  # (N*V, B, out)
        else:
            channels = x.transpose(0, 1).flatten(1)  # (B, N*V*C): a channel of its own for each chain and batch
            normed = functional_call(layers[0], {"weight": weight.flatten(), "bias": bias.flatten()}, channels)
            x = normed.unflatten(1, weight.shape).transpose(0, 1)  # (N*V, B, C)
    return x.unflatten(0, (number, views))


def _of_each_view(layers: Iterable[nn.Module], name: str, views: int) -> Tensor:
    """A parameter of N equal layers, once per view: (N*V, ...)."""
    stacked = torch.stack([getattr(layer, name) for layer in layers])  # (N, ...)
    return stacked[:, None].expand(-1, views, *stacked.shape[1:]).flatten(0, 1)


def use_batch_statistics(root: nn.Module) -> None:
    """Let batch norms below `root` normalise by their batch and keep no running statistics, which only evaluation reads.

    The buffers stay as they are, so that what earlier versions saved can be loaded.
    """
    for module in root.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.track_running_stats = False


@torch.no_grad()
def momentum_update(target: Iterable[Tensor], online: Iterable[Tensor], momentum: float) -> None:
    """target <- momentum * target + (1 - momentum) * online, tensor by tensor, in place.

    Raises ValueError when the two sequences differ in length.
    """
    kept, new = list(target), list(online)
    if len(kept) != len(new):
        raise ValueError(f"momentum update of {len(kept)} tensors from {len(new)}")
    if kept:
        torch._foreach_lerp_(kept, [tensor.detach() for tensor in new], 1.0 - momentum)
