"""Clip classifiers to and from files: torchvision's state dict as .pt, and safetensors that also say what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from data.clips import ClipShape
from engine.classification_weights import UNIMPORTANT, differences, listed
from engine.tasks import task_of_weights
from engine.weights import Weights, load_weights
from models.action import INPUTS, build, check_clip
from models.classifier import HEADS
from utils.files import UserError, atomic_write

TASK = "action"


@dataclass(frozen=True)
class ClipClassifier:
    """A network ready to be used, what it is called, its classes (None: the file does not say), and what a clip is."""

    network: nn.Module
    name: str
    names: dict[int, str] | None
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
    state = {key: value.detach().cpu().clone().contiguous() for key, value in network.state_dict().items()}
    header = {"format": "pt", "task": TASK, "network": name, "versions": json.dumps({"torch": torch.__version__})}
    header |= {"names": json.dumps(dict(names)), "clip": json.dumps(vars(shape))}
    header |= {key: json.dumps(value) for key, value in about.items()}
    atomic_write(folder / f"{stem}.pt", lambda path: torch.save(state, path))
    atomic_write(folder / f"{stem}.safetensors", save(state, metadata=header))
    return folder / f"{stem}.safetensors"


def load_clip_classifier(path: Path, device: torch.device | str = "cpu", trust: bool = False) -> ClipClassifier:
    """A trained clip classifier, in evaluation mode on `device`.

    A bare state dict takes what the .safetensors of the same name beside it says; without one it is known by its tensors,
    and had 16 frames at an interval of 2 in the network's usual size. Raises UserError where the file holds no clip
    classifier, or not every tensor of one.
    """
    weights = load_weights(path, trust)
    beside = companion(path)
    said = load_weights(beside) if beside is not None and beside != path else weights
    name = str(said.meta["network"]) if "network" in said.meta else network_of(weights, path)
    network = build(name, classes_in(weights, path))
    wrong = differences(network, weights.state)
    if wrong:
        raise UserError(f"{path}: does not fit {name}: {listed(wrong)}. Name the weights of a run of task action.")
    network.load_state_dict(weights.state, strict=False)
    shape = _shape(said.meta.get("clip"), name, path)
    return ClipClassifier(network.float().eval().to(device), name, said.names, shape)


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


def companion(path: Path) -> Path | None:
    """The .safetensors file that says what `path` is: itself, or the one of the same name beside a .pt file."""
    candidate = path.with_suffix(".safetensors")
    return candidate if task_of_weights(candidate) == TASK else None


def start_from(network: nn.Module, weights: Weights, name: str, path: Path) -> str:
    """Take over every tensor, or all but the head where the file has another number of classes. Returns a note.

    Raises UserError, naming tensors, where the file belongs to another network.
    """
    own = {key: value.shape for key, value in network.state_dict().items()}
    other_head = any(_of_head(key) and key in own and value.shape != own[key] for key, value in weights.state.items())
    state = {key: value for key, value in weights.state.items() if not (other_head and _of_head(key))}
    wrong = differences(network, state, needed=lambda key: not (other_head and _of_head(key)))
    if wrong:
        raise UserError(
            f"--weights {path}: is not of {name}: {listed(wrong)}. Name weights with torchvision's keys, or the --cfg that they "
            "belong to."
        )
    network.load_state_dict(state, strict=False)
    left = "; its head of other classes is left out" if other_head else ""
    return f"{path.name}: {len(state)} tensors transferred{left}"


def _of_head(key: str) -> bool:
    return key.partition(".")[0] in HEADS


def network_of(weights: Weights, path: Path) -> str:
    """Which network a bare state dict belongs to: the one whose tensors it has. Raises UserError for none."""
    keys = {key for key in weights.state if UNIMPORTANT not in key}
    known = INPUTS if any(value.ndim == 5 for value in weights.state.values()) else ()  # none filters clips
    shapes = {key: tuple(value.shape) for key, value in weights.state.items()}
    with torch.device("meta"):
        networks = {name: build(name, classes_in(weights, path)).state_dict() for name in known}
    for name, state in networks.items():
        if keys == {k for k in state if UNIMPORTANT not in k} and all(tuple(state[k].shape) == shapes[k] for k in keys):
            return name
    raise UserError(
        f"{path}: holds no clip classifier of ours ({', '.join(INPUTS)}). Name the weights of a run of task action."
    )


def classes_in(weights: Weights, path: Path) -> int:
    """The number of classes of the head. Raises UserError where there is none."""
    heads = [value for key, value in weights.state.items() if _of_head(key) and value.ndim == 1]
    if not heads:
        raise UserError(f"{path}: holds no head, so it names no classes. Use it as --weights of a training run.")
    return len(heads[-1])
