"""A simulated accelerator: a device of PyTorch whose tensors lie in the CPU's memory, but obey CUDA's rules.

    with simulated() as trace:
        model.to(KIND)
        ...
    trace.count("wait"), trace.lines(*STOPS)

Numbers are real. It refuses what CUDA refuses (tensors of two devices in one operation, generators of the wrong device,
`numpy` of its tensors, operators without a CUDA kernel, `binary_cross_entropy` under autocast), rounds products to half
precision under autocast, and counts launches, copies and whatever the host waits for, by source line. It knows nothing of
time, memory, streams, several devices, cuDNN, NCCL or inference mode, and its random numbers are the CPU's.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import ultralytics
from torch import Tensor
from torch.optim import optimizer
from torch.utils import _foreach_utils, backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

KIND = "simulated"
STOPS = ("wait", "to host", "to device")  # what a host stands still for
LOW = (torch.float16, torch.bfloat16)
WATCHED = (str(Path(ultralytics.__file__).parents[1]) + "/", str(Path(__file__).parents[2]) + "/")
INSIDE = str(Path(__file__).parent)

SYNCHRONOUS = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive", "unique_dim", "equal", "bincount",
    "histc", "nms", "repeat_interleave", "_linalg_check_errors",
}  # fmt: skip
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
NO_KERNEL = {
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh", "_local_scalar_dense", "is_same_size",
    "_unsafe_view",
}  # fmt: skip
ONE_KERNEL = ("silu_backward", "mish_backward")
PRODUCTS = {"convolution", "convolution_backward", "mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "dot"}
TO_HALF = """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution linear matmul mm
 bmm addmm baddbmm addbmm mv dot einsum scaled_dot_product_attention prelu""".split()
AS_THEY_COME = (
    "cat stack index_put addcmul addcdiv atan2 scatter_add cross tensordot bilinear grid_sampler vdot".split()
)


class Trace:
    """What happened on the device: kind of event -> {(line, operation): how often}, and refusals.

    Kinds: launch, wait, to host, to device, in flight (a copy that does not block), and of what convolutions of images
    read, channels last or contiguous.
    """

    def __init__(self) -> None:
        self.events: dict[str, Counter[tuple[str, str]]] = {}
        self.refused: list[str] = []

    def clear(self) -> None:
        """Forget what was counted."""
        self.events.clear()

    def note(self, kind: str, operation: str) -> None:
        """Count an event at the line of ours, or of Ultralytics, that runs; launches, of which there are many, without it."""
        self.events.setdefault(kind, Counter())["" if kind == "launch" else here(), operation] += 1

    def count(self, *kinds: str) -> int:
        """How many events of these kinds there were."""
        return sum(sum(self.events.get(kind, Counter()).values()) for kind in kinds)

    def lines(self, *kinds: str) -> list[str]:
        """`file:line operation xN` of all events of these kinds, the most frequent first."""
        found = sum((self.events.get(kind, Counter()) for kind in kinds), Counter[tuple[str, str]]())
        return [f"{line} {operation} x{number}" for (line, operation), number in found.most_common()]


def here() -> str:
    """The innermost line of a watched folder; `backward` where autograd runs by itself."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        root = next((root for root in WATCHED if file.startswith(root)), None)
        if root and "/torch/" not in file and not file.startswith(INSIDE):
            return f"{file.removeprefix(root)}:{frame.f_lineno}"
        frame = frame.f_back
    return "backward"


TRACE = Trace()
PARAMETERS: dict[int, tuple[Tensor, Tensor]] = {}  # by address: a parameter, and what autocast made of it
GENERATORS: set[int] = set()  # addresses of those that belong to the device


class DeviceTensor(torch.Tensor):
    """A tensor on the device; `host` holds its numbers."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> DeviceTensor:
        made: DeviceTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, host.shape, strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype,
            device=torch.device(KIND, 0),
        )  # fmt: skip
        made.host = host.detach()
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, op: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Called where no mode is, as in the threads of autograd."""
        return run(op, args, kwargs or {})

    @property
    def data(self) -> Any:
        """As of any tensor."""
        return torch._C.TensorBase.data.__get__(self)  # type: ignore[attr-defined]

    @data.setter
    def data(self, other: Any) -> None:
        torch._C.TensorBase.data.__set__(self, other)  # type: ignore[attr-defined]
        self.host = other.host

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as on CUDA."""
        return (
            self.cpu().detach().numpy() if force else refuse("numpy: can't convert a device tensor; use .cpu() first")
        )

    def tolist(self) -> Any:
        """Copied to the host first."""
        return self.detach().cpu().tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as a tensor of the CPU."""
        return self.detach().cpu().__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{KIND}({self.host!r})"


def refuse(text: str) -> Any:
    """Raise what CUDA would raise."""
    TRACE.refused.append(text)
    raise RuntimeError(text)


def on_device(value: Any) -> bool:
    """Whether a value is a tensor of the device."""
    return isinstance(value, DeviceTensor)


def tensors_in(*values: Any) -> list[Tensor]:
    """All tensors in nested values."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def run(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operator: left alone where the device has no part in it, else checked, counted and computed."""
    given, target = tensors_in(args, kwargs), kwargs.get("device")
    makes = any(map(on_device, given)) if target is None else torch.device(target).type == KIND
    if not makes and not any(map(on_device, given)):
        return op(*args, **kwargs)
    name = op.overloadpacket.__name__
    if name in ("_to_copy", "copy_"):
        copied(name, args, kwargs, makes)
    else:
        check(op, name, args, kwargs, given, makes)
        count(op, name, args)
    host_args, host_kwargs = tree_map(lambda value: value.host if on_device(value) else value, (args, kwargs))
    host_kwargs |= {
        key: now for key, now in (("device", torch.device("cpu")), ("pin_memory", False)) if key in host_kwargs
    }
    result = compute(op, name, host_args, host_kwargs)
    if op._schema.is_mutable:
        return as_given(op._schema, args, kwargs, result)
    return (
        tree_map(lambda value: DeviceTensor(value) if isinstance(value, Tensor) else value, result) if makes else result
    )


def copied(name: str, args: Any, kwargs: dict[str, Any], makes: bool) -> None:
    """Count a copy: between devices it blocks, unless it starts in pinned memory and was asked not to."""
    source, goal = (args[1], on_device(args[0])) if name == "copy_" else (args[0], makes)
    if on_device(source) == goal:
        TRACE.note("launch", name)
        return
    quick = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
    if goal and quick and source.is_pinned():
        TRACE.note("in flight", name)
    else:
        TRACE.note("to device" if goal else "to host", name)


def count(op: Any, name: str, args: Any) -> None:
    """Count launches, waits, hidden copies of indices, and the memory format of convolutions."""
    indices = tensors_in(args[1]) if name in INDEXING else []
    if any(not on_device(index) for index in indices):
        TRACE.note("to device", f"{name} by a list")
    if name in SYNCHRONOUS or any(on_device(index) and index.dtype == torch.bool for index in indices):
        TRACE.note("wait", name)
    if name == "convolution" and args[0].ndim == 4:
        last = args[0].stride(1) == 1 or args[0].shape[1] == 1  # a slice of channels is in order too
        TRACE.note("channels last" if last else "contiguous", f"{name} {tuple(args[0].shape)}")
    if not op.is_view and name not in NO_KERNEL:
        TRACE.note("launch", name)


def address(generator: Any) -> int:
    """Of the generator behind its Python objects."""
    return int(generator._cdata)


@functools.cache
def runs_on_cuda(op: Any) -> bool:
    """Whether CUDA has the operator."""
    return bool(torch._C._dispatch_has_computed_kernel_for_dispatch_key(op.name(), "CUDA"))


def check(op: Any, name: str, args: Any, kwargs: Any, given: list[Tensor], makes: bool) -> None:
    """Refuse what CUDA refuses."""
    if not runs_on_cuda(op):
        refuse(f"{name}: has no kernel for CUDA")
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, torch._C.Generator) and (address(leaf) in GENERATORS) != makes:
            refuse(f"{name}: the generator belongs to another device")
    strangers = [tensor for tensor in given if not on_device(tensor)]
    if name in INDEXING and on_device(args[0]):  # indices may come from the host
        strangers = [tensor for tensor in tensors_in(args[2:]) if not on_device(tensor)]
    scalars_do = torch.Tag.pointwise in op.tags or name.startswith(("_foreach", "_fused", "_amp", "index_put", "fill"))
    written = op._schema.is_mutable and args and isinstance(args[0], Tensor) and not on_device(args[0])
    if written or any(tensor.ndim or not scalars_do for tensor in strangers):
        places = ", ".join(f"{KIND if on_device(tensor) else 'cpu'}{tuple(tensor.shape)}" for tensor in given)
        refuse(f"{name}: expected all tensors on the same device, found {places}")


def compute(op: Any, name: str, args: Any, kwargs: Any) -> Any:
    """The CPU's result; products of half-precision numbers are summed in float32 and rounded once."""
    low = next((tensor.dtype for tensor in tensors_in(args, kwargs) if tensor.dtype in LOW), None)
    if low is None or name not in PRODUCTS:
        return op(*args, **kwargs)
    wide = lambda value: value.float() if isinstance(value, Tensor) and value.is_floating_point() else value  # noqa: E731
    result = op(*tree_map(wide, args), **tree_map(wide, kwargs))
    return tree_map(lambda value: value.to(low) if isinstance(value, Tensor) else value, result)


def as_given(schema: Any, args: Any, kwargs: Any, result: Any) -> Any:
    """What an operator returns that writes to its arguments: these arguments, not copies of them."""
    owner: dict[str, Any] = {}
    for place, argument in enumerate(schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        owner |= dict.fromkeys(argument.alias_info.before_set if argument.alias_info else (), value)
    results = result if isinstance(result, tuple) else (result,)
    back = [
        next((owner[alias] for alias in (part.alias_info.before_set if part.alias_info else ())), value)
        for part, value in zip(schema.returns, results, strict=False)
    ]
    back = [DeviceTensor(value) if isinstance(value, Tensor) and not on_device(value) else value for value in back]
    return None if not schema.returns else back[0] if len(back) == 1 else tuple(back)


class Everywhere(TorchDispatchMode):
    """Brings operators here that make tensors out of nothing, or move them."""

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(op, args, kwargs or {})


class DeviceGenerator(torch.Generator):
    """A generator that knows its device; its numbers are the CPU's."""

    def __new__(cls, device: Any = "cpu") -> DeviceGenerator:
        own = torch.device(device).type == KIND
        made: DeviceGenerator = super().__new__(cls, "cpu" if own else device)  # type: ignore[call-arg]
        (GENERATORS.add if own else GENERATORS.discard)(address(made))
        return made


class Backend(backend_registration._DummyBackendModule):  # type: ignore[misc]
    """What torch asks of a kind of device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """For autocast."""
        return [*LOW]


def as_dtype(value: Any, dtype: torch.dtype) -> Any:
    """A floating tensor of the device in another precision; parameters are brought to half precision once per autocast."""
    if not on_device(value) or not value.is_floating_point() or value.dtype == dtype:
        return value
    if dtype in LOW and value.requires_grad and value.is_leaf and value.dtype == torch.float32:
        if id(value) not in PARAMETERS:
            PARAMETERS[id(value)] = value, value.to(dtype)
        return PARAMETERS[id(value)][1]
    return value.to(dtype)


def cast(operator: Callable[..., Any], name: str) -> Callable[..., Any]:
    """An operator under CUDA's autocast: products in half precision, what needs range or precision in float32."""
    kinds: Any = torch._C.DispatchKey
    keys = torch._C.DispatchKeySet(kinds.AutocastPrivateUse1)

    def under_autocast(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            if name == "binary_cross_entropy":
                refuse("binary_cross_entropy: unsafe under autocast; use binary_cross_entropy_with_logits")
            dtype = torch.get_autocast_dtype(KIND) if name in TO_HALF else torch.float32
            if name in AS_THEY_COME and all(
                tensor.dtype in LOW for tensor in tensors_in(args) if tensor.is_floating_point()
            ):
                return operator(*args, **kwargs)
            change = functools.partial(as_dtype, dtype=dtype)
            return operator(*tree_map(change, args), **tree_map(change, kwargs))

    return under_autocast


@functools.cache
def install() -> list[Any]:
    """Make the device known to torch, once per process. Returns what must stay alive."""
    backend_registration._setup_privateuseone_for_python_backend(KIND, Backend())
    autocast, others = torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for full in torch._C._dispatch_get_all_op_names():
        name, _, overload = full.removeprefix("aten::").partition(".")
        known = torch._C._dispatch_has_kernel_for_dispatch_key(full, "AutocastCUDA")
        if full.startswith("aten::") and known and not any(word in name for word in ("cudnn", "rnn", "lstm", "gru")):
            operator = getattr(getattr(torch.ops.aten, name), overload or "default")
            autocast.impl(f"{name}.{overload}" if overload else name, cast(operator, name), "AutocastPrivateUse1")
    # torch.tensor(..., device=...) and lists as indices come past every mode
    autocast.impl("empty_strided", empty, "PrivateUse1")
    autocast.impl("copy_", copy, "PrivateUse1")
    for name in ONE_KERNEL:  # which torch would take apart on a device of which it knows nothing
        operator = getattr(torch.ops.aten, name).default
        autocast.impl(name, functools.partial(on_the_device, operator), "PrivateUse1")
    return [autocast, others]


def empty(size: Any, stride: Any, dtype: torch.dtype | None = None, **_: Any) -> DeviceTensor:
    """Room for numbers."""
    return DeviceTensor(torch.empty_strided(size, stride, dtype=dtype))


def copy(goal: Tensor, source: Tensor, quick: bool = False) -> Any:
    """From anywhere to anywhere."""
    return run(torch.ops.aten.copy_.default, (goal, source, quick), {})


def on_the_device(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """An operator that is one kernel there."""
    return run(operator, args, kwargs)


def forget(clear: Callable[[], None]) -> None:
    """At the end of autocast."""
    PARAMETERS.clear()
    clear()


def pinned(tensor: Tensor, device: Any = None) -> Tensor:
    """A copy that counts as lying in pinned memory."""
    copy = tensor.clone()
    copy.lies_pinned = True  # type: ignore[attr-defined]
    return copy


@contextlib.contextmanager
def simulated() -> Iterator[Trace]:
    """Inside, `torch.device(KIND)` is a device. Yields a fresh trace."""
    global TRACE
    install()
    TRACE = Trace()
    lists: list[Any] = [_foreach_utils._foreach_supported_types, optimizer._foreach_supported_types]
    clear = torch.clear_autocast_cache
    with contextlib.ExitStack() as stack:
        for known in lists:
            known.append(DeviceTensor)
            stack.callback(known.remove, DeviceTensor)
        stack.enter_context(mock.patch("torch.Generator", DeviceGenerator))
        stack.enter_context(mock.patch("torch.clear_autocast_cache", functools.partial(forget, clear)))
        stack.enter_context(mock.patch("torch.Tensor.pin_memory", pinned))
        stack.enter_context(
            mock.patch("torch.Tensor.is_pinned", lambda tensor, device=None: hasattr(tensor, "lies_pinned"))
        )
        stack.enter_context(mock.patch("utils.devices.GPUS", ("cuda", KIND)))
        # autograd's threads are those of the devices known at the first backward of the process
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(Everywhere())
        yield TRACE
