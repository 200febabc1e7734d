"""What a checkpoint claims to hold, before memory is taken for it.

128 bytes can claim tensors of many GiB. The pickle is walked once with inert objects in place of all that it names; what it
says of storages and tensors is added up and compared with the size of the file.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any

from utils.disk.archives import check_stored

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_PICKLES = 5  # of torch < 1.6: magic number, protocol, system, content, keys of the storages that follow
MOST_EXPANDED = 1 << 24  # elements by which tensors may exceed their storages, all together: stride 0 repeats elements
ITEM = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    "ComplexDoubleStorage": 16,
}
"""Bytes of an element, by the name of a storage's class; 1 for others."""


class Inert:
    """Stands in for any class or function: takes what it is given and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Of any arguments."""
        return object.__new__(cls)

    def _ignore(self, *_: Any) -> None:
        """Nothing."""

    __setstate__ = append = extend = add = update = __setitem__ = _ignore
    __hash__ = object.__hash__


class Declared:
    """Bytes of all storages by their keys, and the elements of tensors beyond those of their storages."""

    def __init__(self) -> None:
        self.storages: dict[Any, int] = {}
        self.expanded = 0

    def storage(self, identity: Any) -> int:
        """Note a storage by its persistent id; how many elements it has."""
        if not isinstance(identity, tuple) or len(identity) < 5 or not isinstance(identity[4], int) or identity[4] < 0:
            raise pickle.UnpicklingError("a storage without a size")
        _, kind, key, _, elements = identity[:5]
        self.storages[str(key)] = elements * ITEM.get(getattr(kind, "__name__", ""), 1)
        return int(elements)

    def tensor(self, *arguments: Any) -> None:
        """Note a tensor by the arguments of torch._utils._rebuild_tensor(_v2)."""
        if len(arguments) < 4 or not isinstance(arguments[0], int) or not isinstance(arguments[2], tuple):
            raise pickle.UnpicklingError("a tensor without storage or shape")
        sizes = arguments[2]
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise pickle.UnpicklingError("a tensor without a shape")
        self.expanded += max(0, math.prod(sizes) - arguments[0])


class _Walk(pickle._Unpickler):  # type: ignore[name-defined,misc] # in Python, whose memo grows only with what it holds
    """Unpickles to inert objects and tells `declared` of storages and tensors."""

    def __init__(self, file: Any, declared: Declared) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self.declared = declared

    def find_class(self, module: str, name: str) -> Any:
        """Nothing is imported."""
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _rebuilder(self.declared)
        return _inert(name)

    def persistent_load(self, pid: Any) -> Any:
        """How many elements a storage has; of the source text of a class, which torch once wrote, the class."""
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
            return pid[1]
        return self.declared.storage(pid)


def _rebuilder(declared: Declared) -> Callable[..., Inert]:
    def rebuild(*arguments: Any) -> Inert:
        declared.tensor(*arguments)
        return Inert()

    return rebuild


@cache
def _inert(name: str) -> type[Inert]:
    return type(name.rpartition(".")[2], (Inert,), {})


def check_declared(path: Path) -> None:
    """Raise ValueError where a `torch.save` file claims more than it can hold.

    A damaged one raises whatever zipfile and pickle raise.
    """
    declared, size = Declared(), path.stat().st_size
    with path.open("rb") as file:
        zipped = file.read(4) == ZIP_MAGIC
        if zipped:
            check_stored(path)
            _Walk(io.BytesIO(_content(path)), declared).load()
        else:
            _walk_legacy(file, declared)
    claimed = sum(declared.storages.values())
    if claimed > size:
        raise ValueError(f"its tensors claim {claimed:,} bytes, the file has {size:,}")
    if declared.expanded > MOST_EXPANDED:
        raise ValueError(f"its tensors repeat elements to {declared.expanded:,} beyond those in the file")


def _content(path: Path) -> bytes:
    """The pickle of a zipped checkpoint."""
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]), None)
        if name is None:
            raise ValueError("the archive holds no data.pkl")
        return archive.read(name)


def _walk_legacy(file: IO[bytes], declared: Declared) -> None:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # of which no more is read than there is
        for _ in range(LEGACY_PICKLES):
            _Walk(content, declared).load()
