"""Walk a YOLO network layer by layer, as its YAML links them; and register layers that Ultralytics does not know.

A network is a sequence of layers, each carrying `i` (its index) and `f` (the index or indices it reads, -1 = the layer before).
Only torch is needed here: any module with these two attributes can be walked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserError

Layer = Any
"""An nn.Module with the attributes `i` and `f`."""


PROBE = 128  # px: divisible by every stride in use, and 4x4 cells at stride 32
LEVELS = {"P3": 8, "P4": 16, "P5": 32}  # px of the image per cell


@dataclass(frozen=True)
class LayerShape:
    """What one layer puts out for the probe image: channels, and pixels of the input per output cell."""

    index: int
    channels: int
    stride: float


def sources(layer: Layer) -> list[int]:
    """Indices that `layer` reads, other than the layer just before it named as -1."""
    indices = [layer.f] if isinstance(layer.f, int) else list(layer.f)
    return [index % layer.i for index in indices if index != -1]


def layer_input(layer: Layer, previous: Tensor, outputs: Mapping[int, Tensor]) -> Tensor | list[Tensor]:
    """The tensor, or list of tensors, that `layer` reads."""
    if layer.f == -1:
        return previous
    if isinstance(layer.f, int):
        return outputs[layer.f % layer.i]
    return [previous if index == -1 else outputs[index % layer.i] for index in layer.f]


def run_layers(layers: Sequence[Layer], image: Tensor, keep: Mapping[str, int], start: int = 0) -> dict[str, Tensor]:
    """Run the graph as far as the last kept layer and no further.

    layers: all layers, as in `detector.model`; image: (B, 3, H, W), or what layer `start` reads; keep: name -> index.
    Returns name -> output of that layer. Only outputs that a later layer reads, or that are kept, stay in memory.
    Raises ValueError if `keep` is empty or names a layer that is not there.
    """
    if not keep or not start <= min(keep.values()) <= max(keep.values()) < len(layers):
        raise ValueError(f"layers to keep {dict(keep)} must lie in {start}..{len(layers) - 1}")
    layers = layers[start : max(keep.values()) + 1]
    needed = {index for layer in layers for index in sources(layer)} | set(keep.values())
    outputs: dict[int, Tensor] = {}
    x = image
    for layer in layers:
        x = layer(layer_input(layer, x, outputs))
        if layer.i in needed:
            outputs[layer.i] = x
    return {name: outputs[index] for name, index in keep.items()}


def walk(layers: Iterable[Layer], image: Tensor) -> Iterator[tuple[Layer, list[Tensor], Any]]:
    """Run layer after layer, from an image (B, 3, H, W): each layer, the tensors that it reads, and what it puts out."""
    outputs: dict[int, Any] = {}
    x: Any = image
    for layer in layers:
        source = layer_input(layer, x, outputs)
        x = outputs[layer.i] = layer(source)
        yield layer, source if isinstance(source, list) else [source], x


def upsamples(inputs: Sequence[Tensor], output: Tensor) -> bool:
    """Whether a layer's output is wider than all that it read: the network goes up again."""
    return output.shape[-1] > max(part.shape[-1] for part in inputs)


@contextmanager
def evaluating(*modules: nn.Module, training: bool = False) -> Iterator[None]:
    """Evaluation mode and no gradients inside; afterwards every submodule is in the mode it was in.

    Batch statistics therefore do not move (with `training` they do), and layers frozen one by one stay frozen.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for part, _ in modes:
        part.training = training
    try:
        with torch.no_grad():
            yield
    finally:
        for part, before in modes:
            part.training = before


def descent(layers: Sequence[Layer], image: Tensor) -> list[LayerShape]:
    """Shapes of the layers down to the first one that upsamples its input: the backbone, and what belongs to it.

    image: a probe (1, 3, S, S) with S divisible by the largest stride. The head (the last layer) is never run.
    """
    shapes: list[LayerShape] = []
    for layer, inputs, x in walk(layers[:-1], image):
        if not isinstance(x, Tensor) or upsamples(inputs, x):
            break
        shapes.append(LayerShape(layer.i, x.shape[1], image.shape[-1] / x.shape[-1]))
    return shapes


def _probe(model: Layer) -> Tensor:
    """An empty image (1, C, PROBE, PROBE) for a model, where its parameters are."""
    parameter = next(weight for weight in model.parameters() if weight.ndim == 4)  # of the first convolution
    return torch.zeros(1, parameter.shape[1], PROBE, PROBE, device=parameter.device, dtype=parameter.dtype)


def _shapes(model: Layer) -> list[LayerShape]:
    with evaluating(model):
        return descent(model.model, _probe(model))


def backbone_taps(model: Layer) -> dict[str, int]:
    """The last layer of stride 8, 16 and 32 before the network first goes up again, e.g. {"P3": 4, "P4": 6, "P5": 9}.

    Found from what the layers do, not from a file's name. A model with a stride-4 head has the same three levels.
    Raises ValueError if the model has a level missing.
    """
    indices = {shape.stride: shape.index for shape in _shapes(model)}  # a later layer of the same stride overwrites
    missing = [name for name, stride in LEVELS.items() if stride not in indices]
    if missing:
        raise ValueError(f"no backbone layer for {', '.join(missing)}; strides found: {sorted(indices)}")
    return {name: indices[stride] for name, stride in LEVELS.items()}


def tap_channels(model: Layer, layers: Mapping[str, int]) -> dict[str, int]:
    """Channels that each tapped layer puts out. Raises KeyError for a layer that is not in the backbone."""
    channels = {shape.index: shape.channels for shape in _shapes(model)}
    return {name: channels[index] for name, index in layers.items()}


def first_concat(model: Layer, stride: int) -> LayerShape:
    """The first layer of the neck that joins features of this stride: what it reads, put side by side.

    Found from what layers do: several inputs, as many channels as all of them, behind the first enlargement. Raises
    ValueError if the model has none.
    """
    enlarged = False
    with evaluating(model):
        for layer, inputs, x in walk(model.model[:-1], _probe(model)):
            enlarged = enlarged or upsamples(inputs, x)
            joins = len(inputs) > 1 and x.shape[1] == sum(part.shape[1] for part in inputs)
            if enlarged and joins and stride * x.shape[-1] == PROBE:
                return LayerShape(layer.i, x.shape[1], stride)
    raise ValueError(f"no layer of the neck joins features at stride {stride}")


@dataclass(frozen=True)
class Keep:
    """A hook that puts a module's output under a name."""

    name: str
    outputs: dict[str, Tensor]

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        """Called after each forward."""
        self.outputs[self.name] = output


@contextmanager
def tapped(
    model: Layer, layers: Mapping[str, int | str], outputs: dict[str, Tensor] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of some layers: {name: (B, C, H, W)} of the latest forward pass made inside.

    layers: name -> index, or the dotted name of a module inside one (`model.22.cv3.0.1`). outputs: where they are put.
    The hooks live only inside the context; nothing is left on the model.
    """
    outputs = {} if outputs is None else outputs
    parts = {name: model.get_submodule(at) if isinstance(at, str) else model.model[at] for name, at in layers.items()}
    handles = [part.register_forward_hook(Keep(name, outputs)) for name, part in parts.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


class CompiledNetwork:
    """A network as a function from images to (predictions, taps), compiled at first and for every size anew (`--compile`).

    Weights, batch norms and hooks stay those of the network; what is not its forward pass (losses, targets, masks) runs
    as written. layers: as in `tapped`.
    """

    def __init__(self, network: Any, layers: Mapping[str, int | str], backend: str = "inductor") -> None:
        self.network, self.layers = network, layers
        self.taps: dict[str, Tensor] = {}
        self.known = dict(graph_breaks())
        self.compiled: Any = torch.compile(self._run, backend=backend, dynamic=False)

    def _run(self, image: Tensor) -> tuple[Any, dict[str, Tensor]]:
        predictions = self.network(image)
        return predictions, dict(self.taps)

    def __call__(self, image: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """image: (B, 3, H, W). The hooks that collect taps exist only during the call, always the same ones."""
        self.taps.clear()
        with tapped(self.network, self.layers, self.taps):
            return self.compiled(image)  # type: ignore[no-any-return]

    def notes(self) -> list[str]:
        """How whole the network was compiled: the graph breaks since this was made, each with its reason."""
        breaks = {reason: number - self.known.get(reason, 0) for reason, number in graph_breaks().items()}
        found = {reason: number for reason, number in breaks.items() if number > 0}
        if not found:
            return ["compile: the network is one graph"]
        first = f"compile: {sum(found.values())} graph breaks, at each of which the network runs as written"
        return [first, *(f"compile: {number} x {' '.join(reason.split())[:200]}" for reason, number in found.items())]


def graph_breaks() -> Mapping[str, int]:
    """Reason -> how often, in this process."""
    from torch._dynamo.utils import counters

    return counters["graph_break"]


@dataclass(frozen=True)
class LayerSpec:
    """How a YAML layer of ours becomes a module.

    build(inputs, stand_in, args): the block, given the channel counts of its inputs, the stand-in that Ultralytics'
    parser built (its channels are scaled already) and the layer's arguments. stand_in: the module the parser sees.
    stand_in_args: the stand-in's arguments from the layer's; none by default. heat_map: the block's method that turns what the
    layer reads into a map (B, 1, h, w) in [0, 1] to paint over the image; none by default.
    A block's children must not be called i, f or np: Ultralytics writes these on every layer's module.
    """

    build: Callable[[list[int], nn.Module, list[Any]], nn.Module]
    stand_in: str = "nn.Identity"
    stand_in_args: Callable[[list[Any]], list[Any]] = lambda args: []
    heat_map: str = ""


LAYERS: dict[str, LayerSpec] = {}
"""Module name in a YAML layer -> how it is built. `register_layers` adds to it."""
_OWNERS: dict[str, str] = {}


def register_layers(owner: str, layers: Mapping[str, LayerSpec]) -> None:
    """Let YAMLs name these layers. Raises UserError where another owner has one of the names."""
    for name, spec in layers.items():
        if _OWNERS.setdefault(name, owner) != owner:
            raise UserError(f"layer {name}: both {_OWNERS[name]} and {owner} define it. Rename one of the two.")
        LAYERS[name] = spec


def mapped_layer(model: Any) -> Any:
    """The first layer of a detector that has a map to paint, or None."""
    return next((layer for layer in model.model if layer.type in LAYERS and LAYERS[layer.type].heat_map), None)


def heat_map(model: Any, images: Tensor) -> Tensor:
    """The map (B, 1, h, w) in [0, 1] that a detector's `mapped_layer` makes of images (B, 3, H, W) in [0, 1]."""
    layer: Any = mapped_layer(model)
    source: Any = images
    if layer.i:
        indices = [index % layer.i for index in ([layer.f] if isinstance(layer.f, int) else layer.f)]
        with evaluating(model):
            outputs = run_layers(model.model, images, {str(index): index for index in indices})
        inputs = [outputs[str(index)] for index in indices]
        source = inputs[0] if isinstance(layer.f, int) else inputs
    result: Tensor = getattr(layer, LAYERS[layer.type].heat_map)(source)
    return result
