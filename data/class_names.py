"""Class names: those that a data YAML lists, and those that a network's file holds."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.tables import whole

LONGEST_NAME = 200  # letters


def class_names(file: Path, content: dict[str, Any]) -> dict[int, str]:
    """Class number -> name, from a list or a mapping."""
    names = content.get("names")
    if not names or not isinstance(names, (list, dict)):
        raise UserError(f"{file}: 'names' is missing. Add the classes, such as 'names: {{0: bicycle, 1: boat}}'.")
    result: dict[int, str] = {}
    for key, name in names.items() if isinstance(names, dict) else enumerate(names):
        number = _class_number(file, key)
        if number in result:
            raise UserError(f"{file}: 'names' has the number {number} twice. Remove one of the two.")
        result[number] = _class_name(file, name)
    if sorted(result) != list(range(len(names))):
        raise UserError(
            f"{file}: 'names' must number the classes 0 to {len(names) - 1} without a gap; it has "
            f"{reprlib.repr(sorted(result))}."
        )
    if twice := next((name for name, count in Counter(result.values()).items() if count > 1), None):
        raise UserError(
            f"{file}: 'names' calls two classes {twice!r}, so that reports could not tell them apart. Rename one."
        )
    count = content.get("nc", len(result))
    if isinstance(count, bool) or count != len(result):
        raise UserError(
            f"{file}: 'nc' says {reprlib.repr(count)} classes but 'names' has {len(result)}. Remove 'nc' or correct 'names'."
        )
    return dict(sorted(result.items()))


def stored_names(found: Any) -> dict[int, str] | None:
    """Class names that a network's file holds, a list or a mapping, as number -> name; None where it holds none.

    Letters that cannot be printed are replaced, and no more than LONGEST_NAME are kept.
    """
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if not isinstance(found, Mapping) or not found or not all(map(_is_class_number, found)):
        return None
    return {int(key): _printable(name) for key, name in sorted(found.items(), key=lambda item: int(item[0]))}


def _printable(name: Any) -> str:
    text = str(name)[:LONGEST_NAME]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _is_class_number(key: Any) -> bool:
    """Whether a key is a whole number, which JSON writes as text. 1.5 and yes number no class."""
    return not isinstance(key, bool) and whole(str(key)) is not None


def _class_number(file: Path, key: Any) -> int:
    if _is_class_number(key):
        return int(key)
    raise UserError(f"{file}: 'names' has the number {reprlib.repr(key)}; expected 0, 1, 2, ...")


def _class_name(file: Path, name: Any) -> str:
    """The name of a class, as text that any console and file can hold."""
    if isinstance(name, bool) or not isinstance(name, (str, int, float)) or name == "":  # YAML: no, yes, on, off
        raise UserError(f"{file}: 'names' has {reprlib.repr(name)} where a text was expected. Put the name in quotes.")
    text = str(name)
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise UserError(
            f"{file}: 'names' has {reprlib.repr(text)}; expected at most {LONGEST_NAME} letters that can be printed."
        )
    return text
