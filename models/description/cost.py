"""What a network would cost, before it is built: a description of 1 kB may ask for more memory than there is.

Numbers of the description have bounds, and the network is built and run once on the meta device, where tensors have
shapes but no memory. The bounds lie far above the largest detectors of Ultralytics (yolov8x-p6: 97 M parameters,
42 GFLOPs at 256 px).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.graph import layer_input
from utils.errors import UserError

SIDE = 256  # px: at which Ultralytics runs a new network once, to find its strides
MOST_CLASSES = 100_000
MOST_LAYERS, MOST_REPEATS, MOST_VALUES = 1000, 200, 1000  # of a description, of a layer, of its arguments
LARGEST_NUMBER, LONGEST_TEXT = 65_536, 100
MOST_PARAMETERS = 500_000_000
MOST_ELEMENTS = 2**29  # of all tensors that the network puts out for an image of SIDE px
MOST_FLOPS = 5e11  # multiply-adds counted as two, at SIDE px
MOST_OPERATIONS = 20_000  # yolov9e: 6,639


class TooLarge(ValueError):
    """The network would take more than any detector needs."""


def check_arguments(yaml: Mapping[str, Any], source: str) -> None:
    """Raise UserError where a number, text or list of a network description lies outside all bounds of a detector."""
    layers = [*yaml["backbone"], *yaml["head"]]
    if len(layers) > MOST_LAYERS:
        raise UserError(f"{source}: describes {len(layers)} layers; expected at most {MOST_LAYERS}.")
    depths = [1.0, *(_number(value) for value in _depths(yaml))]
    for number, (_, repeats, module, arguments) in enumerate(layers):
        where = f"{source}: layer {number} ({module})"
        if not isinstance(repeats, int) or not repeats >= 1 or not repeats * max(depths) <= MOST_REPEATS:
            raise UserError(f"{where} repeats {repeats!s:.20} times; expected 1 to {MOST_REPEATS}, depth included.")
        values = list(_values(arguments))
        if len(values) > MOST_VALUES or not all(map(_is_small, values)):
            raise UserError(
                f"{where} has an argument beyond {LARGEST_NUMBER}, {LONGEST_TEXT} letters or {MOST_VALUES} values. Correct it."
            )
    others = [value for key, value in yaml.items() if key not in {"backbone", "head", "names", "anchors", "yaml_file"}]
    if not all(map(_is_small, _values(others))):
        raise UserError(f"{source}: has a number beyond {LARGEST_NUMBER} or a text that is too long. Correct it.")


def _depths(yaml: Mapping[str, Any]) -> list[Any]:
    """What repeats may be multiplied by: `depth_multiple`, or the first number of any scale."""
    scales = yaml.get("scales")
    listed = scales.values() if isinstance(scales, Mapping) else ()
    return [yaml.get("depth_multiple"), *(scale[0] for scale in listed if isinstance(scale, list | tuple) and scale)]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) <= LARGEST_NUMBER else 1.0


def _values(entry: Any, depth: int = 0) -> Iterator[Any]:
    """The plain values of nested lists and mappings; a text that is too long in place of what nests too deeply."""
    if not isinstance(entry, Mapping | list | tuple):
        yield entry
    elif depth > 8:
        yield " " * (LONGEST_TEXT + 1)
    else:
        for value in entry.values() if isinstance(entry, Mapping) else entry:
            yield from _values(value, depth + 1)


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return not isinstance(value, int | float) or abs(value) <= LARGEST_NUMBER  # neither NaN nor infinity


def rehearse(make: Callable[[], nn.Sequential], channels: int) -> None:
    """Make a network and run it on an image (1, channels, SIDE, SIDE), all without memory.

    Raises TooLarge as soon as a bound is passed, and whatever making and running it raises.
    """
    layers: Any  # an iterable
    with torch.device("meta"), torch.no_grad():
        with _Meter(MOST_PARAMETERS, "parameters"):
            layers = network = make()
        size = sum(parameter.numel() for parameter in network.parameters())
        if size > MOST_PARAMETERS:
            raise TooLarge(f"it has {size:,} parameters, beyond {MOST_PARAMETERS:,}")
        outputs: dict[int, Any] = {}
        x: Any = torch.zeros(1, channels, SIDE, SIDE)  # (1, C, S, S)
        with _Meter(MOST_ELEMENTS, "values of its layers"):
            for layer in layers:
                x = outputs[layer.i] = layer(layer_input(layer, x, outputs))


class _Meter(TorchDispatchMode):
    """Counts what the operations inside put out."""

    def __init__(self, most: int, of: str) -> None:
        from torch.utils.flop_counter import flop_registry  # which takes long to import

        super().__init__()
        self.most, self.of, self.registry = most, of, flop_registry
        self.operations, self.flops = 0, 0.0
        self.elements = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and add up."""
        kwargs = kwargs or {}
        result = operation(*args, **kwargs)
        self.operations += 1
        if not operation.is_view and not operation._schema.is_mutable:
            parts = result if isinstance(result, tuple | list) else [result]
            self.elements += sum(part.numel() for part in parts if isinstance(part, Tensor))
        count = self.registry.get(operation.overloadpacket)
        self.flops += count(*args, **kwargs, out_val=result) if count else 0
        for found, most, unit in (
            (self.operations, MOST_OPERATIONS, "operations"),
            (self.elements, self.most, self.of),
            (self.flops, MOST_FLOPS, f"FLOPs at {SIDE} px"),
        ):
            if found > most:
                raise TooLarge(f"it takes more than {most:,.0f} {unit}")
        return result
