"""Federated labels: what is known of an image besides its objects, and the file that says so.

A set of a thousand classes cannot be labelled for all of them in every image. A federated set says for each image
which classes were looked for; of the others nobody knows whether they are there.
Source: Gupta et al., LVIS (2019), section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.config import DataConfig
from utils.disk.reading import read_json
from utils.errors import UserError

_FORM = '{"images/train/a.jpg": {"absent": [3, 7], "partial": [2]}, ...}'


@dataclass(frozen=True)
class FederatedLabels:
    """What is known of an image besides its objects; class numbers from 0.

    absent: classes that were looked for and are not there (LVIS's neg_category_ids); partial: classes of which only some
    objects are labelled (not_exhaustive_category_ids).
    """

    absent: tuple[int, ...] = ()
    partial: tuple[int, ...] = ()


def merged(parts: Sequence[FederatedLabels]) -> FederatedLabels:
    """What is known of an image made of several.

    A class that is absent in one part only still counts as absent: it is better known than a drawn one. One that is
    partial anywhere is partial.
    """
    partial = {number for part in parts for number in part.partial}
    absent = {number for part in parts for number in part.absent}
    return FederatedLabels(tuple(sorted(absent - partial)), tuple(sorted(partial)))


def read_verified(path: Path, classes: int) -> dict[str, FederatedLabels]:
    """A data YAML's `federated` file: image, relative to the data set's folder -> what is known of it.

    classes: how many the set has. Raises UserError for a file that is missing, not of the form
    {"images/train/a.jpg": {"absent": [3, 7], "partial": [2]}, ...}, or names a class that there is not.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{path}: cannot be read as JSON ({problem}). Expected {_FORM}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected {_FORM}, not a {type(content).__name__}.")
    return {image: _verified(path, image, entry, classes) for image, entry in content.items()}


def _verified(path: Path, image: str, entry: Any, classes: int) -> FederatedLabels:
    """One entry of the file, checked."""
    if not isinstance(entry, dict) or not entry.keys() <= {"absent", "partial"}:
        raise UserError(f"{path}: the entry of {image!r} is not as expected. The form is {_FORM}.")
    columns = {}
    for key, numbers in entry.items():
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise UserError(f"{path}: '{key}' of {image!r} must be a list of class numbers. The form is {_FORM}.")
        wrong = next((number for number in numbers if not 0 <= number < classes), None)
        if wrong is not None:
            raise UserError(
                f"{path}: '{key}' of {image!r} has the class {wrong}, but the classes run from 0 to {classes - 1}. "
                "Correct the file, or convert the set again."
            )
        columns[key] = tuple(numbers)
    return FederatedLabels(**columns)


def federated_labels(config: DataConfig) -> Callable[[Path], FederatedLabels] | None:
    """Looks up what is known of an image; None where the data YAML names no such file."""
    if config.federated is None:
        return None
    known = read_verified(config.federated, len(config.names))
    return lambda image: verified_of(known, config.root, image)


def verified_of(known: Mapping[str, FederatedLabels], root: Path, image: str | Path) -> FederatedLabels:
    """What is known of an image, given by its absolute path, of the data set in `root`; nothing where it is not named.

    >>> verified_of({"images/a.jpg": FederatedLabels(absent=(3,))}, Path("/set"), "/set/images/a.jpg").absent
    (3,)
    """
    path = Path(image)
    found = known.get(path.relative_to(root).as_posix()) if path.is_relative_to(root) else None
    return found or FederatedLabels()
