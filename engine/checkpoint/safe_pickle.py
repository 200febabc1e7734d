"""Read PyTorch checkpoints without running anything they ask for.

A pickle is a program: it names functions and calls them. `torch.load(weights_only=True)` follows only the names that
rebuild tensors and containers. Our policy runs first, over the names in the file: what can act (os.system, exec,
torch.load, ...) ends the reading with the name on record, every other class becomes an inert object that remembers what
it was given. docs/decisions/0003-safe-checkpoints.md says why, and what is not read.
"""

from __future__ import annotations

import pickletools
import sys
import warnings
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.declared import ZIP_MAGIC, check_declared
from utils.errors import UserError

CONTAINERS = {kind.__name__: kind for kind in (set, frozenset, list, dict, tuple, int, float, bool, str)}
BUILT: dict[str, Any] = {f"builtins.{name}": kind for name, kind in CONTAINERS.items()}
BUILT["collections.defaultdict"] = lambda *factory: OrderedDict()  # whose entries torch may fill in
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
    *("torch.load", "torch.save", "torch.compile", "torch.serialization.load", "torch.storage._load_from_bytes"),
    *("types.FunctionType", "types.CodeType", "numpy.load", "numpy.fromfile", "numpy.memmap"),
}


class Placeholder:
    """Stands in for an object of a class that is not rebuilt: holds what it was given and does nothing with it.

    kind: dotted name of the class it stands for; arguments: of its construction; state: what would have been its
    attributes.
    """

    kind = "?"

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **keywords: Any) -> Placeholder:
        """Pickles make objects by calling the class, or this alone."""
        self = object.__new__(cls)
        self.arguments, self.state = arguments, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<inert {self.kind}>"


def can_act(module: str, name: str) -> bool:
    """Whether a pickled name leads to something that runs code, or reads, writes or fetches files."""
    if module == "builtins":
        return name not in CONTAINERS and name not in INERT_BUILTINS
    inside = any(module == package or module.startswith(f"{package}.") for package in ACTING_TORCH)
    return inside or module.split(".")[0] in ACTING_MODULES or f"{module}.{name}" in ACTING_NAMES


def read(path: Path) -> Any:
    """The content of a `torch.save` file: containers, tensors on the CPU, and inert objects for everything else.

    Raises UserError, naming the file, if it asks for something that can act, or is no readable checkpoint.
    """
    try:
        names = names_in(path)
        asked = sorted(name for name in map(today, names) if can_act(*name.rsplit(".", 1)))
        stand_ins: list[Any] = [(stand_in(today(name)), key) for name in names for key in {name, today(name)}]
        if not asked:
            check_declared(path)
            with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
                warnings.simplefilter("ignore")  # of pickle protocols that it then refuses
                return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # whatever a damaged file leads the reader into
        reason = f"{type(problem).__name__}: {problem}".replace("\n", " ")
        if "Only persistent_load of storage" in reason:
            reason = "a whole network in the format from before torch 1.6, of which only state dicts are read"
        raise UserError(
            f"{path}: this is not a readable checkpoint ({reason:.160}). Expected .pt or .safetensors weights that are "
            "whole; download or save it again."
        ) from problem
    raise UserError(
        f"{path}: refused, nothing was run: it asks for {asked[0]}, which can run code. A checkpoint has no need "
        "of it. Get the file from a source you trust; --trust unpickles it, and executes the code in the file."
    )


def stand_in(name: str) -> Any:
    """What a dotted name leads to in place of what it names."""
    if name in BUILT:
        return BUILT[name]
    return type(name.rpartition(".")[2], (Placeholder,), {"kind": name})


def names_in(path: Path) -> list[str]:
    """Dotted names in a file, but for some that torch follows by itself."""
    with path.open("rb") as file:
        if file.read(4) == ZIP_MAGIC:
            return torch.serialization.get_unsafe_globals_in_checkpoint(path)
        file.seek(0)  # of torch < 1.6: five pickles one after the other, then the bytes of the storages
        steps = [step for _ in range(5) for step in pickletools.genops(file)]
    return list({str(argument).replace(" ", ".") for code, argument, _ in steps if code.name in ("GLOBAL", "INST")})


def today(name: str) -> str:
    """A dotted name as Python 3 spells it: protocol 2 writes those of Python 2."""
    module, _, last = name.rpartition(".")
    return ".".join(NAME_MAPPING.get((module, last), (IMPORT_MAPPING.get(module, module), last)))
