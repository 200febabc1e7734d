"""Pixel transforms of albumentations from a file: `--albumentations FILE`. The package is optional."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import UserError, suggestion
from utils.files import read_yaml

EXAMPLE = "- Blur: {p: 0.1}"


class PixelTransforms:
    """The transforms of a YAML or JSON file, in its order: a list of `Name: {argument: value}`.

    Names are looked up among albumentations' image-only transforms and arguments are plain values, so that a file can
    run no code of its own. Raises UserError for a missing package or file, an unknown name, a transform that moves
    boxes, or arguments that it refuses.
    """

    def __init__(self, file: Path) -> None:
        library = load_library()
        steps = [make(library, file, entry) for entry in read(file)]
        self.compose: Any = library.Compose(steps)

    def __call__(self, image: np.ndarray, draw: int) -> np.ndarray:
        """image: (H, W, 3) BGR uint8; the result too. The same draw gives the same change."""
        self.compose.set_random_seed(draw)
        changed = self.compose(image=np.ascontiguousarray(image[..., ::-1]))["image"]
        return np.ascontiguousarray(changed[..., ::-1])


def load_library() -> Any:
    """The package. Nothing is fetched: its look for a newer version is off."""
    if importlib.util.find_spec("albumentations") is None:
        raise UserError(
            "--albumentations: needs a package that is not installed. Run pip install albumentations, or leave it out."
        )
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    return importlib.import_module("albumentations")


def read(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """(name, arguments) of each transform in the file."""
    try:
        content = read_yaml(file)
    except UserError as problem:
        raise UserError(f"--albumentations {problem}") from None
    if not isinstance(content, list) or not content:
        raise UserError(f"--albumentations {file}: expected a list of transforms, such as '{EXAMPLE}'.")
    return [_entry(file, entry) for entry in content]


def _entry(file: Path, entry: Any) -> tuple[str, dict[str, Any]]:
    """`Name`, or `Name: {arguments}`."""
    pairs = {entry: {}} if isinstance(entry, str) else entry
    if not isinstance(pairs, Mapping) or len(pairs) != 1:
        raise UserError(f"--albumentations {file}: {entry!r} is no transform. Write one per item, such as '{EXAMPLE}'.")
    ((name, arguments),) = pairs.items()
    if not isinstance(arguments or {}, Mapping):
        raise UserError(f"--albumentations {file}: {name}: expected arguments by name, such as '{EXAMPLE}'.")
    return str(name), dict(arguments or {})


def make(library: Any, file: Path, entry: tuple[str, dict[str, Any]]) -> Any:
    """The transform of an entry."""
    name, arguments = entry
    kinds = {key: kind for key, kind in vars(library).items() if isinstance(kind, type)}
    kind = kinds.get(name)
    known = [key for key, other in kinds.items() if issubclass(other, library.ImageOnlyTransform)]
    if kind is not None and issubclass(kind, library.DualTransform):
        raise UserError(
            f"--albumentations {file}: {name} moves boxes. Only pixel transforms are taken; for geometry there are "
            "--degrees, --scale, --fliplr and others."
        )
    if kind is None or name not in known or kind is library.ImageOnlyTransform:
        raise UserError(
            f"--albumentations {file}: {name!r} is no pixel transform of albumentations.{suggestion(name, known)}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it only warns of an argument that it does not know
            return kind(**arguments)
    except (TypeError, ValueError, Warning) as problem:
        raise UserError(f"--albumentations {file}: {name}: {' '.join(str(problem).split())}") from None
