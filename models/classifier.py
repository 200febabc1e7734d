"""Classifiers: torchvision's ResNets as they are, and what WiiD hangs on their pooled features while they train.

The networks are torchvision's own classes with torchvision's names of tensors, so that weights go either way. Nothing is
ever downloaded.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn
from torchvision import models

from utils.errors import UserError, suggestion

NAMES = ("resnet18", "resnet50")
HEADS = ("fc", "classifier", "head")  # where torchvision's families keep their last layers
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB, as torchvision's weights expect


def build(name: str, classes: int) -> nn.Module:
    """A fresh `resnet18` or `resnet50` for RGB (B, 3, H, W), ImageNet-normalised; logits (B, classes).

    resnet18 with 10 classes has 11,181,642 parameters. Raises UserError for another name or fewer than two classes.
    """
    return torchvision_network(name, classes, NAMES)


def torchvision_network(name: str, classes: int, known: Collection[str]) -> nn.Module:
    """torchvision's network of that name with fresh weights. Raises UserError unless it is `known` and has 2 classes."""
    if name not in known:
        raise UserError(
            f"model {name!r}: there is no such network for this task.{suggestion(name, known)} "
            f"Known are {', '.join(known)}; name one of them."
        )
    if classes < 2:
        raise UserError(
            f"model {name}: {classes} classes cannot be told apart; list at least two names in the data YAML."
        )
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    return network


def head(network: nn.Module) -> nn.Module:
    """The last layer or layers, which turn pooled features into logits. Raises ValueError where there is none."""
    for name in HEADS:
        layer = getattr(network, name, None)
        if isinstance(layer, nn.Module):
            return layer
    raise ValueError(f"{type(network).__name__} has none of the heads of torchvision's networks: {', '.join(HEADS)}")


def logits_and_features(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """One forward of any network of ours: logits (B, classes), and the pooled features (B, D) that the head read.

    D is 512 for resnet18 and 2048 for resnet50. Gradients flow through both. The network is left as it was.
    """
    read: list[Tensor] = []
    hook = head(network).register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        logits = network(x)
    finally:
        hook.remove()
    return logits, read[0].flatten(2).mean(2) if read[0].ndim > 2 else read[0]  # s3d averages over time last of all


def normalise(image: Tensor) -> Tensor:
    """Images (B, 3, H, W) RGB in [0, 1] to what the networks were made for; ImageNet's mean colour becomes 0."""
    mean, deviation = (image.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (image - mean) / deviation


class VectorProjector(nn.Sequential):
    """BYOL's projector for features that are pooled already: linear, batch norm, ReLU, linear; (B, c1) to (B, out).

    82,432 parameters from 512 to 128. Batch norm needs B >= 2 in training. Source: Watching it in Dark (ECCV 2024),
    classification branch. The feature-map projector and the predictor are in models/byol.py.

    >>> sum(parameter.numel() for parameter in VectorProjector(512).parameters())
    82432
    """

    def __init__(self, c1: int, out: int = 128) -> None:
        super().__init__(nn.Linear(c1, out), nn.BatchNorm1d(out), nn.ReLU(inplace=True), nn.Linear(out, out))
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
