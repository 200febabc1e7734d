"""Clip classifiers: torchvision's video networks as they are, and what each of them takes in.

Names of tensors are torchvision's, so that its Kinetics weights load where someone has them. Nothing is ever downloaded.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from models.classifier import ClassificationModel, torchvision_network
from models.normalize import HALVES, IMAGENET, KINETICS, Normalize
from utils.errors import UserError


class ClipInput(NamedTuple):
    """What a network takes: the usual side in px, how clips in [0, 1] are normalised, and the least it works on.

    `exact`: only clips of exactly `least_frames` frames and `least_size` px.
    """

    size: int
    normalize: Normalize
    least_frames: int = 1
    least_size: int = 16
    exact: bool = False


INPUTS: dict[str, ClipInput] = {
    "r3d_18": ClipInput(112, KINETICS),
    "mc3_18": ClipInput(112, KINETICS),
    "r2plus1d_18": ClipInput(112, KINETICS),
    "s3d": ClipInput(224, KINETICS, least_frames=13, least_size=209),  # averages 2 x 7 x 7 cells at stride 8 x 32
    "swin3d_t": ClipInput(224, IMAGENET, least_size=32),
    "mvit_v2_s": ClipInput(224, HALVES, least_frames=16, least_size=224, exact=True),
}


def build(name: str, classes: int) -> nn.Module:
    """A fresh network of INPUTS for clips RGB (B, 3, T, H, W), normalised; logits (B, classes).

    `models.classifier.logits_and_features` gives its pooled features. Raises UserError for another name or fewer than
    two classes.
    """
    return torchvision_network(name, classes, INPUTS)


def model_of(network: nn.Module, name: str) -> ClassificationModel:
    """One of these networks for clips (B, 3, T, H, W) in [0, 1]."""
    return ClassificationModel(network, INPUTS[name].normalize)


def check_clip(name: str, frames: int, size: int) -> None:
    """Raise UserError where the network cannot take clips of so many frames and so many px per side."""
    wants = INPUTS[name]
    if wants.exact and (frames, size) != (wants.least_frames, wants.least_size):
        raise UserError(
            f"model {name}: it takes clips of exactly {wants.least_frames} frames at {wants.least_size} px, not {frames} "
            f"at {size} px. Set these, or take another model."
        )
    if frames < wants.least_frames or size < wants.least_size:
        raise UserError(
            f"model {name}: clips of {frames} frames at {size} px are too small; it needs {wants.least_frames} frames and "
            f"{wants.least_size} px or more. Raise them (usual are 16 frames at {wants.size} px), or take another model."
        )
