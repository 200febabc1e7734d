"""How much of the image a backbone layer can see: its theoretical receptive field, read off a real forward pass.

Every tensor of the pass carries the span of input pixels that its cells depend on. Only three kinds of operation change
a span (windows, enlarging, mixing all positions), whatever modules they come from, so no table of modules is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.graph import Layer, evaluating, upsamples, walk
from utils.errors import UserError

_MIXING = frozenset({"mm", "bmm", "baddbmm", "addmm", "_softmax", "_scaled_dot_product_flash_attention_for_cpu"})


class ReceptiveField(NamedTuple):
    """Cell p of a tensor depends on input pixels p * jump + first to p * jump + last, both included, along each axis."""

    first: float = 0.0
    last: float = 0.0
    jump: float = 1.0

    @property
    def size(self) -> float:
        """Side of the field in pixels."""
        return self.last - self.first + 1

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> ReceptiveField:
        """The field behind a convolution or pooling."""
        reach = (kernel - 1) * dilation - padding
        return ReceptiveField(self.first - padding * self.jump, self.last + reach * self.jump, self.jump * stride)

    def enlarged(self, factor: float) -> ReceptiveField:
        """The field behind nearest enlargement."""
        jump = self.jump / factor
        return ReceptiveField(self.first - jump * (factor - 1), self.last, jump)

    def joined(self, other: ReceptiveField) -> ReceptiveField:
        """The field of a cell that reads both."""
        return self._replace(first=min(self.first, other.first), last=max(self.last, other.last))


@dataclass(frozen=True)
class Level:
    """The layer that stands for a stride: its row in the network, and its field."""

    index: int
    field: ReceptiveField


class _Tracer(TorchDispatchMode):
    """Carries fields from the inputs of each operation to its outputs."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.fields = {id(image): ReceptiveField()}
        self.alive = [image]  # so that no id is used twice
        self.wide = False  # whether something pooled without a stride (pyramids) or mixed all positions (attention)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and note its outputs' field."""
        result = func(*args, **(kwargs or {}))
        known = [self.fields[id(leaf)] for leaf in tree_leaves(args) if id(leaf) in self.fields]
        if known:
            field = self._after(func.overloadpacket.__name__, args, reduce(ReceptiveField.joined, known), result)
            for tensor in (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)):
                self.fields[id(tensor)] = field
                self.alive.append(tensor)
        return result

    def _after(self, name: str, args: Any, field: ReceptiveField, result: Any) -> ReceptiveField:
        if "convolution" in name:
            stride, padding, dilation, transposed = args[3][0], args[4][0], args[5][0], args[6]
            kernel = args[1].shape[-1]
            return field.enlarged(stride) if transposed else field.window(kernel, stride, padding, dilation)
        if "pool2d" in name and "adaptive" not in name:
            kernel = args[1][0]
            stride = args[2][0] if len(args) > 2 and args[2] else kernel
            self.wide |= stride == 1 and kernel > 2  # 2 is only a blur before a stride
            return field.window(kernel, stride, args[3][0] if len(args) > 3 else 0, 1)
        if "upsample" in name:
            return field.enlarged(result.shape[-1] / args[0].shape[-1])
        self.wide |= name in _MIXING
        return field


def trace(model: nn.Module, imgsz: int = 640) -> dict[int, int]:
    """Stride -> theoretical receptive field, px, of the backbone layer that stands for it (see `levels`).

    model: a built YOLO detector; imgsz: px, changes nothing but the size of the forward pass. Holds every stride of the
    head. Raises ValueError where the backbone has no layer of one of them.
    """
    return {stride: round(level.field.size) for stride, level in levels(model, imgsz).items()}


def levels(model: Layer, imgsz: int = 640) -> dict[int, Level]:
    """Stride of the head -> the layer that stands for it: the last one before a pyramid pools or attention mixes.

    Only the way down counts: behind a pyramid, or the way up, every level sees nearly the whole image and the levels
    cannot be told apart. Where all layers of a stride attend, the last one stands for it, its attention left out.
    The pass runs on torch's "meta" device: shapes only, neither weights nor statistics are read or moved.
    """
    strides = [int(stride) for stride in model.stride.tolist()]
    side = -(-imgsz // max(strides)) * max(strides)
    layers = deepcopy(model.model[:-1]).to("meta")
    plain: dict[int, Level] = {}
    attending: dict[int, Level] = {}
    image = torch.zeros(1, 3, side, side, device="meta")
    with evaluating(layers), _Tracer(image) as tracer:
        for layer, inputs, x in walk(layers, image):
            if upsamples(inputs, x):
                break
            stride = side // x.shape[-1]
            kind = attending if tracer.wide or stride in attending else plain
            kind[stride] = Level(layer.i, tracer.fields[id(x)])
            tracer.wide = False
    found = attending | plain
    if missing := [stride for stride in strides if stride not in found]:
        raise ValueError(f"the backbone has no layer of stride {missing}; its strides are {sorted(found)}")
    return {stride: found[stride] for stride in strides}


def effective_fields(model: Any, fraction: float = 0.5, given: Mapping[int, float] | None = None) -> dict[int, float]:
    """Stride -> side in pixels of the *effective* field: `fraction` of the theoretical one, or the side that is given.

    Raises UserError where `given` names a stride that the head has not.
    """
    strides = [int(stride) for stride in model.stride.tolist()]
    given = given or {}
    if unknown := [stride for stride in given if stride not in strides]:
        raise UserError(f"--rf: this model has no stride {unknown[0]}; its strides are {', '.join(map(str, strides))}.")
    traced = trace(model) if len(given) < len(strides) else {}
    return {stride: given.get(stride, fraction * traced.get(stride, 0)) for stride in strides}
