"""What one option is: its type, range and choices, and how a text or a Python value becomes its value."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import UserError, suggestion
from utils.files import typed_path

SWITCH_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


class Group(NamedTuple):
    """A heading of --help and of the documentation. tasks: what its options serve unless they say otherwise; empty: all."""

    title: str
    tasks: tuple[str, ...] = ()

    def option(self, default: Any, help: str, **facts: Any) -> Any:
        """Declare an option under this heading, with the arguments of `option`."""
        return option(default, help, group=self, **facts)

    def fraction(self, default: float | None, help: str, **facts: Any) -> Any:
        """An option from 0 to 1."""
        return self.option(default, help, low=0.0, high=1.0, **facts)


def option(
    default: Any,
    help: str,
    *,
    group: Group | str = "General",
    tasks: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[Any] | None = None,
    aliases: Sequence[str] = (),
    formerly: Sequence[str] = (),
    metavar: str | None = None,
    bare: str | None = None,
    shown: str | None = None,
    switch: tuple[str, str] | None = None,
) -> Any:
    """Declare one option as a dataclass field. The annotation gives its type:

    bool, int, float, str, Path, one of them `| None`, or tuple[one of them, ...].
    `low` and `high` are inclusive. `aliases` are other spellings, with or without dashes in front; `formerly` are names
    that it had, which work with a note. `bare` is the value of a flag written without one (`--resume`, `--cache`).
    `tasks` are those that the option serves; none given: those of its group, or all. `shown` is what --help says of a
    default that stands for something else ("auto"). `switch`: what true and false mean where texts are expected, and
    --no-x with them.
    """
    heading = group if isinstance(group, Group) else Group(group)
    facts: dict[str, Any] = {"help": help, "group": heading.title, "low": low, "high": high, "metavar": metavar}
    facts |= {"bare": bare, "shown": shown, "switch": switch, "tasks": tuple(tasks) or heading.tasks}
    facts |= {"choices": tuple(choices) if choices is not None else None}
    facts |= {"aliases": tuple(map(spelt, aliases)), "formerly": tuple(map(spelt, formerly))}
    return dataclasses.field(default=default, metadata=facts)


def spelt(key: str) -> str:
    """A name with underscores and no leading dashes."""
    return str(key).lstrip("-").replace("-", "_")  # a key of a YAML may be a number


class RemovedOption(NamedTuple):
    """An option that is no longer there: the default it had, and what to do instead, as a sentence."""

    default: Any
    instead: str


@dataclasses.dataclass(frozen=True)
class Option:
    """One declared option. `kind` is bool, int, float, str or Path; `many` marks tuple[kind, ...]; no `tasks` means all."""

    name: str
    kind: type
    default: Any
    optional: bool = False
    many: bool = False
    help: str = ""
    group: str = "General"
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] | None = None
    aliases: tuple[str, ...] = ()
    metavar: str | None = None
    bare: str | None = None
    tasks: tuple[str, ...] = ()
    formerly: tuple[str, ...] = ()
    shown: str | None = None
    switch: tuple[str, str] | None = None

    @property
    def flag(self) -> str:
        """The flag as --help shows it."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What the option takes, in words, for messages and tables: type and range, or the choices."""
        if self.choices is not None:
            words = "one of " + ", ".join(str(choice) for choice in self.choices)
        else:
            words = _TYPE_NAMES[self.kind] + range_text(self.low, self.high)
        words = f"a list, each {words}" if self.many else words
        return f"{words}, or none" if self.optional else words


def range_text(low: float | None, high: float | None) -> str:
    """A range in words: ' from 0 to 1', ' from 1', ' up to 10', or nothing."""
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" from {low}"
    return f" up to {high}" if high is not None else ""


def read_type(hint: Any) -> tuple[type, bool, bool]:
    """(kind, optional, many) of an annotation. Raises TypeError for one that options cannot have."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        optional = len(parts) < len(typing.get_args(hint))
        if len(parts) != 1:
            raise TypeError(f"an option is of one type or none, not {hint}")
        hint = parts[0]
    many = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if many else hint
    if kind not in _TYPE_NAMES:
        raise TypeError(f"an option is bool, int, float, str or Path, or a tuple of one of them, not {hint}")
    return kind, optional, many


def convert(option: Option, value: Any) -> Any:
    """Turn a text or a Python value into the option's value. Raises UserError: option, value and what was expected."""
    is_word = isinstance(value, str) and value.lower() in {"none", "null", ""} and value not in (option.choices or ())
    if option.optional and (value is None or is_word):
        return None
    try:
        if option.many:
            return tuple(_one(option, item) for item in _items(option, value))
        return _one(option, value)
    except (OverflowError, TypeError, ValueError):
        near = suggestion(str(value), map(str, option.choices or ()))
        shown = repr(str(value) if isinstance(value, Path) else value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."  # never pages of it
        raise UserError(f"option {option.name}: {shown} does not fit; expected {option.expected}.{near}") from None


def _items(option: Option, value: Any) -> Iterable[Any]:
    """The items of a list option: '0,2 3' and '[0, 2]' are split; texts only where there are fixed choices."""
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [part for item in value for part in _items(option, item)]
    if not isinstance(value, str) or (option.kind in (str, Path) and option.choices is None):
        return [value]
    return value.strip().strip("[]()").replace(",", " ").split()


def _one(option: Option, value: Any) -> Any:
    """One value, typed, in range and among the choices; ValueError or TypeError where it is not."""
    if option.switch is not None and str(value).lower() in SWITCH_WORDS:
        value = option.switch[0] if SWITCH_WORDS[str(value).lower()] else option.switch[1]
    result = _READERS[option.kind](value)
    if option.choices is not None and result not in option.choices:
        raise ValueError
    if option.low is not None and result < option.low or option.high is not None and result > option.high:
        raise ValueError
    return result


def _read_bool(value: Any) -> bool:
    """True and false, their usual words, 1 and 0."""
    word = str(value).lower()
    if isinstance(value, (bool, int, str)) and word in SWITCH_WORDS:
        return SWITCH_WORDS[word]
    raise ValueError


def _read_int(value: Any) -> int:
    """Whole numbers, also as 8.0 or '8'."""
    if isinstance(value, bool) or isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _read_float(value: Any) -> float:
    """Finite numbers, also as text."""
    if isinstance(value, bool) or not math.isfinite(number := float(value)):
        raise ValueError
    return number


def _read_text(value: Any) -> str:
    """Texts, numbers (device=0) and paths."""
    if value is None or isinstance(value, (bool, list, tuple, dict, set)):
        raise ValueError
    return str(value)


_READERS: dict[type, typing.Callable[[Any], Any]] = {
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_text,
    Path: lambda value: typed_path(_read_text(value)),
}
