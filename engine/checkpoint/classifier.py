"""Classifiers to and from files: a plain torchvision state dict, and safetensors that also say what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.checkpoint.state_dict import as_safetensors, differences, listed, load_strict, save_pt
from engine.checkpoint.weights import Weights, load_weights
from engine.tasks import task_of_weights
from models.classifier import HEADS, NAMES, build
from utils.errors import UserError
from utils.files import atomic_write

TASK = "classify"
USUAL_SIZE = 224


@dataclass(frozen=True)
class Recogniser:
    """A network ready to be used, what it is called, and its classes (None: the file does not say)."""

    network: nn.Module
    name: str
    names: dict[int, str] | None

    @property
    def classes(self) -> int:
        """How many it tells apart."""
        return classes_of(self.network.state_dict())


@dataclass(frozen=True)
class Classifier(Recogniser):
    """A network for images, and their size in px."""

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
    return write_files(folder, stem, network, TASK, name, {"names": dict(names), "imgsz": imgsz, **about})


def write_files(folder: Path, stem: str, network: nn.Module, task: str, name: str, about: Mapping[str, Any]) -> Path:
    """What `save_classifier` does, for any task."""
    state = {key: value.detach().cpu().clone().contiguous() for key, value in network.state_dict().items()}
    facts = {"versions": {"torch": torch.__version__}, **about}
    save_pt(folder / f"{stem}.pt", state)
    atomic_write(folder / f"{stem}.safetensors", as_safetensors(state, {"task": task, "network": name}, facts))
    return folder / f"{stem}.safetensors"


def load_classifier(path: Path, device: torch.device | str = "cpu", trust: bool = False) -> Classifier:
    """A trained classifier, in evaluation mode on `device`.

    A bare state dict takes what the .safetensors of the same name beside it says; without one it is known by its tensors,
    and was at 224 px. Raises UserError where the file holds no classifier, or not every tensor of one.
    """
    weights = load_weights(path, trust)
    said = described(path, weights, TASK)
    named = said.meta.get("network")
    name = str(named) if named is not None else network_of(weights, path)
    network = filled(build(name, classes_in(weights, path)), weights, name, path, TASK)
    size = said.meta.get("imgsz", USUAL_SIZE)
    imgsz = size if isinstance(size, int) and size > 0 else USUAL_SIZE
    return Classifier(network.to(device), name, said.names, imgsz)


def described(path: Path, weights: Weights, task: str) -> Weights:
    """The weights whose header says what `path` is: its own, or those of the same name beside a bare .pt file."""
    beside = path.with_suffix(".safetensors")
    return load_weights(beside) if beside != path and task_of_weights(beside) == task else weights


def filled(network: nn.Module, weights: Weights, name: str, path: Path, task: str) -> nn.Module:
    """The network in evaluation mode with every tensor of the file. Raises UserError, naming tensors, where they differ."""
    load_strict(network, weights.state, path, name, f"Name the weights of a run of task {task}.")
    return network.eval()


def start_from(network: nn.Module, weights: Weights, name: str, path: Path) -> str:
    """Take over every tensor, or all but the head where the file has another number of classes. Returns a note.

    Raises UserError, naming tensors, where the file belongs to another network.
    """
    classes = classes_of(weights.state)
    if classes == classes_of(network.state_dict()):
        return f"{path.name}: all {transfer(network, weights, name, path)} tensors transferred"
    count = transfer(network, weights, name, path, left_out=of_head)
    return f"{path.name}: {count} tensors transferred; its head of {classes or 'no'} classes is left out"


def transfer(
    network: nn.Module, weights: Weights, name: str, path: Path, left_out: Callable[[str], bool] = lambda key: False
) -> int:
    """Take over every tensor, but for the keys that are `left_out`. Returns how many; raises as `start_from` does."""
    state = {key: value for key, value in weights.state.items() if not left_out(key)}
    wrong = differences(state, network.state_dict(), needed=lambda key: not left_out(key))
    if wrong:
        raise UserError(
            f"--weights {path}: is not of {name}: {listed(wrong)}. Name weights with torchvision's keys, or the --cfg that they "
            "belong to."
        )
    network.load_state_dict(state, strict=False)
    return len(state)


def network_of(weights: Weights, path: Path) -> str:
    """Which network a bare state dict belongs to: the one with which most tensors agree. Raises UserError for none."""
    with torch.device("meta"):  # shapes are enough
        networks = {name: build(name, max(classes_of(weights.state), 2)) for name in NAMES}
    wrong = {name: differences(weights.state, network.state_dict()) for name, network in networks.items()}
    best = min(wrong, key=lambda name: len(wrong[name]))
    if wrong[best]:
        raise UserError(
            f"{path}: holds no classifier of ours ({', '.join(NAMES)}); against {best}, {listed(wrong[best])}. Name the "
            "weights of a run of task classify."
        )
    return best


def classes_in(weights: Weights, path: Path) -> int:
    """The number of classes of the head. Raises UserError where there is none."""
    classes = classes_of(weights.state)
    if not classes:
        raise UserError(f"{path}: holds no head, so it names no classes. Use it as --weights of a training run.")
    return classes


def classes_of(state: Mapping[str, Tensor]) -> int:
    """Rows of the head's last tensor, its biases; 0 without a head."""
    heads = [value for key, value in state.items() if of_head(key) and value.ndim]
    return len(heads[-1]) if heads else 0


def of_head(key: str) -> bool:
    """Whether a tensor belongs to the last layers of one of torchvision's networks."""
    return key.partition(".")[0] in HEADS
