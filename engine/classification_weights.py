"""Classifiers to and from files: a plain torchvision state dict, and safetensors that also say what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from engine.weights import Weights, load_weights
from models.classifier import NAMES, build
from utils.files import UserError, atomic_write

USUAL_SIZE = 224
UNIMPORTANT = "num_batches_tracked"  # counters that old torchvision files lack
SHOWN = 4  # tensors that a message names


@dataclass(frozen=True)
class Classifier:
    """A network ready to be used, what it is called, its classes (None: the file does not say), and its input size in px."""

    network: nn.Module
    name: str
    names: dict[int, str] | None
    imgsz: int


def save_classifier(
    folder: Path,
    stem: str,
    network: nn.Module,
    *,
    name: str,
    names: Mapping[int, str],
    imgsz: int,
    about: Mapping[str, Any],
) -> Path:
    """Write `stem`.pt, torchvision's state dict and no more, and `stem`.safetensors, the same with a header of texts.

    about: more entries of the header, written as JSON. Returns the latter's path. Each file is whole or not there.
    """
    state = {key: value.detach().cpu().clone().contiguous() for key, value in network.state_dict().items()}
    header = {"format": "pt", "task": "classify", "network": name, "versions": json.dumps({"torch": torch.__version__})}
    header |= {"names": json.dumps(dict(names)), "imgsz": json.dumps(imgsz)}
    header |= {key: json.dumps(value) for key, value in about.items()}
    atomic_write(folder / f"{stem}.pt", lambda path: torch.save(state, path))
    atomic_write(folder / f"{stem}.safetensors", save(state, metadata=header))
    return folder / f"{stem}.safetensors"


def load_classifier(path: Path, device: torch.device | str = "cpu", trust: bool = False) -> Classifier:
    """A trained classifier, in evaluation mode on `device`. A bare state dict is known by its tensors, and was at 224 px.

    Raises UserError where the file holds no classifier, or not every tensor of one.
    """
    weights = load_weights(path, trust)
    named = weights.meta.get("network")
    name = str(named) if named is not None else network_of(weights, path)
    network = build(name, classes_in(weights, path))
    wrong = differences(network, weights.state)
    if wrong:
        raise UserError(f"{path}: does not fit {name}: {listed(wrong)}. Name the weights of a run of task classify.")
    network.load_state_dict(weights.state, strict=False)
    size = weights.meta.get("imgsz", USUAL_SIZE)
    imgsz = size if isinstance(size, int) and size > 0 else USUAL_SIZE
    return Classifier(network.float().eval().to(device), name, weights.names, imgsz)


def start_from(network: nn.Module, weights: Weights, name: str, path: Path) -> str:
    """Take over every tensor, or all but the head where the file has another number of classes. Returns a note.

    Raises UserError, naming tensors, where the file belongs to another network.
    """
    own_classes, classes = _rows(network.state_dict()), _rows(weights.state)
    state = dict(weights.state)
    if classes != own_classes:
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    wrong = differences(network, state, needed=lambda key: classes == own_classes or not key.startswith("fc."))
    if wrong:
        raise UserError(
            f"--weights {path}: is not of {name}: {listed(wrong)}. Name weights with torchvision's keys, or the --cfg that they "
            "belong to."
        )
    network.load_state_dict(state, strict=False)
    if classes == own_classes:
        return f"{path.name}: all {len(state)} tensors transferred"
    return f"{path.name}: {len(state)} tensors transferred; its head of {classes or 'no'} classes is left out"


def network_of(weights: Weights, path: Path) -> str:
    """Which network a bare state dict belongs to: the one with which most tensors agree. Raises UserError for none."""
    with torch.device("meta"):  # shapes are enough
        wrong = {name: differences(build(name, max(_rows(weights.state), 2)), weights.state) for name in NAMES}
    best = min(wrong, key=lambda name: len(wrong[name]))
    if wrong[best]:
        raise UserError(
            f"{path}: holds no classifier of ours ({', '.join(NAMES)}); against {best}, {listed(wrong[best])}. Name the "
            "weights of a run of task classify."
        )
    return best


def classes_in(weights: Weights, path: Path) -> int:
    """The number of classes of the head. Raises UserError where there is none."""
    classes = _rows(weights.state)
    if not classes:
        raise UserError(
            f"{path}: holds no head 'fc.weight', so it names no classes. Use it as --weights of a training run."
        )
    return classes


def _rows(state: Mapping[str, Tensor]) -> int:
    """Rows of the head, 0 without one."""
    return len(state["fc.weight"]) if "fc.weight" in state and state["fc.weight"].ndim == 2 else 0


def differences(network: nn.Module, state: Mapping[str, Tensor], needed: Any = lambda key: True) -> list[str]:
    """Each tensor by which a state dict does not fit a network: missing, of another shape, or without a place."""
    own = {key: value for key, value in network.state_dict().items() if UNIMPORTANT not in key}
    missing = [f"{key} is missing" for key in own if key not in state and needed(key)]
    shapes = [
        f"{key} is {_shape(state[key])} instead of {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    return shapes + missing + [f"{key} has no place" for key in state if key not in own and UNIMPORTANT not in key]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def listed(wrong: list[str]) -> str:
    """The first few differences, and how many more."""
    rest = len(wrong) - SHOWN
    return ", ".join(wrong[:SHOWN]) + (f", and {rest} more" if rest > 0 else "")
