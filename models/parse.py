"""YAML layers: which modules they may name, and layers of our own.

Ultralytics' parser knows its own modules only, evaluates `activation` as Python, and looks every module name up among
all globals of its file. Here each name is checked against a list first (models/description/layer_names.py), and the
network is built once without memory (models/description/cost.py), so that a description from a stranger's checkpoint
can neither call anything nor exhaust the machine. Layers of ours (models/graph.py) are parsed as a stand-in with the
same channels and then replaced by the block.
"""

from __future__ import annotations

import ast
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

import models.crux  # noqa: F401 - registers its layers: every reader of a network must know them
from models.description.cost import check_arguments, rehearse
from models.description.layer_names import ACTIVATIONS, NETWORK_LAYERS
from models.graph import LAYERS, PROBE, evaluating, layer_input
from utils.errors import UserError, nearest
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.nn import tasks  # noqa: E402

LONGEST_ACTIVATION = 100  # letters
PACKAGES = {"nn.": "torch.nn", "torchvision.ops.": "torchvision.ops"}  # prefix of a layer's name -> where it is
LAYER_PACKAGES = ("torch.nn.modules.", "torchvision.ops.", "ultralytics.nn.modules.")


def check_layers(yaml: dict[str, Any], source: str) -> None:
    """Raise UserError unless every layer of the network description is well formed and names a module."""
    for key in ("backbone", "head"):
        layers = yaml.get(key)
        if not isinstance(layers, list) or not layers:
            raise UserError(f"{source}: no list of layers under `{key}`; a model YAML needs `backbone` and `head`.")
        for number, layer in enumerate(layers):
            _check_layer(layer, f"{source}: {key} layer {number}")
    activation = yaml.get("activation")
    if activation is not None and not is_activation(activation):
        raise UserError(
            f"{source}: `activation: {activation!s:.100}` is not an activation of torch.nn with plain arguments; "
            "write it as nn.SiLU() or nn.LeakyReLU(0.1)."
        )
    check_arguments(yaml, source)


def _check_layer(layer: Any, where: str) -> None:
    if not isinstance(layer, (list, tuple)) or len(layer) != 4 or not isinstance(layer[3], list):
        raise UserError(f"{where} is {reprlib.repr(layer)}; expected [from, repeats, module, [arguments]].")
    for argument in layer[3]:
        if isinstance(argument, str) and not _is_value(argument):
            raise UserError(f"{where}: the argument {reprlib.repr(argument)} is neither a number nor a name.")
    name = layer[2]
    if isinstance(name, str) and (name in LAYERS) != is_layer(name):
        return
    if isinstance(name, str) and name in LAYERS:
        raise UserError(f"{where}: both a method and Ultralytics define the layer {name}. Rename the method's.")
    guess = nearest(str(name), [*LAYERS, *(key for key in vars(tasks) if is_layer(key))])
    hint = f"; did you mean {guess}?" if guess else "."
    raise UserError(f"{where} names the module {reprlib.repr(name)}, which is not a known layer{hint}")


def _is_value(text: str) -> bool:
    """Whether Ultralytics' parser, which reads each text as a Python literal or else as a word, gets through it."""
    try:
        ast.literal_eval(text)
    except ValueError:
        return True
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def is_layer(name: str) -> bool:
    """Whether a YAML layer may name this module: one of NETWORK_LAYERS, that the installed packages have."""
    if name not in NETWORK_LAYERS:
        return False
    prefix = next((prefix for prefix in PACKAGES if name.startswith(prefix)), None)
    if prefix is None:
        found = vars(tasks).get(name)
    else:  # torchvision takes seconds to import: only for a network that names a layer of it
        found = vars(import_module(PACKAGES[prefix])).get(name[len(prefix) :])
    is_module = isinstance(found, type) and issubclass(found, nn.Module)
    return is_module and f"{found.__module__}.".startswith(LAYER_PACKAGES)


def is_activation(text: Any) -> bool:
    """Whether `text` reads nn.Name(literals): Ultralytics evaluates it as Python, so nothing else may pass."""
    if len(str(text)) > LONGEST_ACTIVATION:
        return False
    try:
        call = ast.parse(str(text).strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return False
        for value in [*call.args, *(word.value for word in call.keywords)]:
            ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return False
    return ast.unparse(call.func).removeprefix("torch.") in ACTIVATIONS


@contextmanager
def our_layers(known: bool = False) -> Iterator[None]:
    """Let `tasks.DetectionModel` read the layers of LAYERS: it looks `parse_model` up by name when it is built.

    known: whether the description is one of the installed files; any other is rehearsed first (models/description/cost.py).
    A description's `activation` holds for its own network: Ultralytics' parser sets it for all that are built later.
    """
    original, activation = tasks.parse_model, tasks.Conv.default_act

    def parsed(description: dict[str, Any], ch: int) -> tuple[nn.Sequential, list[int]]:
        plain, ours = with_stand_ins(description)
        network, save = original(plain, ch=ch, verbose=False)
        if ours:
            put_blocks(network, ours, ch)
        return network, save

    def parse(description: dict[str, Any], ch: int, verbose: bool = True) -> tuple[nn.Sequential, list[int]]:
        if not known:
            rehearse(lambda: parsed(description, ch)[0], ch)
        return parsed(description, ch)

    tasks.parse_model = parse
    try:
        yield
    finally:
        tasks.parse_model, tasks.Conv.default_act = original, activation


def with_stand_ins(description: dict[str, Any]) -> tuple[dict[str, Any], dict[int, tuple[str, list[Any]]]]:
    """A copy of the description with our layers replaced, and layer index -> (block name, its arguments).

    An argument that is the name of an entry of the description, as `nc` is for Ultralytics, stands for that entry.
    """
    plain = deepcopy(description)
    ours: dict[int, tuple[str, list[Any]]] = {}
    for number, layer in enumerate(plain["backbone"] + plain["head"]):
        if layer[2] in LAYERS:
            ours[number] = (layer[2], [plain.get(a, a) if isinstance(a, str) else a for a in layer[3]])
            spec = LAYERS[layer[2]]
            layer[2:] = [spec.stand_in, spec.stand_in_args(layer[3])]
    return plain, ours


def plain_layers(network: Sequence[Any]) -> list[int]:
    """Indices of a network's layers that are not ours, in order: layer k of the plain network is the k-th of them."""
    return [layer.i for layer in network if layer.type not in LAYERS]


def put_blocks(network: nn.Sequential, ours: dict[int, tuple[str, list[Any]]], channels: int = 3) -> None:
    """Replace the stand-ins in place, in order, each block built for what really arrives at it."""
    outputs: dict[int, Tensor] = {}
    x = torch.zeros(1, channels, PROBE, PROBE)  # (1, C, S, S)
    for number in range(max(ours) + 1):
        layer = network[number]
        source = layer_input(layer, x, outputs)
        if number in ours:
            layer = network[number] = _block(layer, source, *ours[number])
        with evaluating(layer):
            x = outputs[number] = layer(source)


def _block(stand_in: nn.Module, source: Tensor | Sequence[Tensor], name: str, args: list[Any]) -> nn.Module:
    """The real block, with the marks that Ultralytics puts on every layer's module."""
    inputs = [part.shape[1] for part in ([source] if isinstance(source, Tensor) else source)]
    block = LAYERS[name].build(inputs, stand_in, args)
    taken = {"i", "f", "np"} & {child for child, _ in block.named_children()}
    if taken:
        raise ValueError(f"{name} has a child called {min(taken)!r}, a name that Ultralytics writes on every layer")
    size = sum(parameter.numel() for parameter in block.parameters())
    for mark, value in {"i": stand_in.i, "f": stand_in.f, "type": name, "np": size}.items():
        setattr(block, mark, value)
    return block
