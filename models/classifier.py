"""Classifiers: torchvision's ResNets as they are, and the form in which networks of images and clips train.

The networks are torchvision's own classes with torchvision's names of tensors, so that weights go either way. Nothing is
ever downloaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn
from torchvision import models

from models.normalize import IMAGENET, Normalize
from utils.errors import UserError, suggestion

NAMES = ("resnet18", "resnet50")
HEADS = ("fc", "classifier", "head")  # where torchvision's families keep their last layers


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
        raise UserError(f"model {name}: {classes} classes are too few; list at least two names in the data YAML.")
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


class LabelLoss(nn.CrossEntropyLoss):
    """Cross-entropy of a batch's `cls`, in the form of Ultralytics' criteria, logged as `day`."""

    def forward(self, predictions: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:  # type: ignore[override]
        """predictions: logits (B, classes). Returns the mean over the batch, and its detached self."""
        loss = super().forward(predictions, batch["cls"])
        return loss, {"day": loss.detach()}


class ClassificationModel(nn.Module):
    """One of torchvision's networks for views in [0, 1], whose pooled features pass through `features` while it trains."""

    def __init__(self, network: nn.Module, normalize: Normalize = IMAGENET) -> None:
        super().__init__()
        self.network, self.normalize = network, normalize
        self.features = nn.Identity()

    @property
    def width(self) -> int:
        """How many pooled features the head reads: 512 for resnet18, 1024 for s3d. Raises ValueError for an unknown head."""
        for layer in head(self.network).modules():
            if isinstance(layer, nn.Linear):
                return layer.in_features
            if isinstance(layer, nn.Conv3d):
                return layer.in_channels
        raise ValueError(f"the head of {type(self.network).__name__} has no layer that reads features")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) or (B, 3, T, H, W) to logits (B, classes)."""
        if not self.training:
            scores: Tensor = self.network(self.normalize(x))
            return scores
        logits, pooled = logits_and_features(self.network, self.normalize(x))
        self.features(pooled)
        return logits

    def pooled(self, x: Tensor) -> Tensor:
        """The same views to the pooled features (B, D)."""
        return logits_and_features(self.network, self.normalize(x))[1]

    def init_criterion(self) -> LabelLoss:
        """The task loss."""
        return LabelLoss()
