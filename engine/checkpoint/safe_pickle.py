"""Read PyTorch checkpoints without running anything they ask for.

A pickle is a program: it names functions and calls them. Here the few names that rebuild tensors and containers lead to
functions of our own, every other class becomes an inert object that remembers what it was given, and names that can act
(os.system, exec, torch.load, ...) end the reading with the name on record. Both containers of `torch.save` are read by
hand as well: `torch.load` with a foreign unpickler still compares, and may write, source files for the old one.
"""

from __future__ import annotations

import io
import pickle  # noqa: S403  only its opcode reader is used; every name goes through Unpickler.find_class
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from utils.errors import UserError

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
CONTAINERS = {kind.__name__: kind for kind in (set, frozenset, list, dict, tuple, int, float, bool, str)}
INERT_BUILTINS = {"getattr", "object", "bytes", "bytearray", "complex", "slice", "range", "Exception"}  # never called
DATA_MODULES = frozenset(  # the only parts of the standard library that checkpoints name, for data
    {"_codecs", "abc", "argparse", "array", "collections", "copyreg", "dataclasses", "datetime", "decimal", "enum"}
    | {"fractions", "functools", "itertools", "numbers", "pathlib", "random", "re", "types", "typing", "uuid"}
)
ACTING_MODULES = sys.stdlib_module_names - DATA_MODULES | {
    *("cPickle", "cloudpickle", "dill", "joblib", "yaml"),  # unpicklers
    *("commands", "imp", "pip", "popen2", "setuptools", "distutils", "cffi"),
    *("aiohttp", "httplib", "httpx", "requests", "urllib2"),
}
ACTING_TORCH = ("torch.hub", "torch.jit", "torch.package", "torch.utils", "torch.distributed", "torch.multiprocessing")
ACTING_NAMES = {
    ("torch", "load"),
    ("torch", "save"),
    ("torch", "compile"),
    ("torch.serialization", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("numpy", "load"),
    ("numpy", "fromfile"),
    ("numpy", "memmap"),
}


class Refused(pickle.UnpicklingError):
    """The file asked for something that can act. `asked` is its dotted name."""

    def __init__(self, asked: str) -> None:
        super().__init__(f"it asks for {asked}, which can run code")
        self.asked = asked


class Inert:
    """Stands in for an object of a class that is not rebuilt: holds what it was given and does nothing with it.

    kind: dotted name of the class it stands for; arguments: of its construction; state: what would have been its
    attributes; entries and items: what was appended to it or set in it.
    """

    kind = "?"

    arguments: tuple[Any, ...]
    state: Any
    entries: list[Any]
    items: dict[Any, Any]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Inert:
        """Pickles make objects by calling the class, or this alone."""
        self = object.__new__(cls)
        self.arguments, self.state, self.entries, self.items = arguments, None, [], {}
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Take one entry, as a pickled list would."""
        self.entries.append(value)

    def extend(self, values: Any) -> None:
        """Take entries, as a pickled list would."""
        self.entries.extend(values)

    add = append

    def __repr__(self) -> str:
        return f"<inert {self.kind}>"


def can_act(module: str, name: str) -> bool:
    """Whether a pickled name leads to something that runs code, or reads, writes or fetches files."""
    if module == "builtins":
        return name not in CONTAINERS and name not in INERT_BUILTINS
    inside = any(module == package or module.startswith(f"{package}.") for package in ACTING_TORCH)
    return inside or module.split(".")[0] in ACTING_MODULES or (module, name) in ACTING_NAMES


class Unpickler(pickle.Unpickler):
    """Opcode reader in which no name of the file leads to foreign code.

    load_storage(dtype, key, numel, view): the flat tensor that a persistent id stands for.
    """

    def __init__(self, file: IO[bytes], load_storage: Callable[..., Tensor] | None = None) -> None:
        super().__init__(file, encoding="utf-8")
        self._load_storage = load_storage
        self._known = _known()  # anew for each file: a pickle may write attributes on what it was handed
        self._inert: dict[str, type[Inert]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The container, rebuilding function or inert class for a name. Raises Refused if the name can act."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))  # of Python 2
        if module.startswith("torch") and name in DTYPES:
            return DTYPES[name]
        if (module, name) in self._known:
            return self._known[module, name]
        if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
            return vars(torch)[name]
        kind = f"{module}.{name}"
        if can_act(module, name):
            raise Refused(kind)
        return self._inert.setdefault(kind, type(name, (Inert,), {"kind": kind}))

    def persistent_load(self, pid: Any) -> Any:
        """The storage that a persistent id names; or the class, which the old container sends with its source code."""
        kind = pid[0] if isinstance(pid, tuple) and len(pid) > 1 else None
        if self._load_storage is None or kind not in ("storage", "module"):
            raise pickle.UnpicklingError(f"unknown persistent id {pid!r:.80}")
        if kind == "module":
            return pid[1]  # the source is not looked at
        _, dtype, key, _location, numel, *view = pid
        if not isinstance(dtype, torch.dtype) or not isinstance(numel, int) or numel < 0:
            raise pickle.UnpicklingError(f"storage {key!r:.40} is of an unknown kind")
        return self._load_storage(dtype, key, numel, view[0] if view else None)


def _known() -> dict[tuple[str, str], Any]:
    """Names that are rebuilt, each by a function or class made for one file."""

    def tensor(storage: Tensor, offset: int, size: Any, stride: Any, *ignored: Any) -> Tensor:
        return torch.as_strided(storage, tuple(size), tuple(stride), offset)  # checks the bounds of the storage

    return {
        **{("builtins", name): kind for name, kind in CONTAINERS.items()},
        ("collections", "OrderedDict"): type("OrderedDict", (dict,), {}),
        ("torch", "Size"): lambda sizes=(): tuple(sizes),
        ("torch._utils", "_rebuild_tensor"): tensor,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): lambda data, *ignored: data,
        ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *ignored: data,
        ("torch._tensor", "_rebuild_from_type_v2"): lambda build, kind, arguments, state: build(*arguments),
        ("_codecs", "encode"): lambda text, codec: text.encode("latin1"),
    }


def read(path: Path) -> Any:
    """The content of a `torch.save` file: containers, tensors on the CPU, and inert objects for everything else.

    Raises UserError, naming the file, if it asks for something that can act, or is no readable checkpoint.
    """
    try:
        with Path(path).open("rb") as file:
            return _read_zip(file) if file.read(4) == ZIP_MAGIC else _read_legacy(file)
    except Refused as problem:
        raise UserError(
            f"{path}: reading stopped, nothing was run: {problem}. A checkpoint has no need of it. "
            "Get the file from a source you trust; --trust loads it the ordinary way, and runs what it asks for."
        ) from None
    except Exception as problem:  # whatever a damaged file leads the reader into
        reason = f"{type(problem).__name__}: {problem}"
        raise UserError(
            f"{path}: this is not a readable checkpoint ({reason:.160}). Expected .pt or .safetensors weights that are "
            "whole; download or save it again."
        ) from problem


def _read_zip(file: IO[bytes]) -> Any:
    """Today's container: a zip archive of data.pkl and one record a storage."""
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next((name[: -len("data.pkl")] for name in names if name.split("/")[1:] == ["data.pkl"]), None)
        if root is None or f"{root}constants.pkl" in names:
            raise ValueError("a TorchScript or other archive, not weights" if names else "an empty archive")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("saved on a big-endian machine")
        storages: dict[str, Tensor] = {}

        def storage(dtype: torch.dtype, key: Any, numel: int, view: Any) -> Tensor:
            if key not in storages:
                storages[key] = _flat(archive.read(f"{root}data/{key}"), dtype)
            return storages[key][:numel]

        return Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")), storage).load()


def _flat(raw: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)


def _read_legacy(file: IO[bytes]) -> Any:
    """The container of torch < 1.6: pickles one after the other, then the storages' bytes."""
    file.seek(0)
    if Unpickler(file).load() != LEGACY_MAGIC:
        raise ValueError("a pickle, but not one of torch.save")
    Unpickler(file).load()  # protocol version
    Unpickler(file).load()  # byte order and sizes of the machine
    largest = Path(file.name).stat().st_size
    storages: dict[Any, Tensor] = {}

    def storage(dtype: torch.dtype, key: Any, numel: int, view: Any) -> Tensor:
        if numel * dtype.itemsize > largest:
            raise ValueError(f"storage {key} is larger than the file")
        flat = storages.setdefault(key, torch.zeros(numel, dtype=dtype))
        return flat if view is None else flat[view[1] : view[1] + view[2]]

    content = Unpickler(file, storage).load()
    for key in Unpickler(file).load():
        flat = storages[key]
        if int.from_bytes(file.read(8), "little") != flat.numel():
            raise ValueError(f"storage {key} has another size than announced")
        if flat.numel():
            flat.copy_(_flat(_exactly(file, flat.numel() * flat.itemsize), flat.dtype))
    return content


def _exactly(file: IO[bytes], size: int) -> bytes:
    raw = file.read(size)
    if len(raw) != size:
        raise EOFError("the file ends too early")
    return raw
