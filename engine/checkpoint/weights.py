"""Weights out of any file that holds them: safetensors, Ultralytics' and YOLOv5's checkpoints, plain state dicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from data.class_names import stored_names
from engine.checkpoint.declared import ZIP_MAGIC
from engine.checkpoint.safe_pickle import Placeholder, read
from utils.disk.reading import is_regular
from utils.errors import UserError, nearest
from utils.files import plain
from utils.log import LOGGER

EXPORTS = {".onnx", ".xml"}  # of ONNX and OpenVINO
MOST_VALUES = 1_000_000  # of an entry that is kept
PLACES = ("ema", "model", "state_dict", "model_state_dict")  # where checkpoints keep their network, the best first


@dataclass(frozen=True)
class Weights:
    """state: name -> tensor on the CPU, in the precision of the file; names: class number -> name, if the file says;
    yaml: the network description, if the file has one; source: what kind of file it was; meta: plain entries besides.
    """

    state: dict[str, Tensor]
    names: dict[int, str] | None
    yaml: dict[str, Any] | None
    source: str
    meta: dict[str, Any] = field(default_factory=dict)


def load_weights(path: str | Path, trust: bool = False) -> Weights:
    """Read weights; no code in the file is run unless `trust`, which unpickles it and says so.

    The kind is told from the content, not from the name. Raises UserError if the file is missing, holds no weights, is
    damaged, or asks for something that can act (with the name it asked for).
    """
    path = Path(path)
    head = _head(path)
    if (
        head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    ):  # length of a JSON header, and it
        return _load_safetensors(path)
    if not head.startswith((ZIP_MAGIC, b"\x80")):
        if path.suffix.lower() in EXPORTS:
            raise UserError(
                f"{path}: this is an export, which detect.py, val.py and compare.py --checkpoint run. Here, name the .pt or "
                ".safetensors weights that it was made from."
            )
        raise UserError(
            f"{path}: this is not a checkpoint (it begins with {head[:16]!r}); expected .pt or .safetensors weights. "
            "If it was downloaded, open it in an editor: it may be an error page."
        )
    return _from_content(path, _load_trusted(path) if trust else read(path))


def _head(path: Path) -> bytes:
    """The first bytes of the file."""
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; name the weights file in it, such as {path / 'best.pt'}.")
    try:
        if not is_regular(path):
            raise UserError(
                f"{path}: is a pipe or a device, not a weights file. Save its content in a file and name that."
            )
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as problem:
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        guess = nearest(path.name, (sibling.name for sibling in siblings))
        hint = f"did you mean {guess}?" if guess else "check the path given as --weights."
        raise UserError(f"{path}: no such weights file ({problem.strerror}); {hint}") from None
    if not head:
        raise UserError(f"{path}: the file is empty; download or save it again.")
    return head


def _load_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            header = {key: _parse(text) for key, text in (file.metadata() or {}).items()}
    except SafetensorError as problem:
        raise UserError(f"{path}: damaged safetensors file ({problem}); download or save it again.") from None
    return Weights(
        state, stored_names(header.pop("names", None)), _mapping(header.pop("yaml", None)), "safetensors", header
    )


def _parse(text: str) -> Any:
    """A header entry: JSON where it is, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _load_trusted(path: Path) -> Any:
    LOGGER.warning("%s: unpickling with --trust: code in the file is executed", path)
    try:
        return torch.load(path, map_location="cpu", weights_only=False)  # noqa: S614  what the user asked for
    except ModuleNotFoundError as problem:
        raise UserError(f"{path}: unpickling needs the module {problem.name!r}; leave --trust off.") from None


def _from_content(path: Path, content: Any) -> Weights:
    """Find the network in what a checkpoint holds, and read it."""
    try:
        found = _find_weights(content)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as problem:
        raise UserError(f"{path}: it is not built like a checkpoint ({problem}); download it again.") from problem
    if not found.state:
        raise UserError(f"{path}: this file holds no weights; expected a network or a state dict of tensors.")
    return found


def _find_weights(content: Any) -> Weights:
    """Weights of the best network among a checkpoint's entries, or of the content itself."""
    holder = content if isinstance(content, Mapping) else {}
    entries = [holder.get(key) for key in PLACES]
    network = next((entry for entry in entries if isinstance(entry, nn.Module) or _state(entry)), content)
    attributes = _attributes(network)
    names, yaml = (attributes.get(key, holder.get(key)) for key in ("names", "yaml"))
    meta = {str(key): plain(value) for key, value in holder.items() if key not in PLACES and _is_plain(value)}
    return Weights(_state(network), stored_names(names), _mapping(yaml), _source(network), meta)


def _attributes(network: Any) -> dict[str, Any]:
    """What a pickled module has as attributes; nothing for a state dict."""
    found = network.state if isinstance(network, Placeholder) else getattr(network, "__dict__", None)
    return found if isinstance(found, dict) else {}


def _state(network: Any) -> dict[str, Tensor]:
    """Tensors by dotted name, in the order of `state_dict`; a wrapper's `module.` is left off."""
    if isinstance(network, Mapping):
        state = {str(key): value.detach() for key, value in network.items() if isinstance(value, Tensor)}
    else:
        state = dict(_walk(network, "", set()))
    wrapped = bool(state) and all(key.startswith("module.") for key in state)
    return {key.removeprefix("module.") if wrapped else key: value for key, value in state.items()}


def _walk(module: Any, prefix: str, above: set[int]) -> list[tuple[str, Tensor]]:
    """Parameters, then persistent buffers, then the children's, of a real or an inert module."""
    attributes = _attributes(module)
    if id(module) in above or not isinstance(attributes.get("_modules"), dict):
        return []  # a module inside itself, or no module
    passing = attributes.get("_non_persistent_buffers_set") or ()
    own = list(attributes["_parameters"].items())
    own += [(key, value) for key, value in attributes["_buffers"].items() if key not in passing]
    found = [(f"{prefix}{key}", value.detach()) for key, value in own if isinstance(value, Tensor)]
    for key, child in attributes["_modules"].items():
        found += _walk(child, f"{prefix}{key}.", above | {id(module)})
    return found


def _source(network: Any) -> str:
    if isinstance(network, Mapping):
        return "state dict"
    kind = network.kind if isinstance(network, Placeholder) else f"{type(network).__module__}.{type(network).__name__}"
    return "yolov5" if kind.startswith("models.") else "ultralytics" if kind.startswith("ultralytics.") else kind


def _is_plain(value: Any) -> bool:
    """Whether a value is text, numbers, and lists and mappings of them, MOST_VALUES at most.

    Lists that hold one another twice unfold to more than any memory holds.
    """
    waiting, seen = [value], 0
    while waiting:
        entry = waiting.pop()
        seen += 1
        if seen + len(waiting) > MOST_VALUES:
            return False
        if isinstance(entry, Mapping):
            if not all(isinstance(key, str | int) for key in entry):
                return False
            waiting += entry.values()
        elif isinstance(entry, list | tuple):
            waiting += entry
        elif not (entry is None or type(entry) in (str, int, float, bool)):
            return False
    return True


def _mapping(found: Any) -> dict[str, Any] | None:
    """A network description, if it is one and holds nothing but plain values."""
    return plain(found) if isinstance(found, Mapping) and "backbone" in found and _is_plain(found) else None
