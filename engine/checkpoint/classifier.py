"""Classifiers of images and of clips: a plain torchvision state dict, and safetensors that also say what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from data.video.dataset import ClipShape
from engine.checkpoint.state_dict import as_safetensors, differences, listed, load_strict, refuse_broken, save_pt
from engine.checkpoint.weights import Weights, load_weights
from engine.tasks import task_of_weights
from models import action, classifier
from models.classifier import HEADS, ClassificationModel
from utils.errors import UserError
from utils.files import atomic_write

IMAGES, CLIPS = "classify", "action"  # the tasks
USUAL_SIZE = 224  # px, of images


class ModelFamily(NamedTuple):
    """What a task calls its models, the networks that it knows, and how they are built and take views in [0, 1]."""

    noun: str
    networks: Iterable[str]
    build: Callable[[str, int], nn.Module]
    model: Callable[[nn.Module, str], ClassificationModel]


KINDS = {
    IMAGES: ModelFamily(
        "classifier", classifier.NAMES, classifier.build, lambda network, name: ClassificationModel(network)
    ),
    CLIPS: ModelFamily("clip classifier", action.INPUTS, action.build, action.model_of),
}


@dataclass(frozen=True)
class LoadedClassifier:
    """A model ready to be used, what its network is called, its classes (None: the file does not say), and what it saw."""

    model: ClassificationModel
    name: str
    names: dict[int, str] | None
    shape: ClipShape  # of images, its size alone counts

    @property
    def classes(self) -> int:
        """How many it has."""
        return classes_of(self.model.network.state_dict())


def save_classifier(
    folder: Path, stem: str, network: nn.Module, *, task: str, name: str, facts: Mapping[str, Any]
) -> Path:
    """Write `stem`.pt, torchvision's state dict and no more, and `stem`.safetensors, the same with a header of texts.

    name: of the network; facts: entries of the header, written as JSON: `names`, and `imgsz` or `clip`, are read again.
    Returns the latter's path. Each file is whole or not there.
    """
    state = {key: value.detach().cpu().clone().contiguous() for key, value in network.state_dict().items()}
    refuse_broken(state)
    facts = {"versions": {"torch": torch.__version__}, **facts}
    save_pt(folder / f"{stem}.pt", state)
    atomic_write(folder / f"{stem}.safetensors", as_safetensors(state, {"task": task, "network": name}, facts))
    return folder / f"{stem}.safetensors"


def load_classifier(path: Path, task: str, device: torch.device | str = "cpu", trust: bool = False) -> LoadedClassifier:
    """A trained classifier of a task, in evaluation mode on `device`.

    A bare state dict takes what the .safetensors of the same name beside it says; without one it is known by its tensors,
    and saw images of 224 px, or 16 frames at an interval of 2 in the network's usual size. Raises UserError where the file
    holds no classifier of the task, or not every tensor of one.
    """
    weights = load_weights(path, trust)
    header = described(path, weights, task)
    name = str(header.meta["network"]) if "network" in header.meta else network_of(weights, path, task)
    network = KINDS[task].build(name, classes_in(weights, path))
    load_strict(network, weights.state, path, name, f"Name the weights of a run of task {task}.")
    model = KINDS[task].model(network, name).eval().to(device)
    return LoadedClassifier(model, name, header.names, _shape(header.meta, name, path, task))


def _shape(meta: Mapping[str, Any], name: str, path: Path, task: str) -> ClipShape:
    """The image size or the clip that the header states, or the usual one."""
    if task == IMAGES:
        size = meta.get("imgsz")
        return ClipShape(size=size if isinstance(size, int) and size > 0 else USUAL_SIZE)
    clip, usual = meta.get("clip"), ClipShape(size=action.INPUTS[name].size)
    if not isinstance(clip, dict):
        return usual
    values = [clip.get(key) for key in vars(usual)]
    if not all(isinstance(value, int) and value > 0 for value in values):
        raise UserError(f"{path}: its header has no valid clip ({clip}). Train again, or use the .pt file.")
    shape = ClipShape(*(int(value) for value in values if value))
    action.check_clip(name, shape.frames, shape.size)
    return shape


def described(path: Path, weights: Weights, task: str) -> Weights:
    """The weights whose header says what `path` is: its own, or those of the same name beside a bare .pt file."""
    beside = path.with_suffix(".safetensors")
    return load_weights(beside) if beside != path and task_of_weights(beside) == task else weights


def start_from(network: nn.Module, weights: Weights, name: str, path: Path) -> str:
    """Load every tensor, or all but the head where the file has another number of classes. Returns a note.

    Raises UserError, naming tensors, where the file belongs to another network.
    """
    classes = classes_of(weights.state)
    same = classes == classes_of(network.state_dict())
    state = {key: value for key, value in weights.state.items() if same or not of_head(key)}
    wrong = differences(state, network.state_dict(), needed=lambda key: same or not of_head(key))
    if wrong:
        raise UserError(
            f"--weights {path}: is not of {name}: {listed(wrong)}. Name weights with torchvision's keys, or the --cfg that they "
            "belong to."
        )
    network.load_state_dict(state, strict=False)
    if same:
        return f"{path.name}: all {len(state)} tensors transferred"
    return f"{path.name}: {len(state)} tensors transferred; its head of {classes or 'no'} classes is skipped"


def network_of(weights: Weights, path: Path, task: str) -> str:
    """Which network a bare state dict belongs to: the one whose tensors it has. Raises UserError for none."""
    kind = KINDS[task]
    wrong: dict[str, list[str]] = {}
    for name in kind.networks:
        with torch.device("meta"):  # shapes are enough
            network = kind.build(name, max(classes_of(weights.state), 2))
        wrong[name] = differences(weights.state, network.state_dict())
        if not wrong[name]:
            return name
    best = min(wrong, key=lambda name: len(wrong[name]))
    raise UserError(
        f"{path}: holds no {kind.noun} of ours ({', '.join(kind.networks)}); compared with {best}, {listed(wrong[best])}. "
        f"Name the weights of a run of task {task}."
    )


def classes_in(weights: Weights, path: Path) -> int:
    """The number of classes of the head. Raises UserError where there is none."""
    classes = classes_of(weights.state)
    if not classes:
        raise UserError(
            f"{path}: holds no head, so its number of classes is unknown. Use it as --weights of a training run."
        )
    return classes


def classes_of(state: Mapping[str, Tensor]) -> int:
    """Rows of the head's last tensor, its biases; 0 without a head."""
    heads = [value for key, value in state.items() if of_head(key) and value.ndim]
    return len(heads[-1]) if heads else 0


def of_head(key: str) -> bool:
    """Whether a tensor belongs to the last layers of one of torchvision's networks."""
    return key.partition(".")[0] in HEADS
