"""Clip classifiers to and from files: torchvision's state dict as .pt, and safetensors that also say what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data.video.dataset import ClipShape
from engine.checkpoint.classifier import (
    Recogniser,
    classes_in,
    described,
    filled,
    of_head,
    transfer,
    write_files,
)  # fmt: skip
from engine.checkpoint.state_dict import differences
from engine.checkpoint.weights import Weights, load_weights
from models.action import INPUTS, build, check_clip
from utils.errors import UserError

TASK = "action"


@dataclass(frozen=True)
class ClipClassifier(Recogniser):
    """A network for clips, and what a clip is."""

    shape: ClipShape


def save_clip_classifier(
    folder: Path,
    stem: str,
    network: nn.Module,
    *,
    name: str,
    names: Mapping[int, str],
    shape: ClipShape,
    about: Mapping[str, Any],
) -> Path:
    """Write `stem`.pt, torchvision's state dict and no more, and `stem`.safetensors, the same with a header of texts.

    about: more entries of the header, written as JSON. Returns the latter's path. Each file is whole or not there.
    """
    return write_files(folder, stem, network, TASK, name, {"names": dict(names), "clip": vars(shape), **about})


def load_clip_classifier(path: Path, device: torch.device | str = "cpu", trust: bool = False) -> ClipClassifier:
    """A trained clip classifier, in evaluation mode on `device`.

    A bare state dict takes what the .safetensors of the same name beside it says; without one it is known by its tensors,
    and had 16 frames at an interval of 2 in the network's usual size. Raises UserError where the file holds no clip
    classifier, or not every tensor of one.
    """
    weights = load_weights(path, trust)
    said = described(path, weights, TASK)
    name = str(said.meta["network"]) if "network" in said.meta else network_of(weights, path)
    network = filled(build(name, classes_in(weights, path)), weights, name, path, TASK)
    return ClipClassifier(network.to(device), name, said.names, _shape(said.meta.get("clip"), name, path))


def _shape(said: Any, name: str, path: Path) -> ClipShape:
    """The clip that the header states, or the usual one."""
    usual = ClipShape(size=INPUTS[name].size)
    if not isinstance(said, dict):
        return usual
    values = [said.get(key) for key in vars(usual)]
    if not all(isinstance(value, int) and value > 0 for value in values):
        raise UserError(f"{path}: its header has no sensible clip ({said}). Train again, or use the .pt file.")
    shape = ClipShape(*(int(value) for value in values if value))
    check_clip(name, shape.frames, shape.size)
    return shape


def start_from(network: nn.Module, weights: Weights, name: str, path: Path) -> str:
    """Take over every tensor, or all but the head where the file has another number of classes. Returns a note.

    Raises UserError, naming tensors, where the file belongs to another network.
    """
    own = network.state_dict()
    other = any(of_head(key) and key in own and value.shape != own[key].shape for key, value in weights.state.items())
    if not other:
        return f"{path.name}: {transfer(network, weights, name, path)} tensors transferred"
    count = transfer(network, weights, name, path, left_out=of_head)
    return f"{path.name}: {count} tensors transferred; its head of other classes is left out"


def network_of(weights: Weights, path: Path) -> str:
    """Which network a bare state dict belongs to: the one whose tensors it has. Raises UserError for none."""
    if any(value.ndim == 5 for value in weights.state.values()):  # these filter clips
        for name in INPUTS:
            with torch.device("meta"):  # shapes are enough
                network = build(name, classes_in(weights, path))
            if not differences(weights.state, network.state_dict()):
                return name
    raise UserError(
        f"{path}: holds no clip classifier of ours ({', '.join(INPUTS)}). Name the weights of a run of task action."
    )
