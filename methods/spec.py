"""What is known of a method before its code is imported: `--help` and `prepare.py --help` need no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data.config import DataKey


class Command(NamedTuple):
    """A command of prepare.py: `options` (a schema) and `run` are 'module:name', imported on use.

    about: a sentence for --help. first: the option that a bare word fills. formerly: a name that it had. quiet: it says on
    what machine it runs by itself, or needs none.
    """

    about: str
    options: str
    run: str
    first: str | None = None
    formerly: str | None = None
    quiet: bool = False


class MethodSpec(NamedTuple):
    """Where a method lives, the schema of its options, and what it brings along.

    implied_by: options that call for it; commands: of prepare.py, by name; layers: the YAML layers that it trains;
    keys: lines of data YAMLs that it reads; suits: findings of `prepare.py check` that it answers (data/checks/findings.py),
    each with the options to give beside --method; cost: time of its training step, relative to a plain one.
    """

    target: str
    options: type
    implied_by: tuple[str, ...] = ()
    commands: Mapping[str, Command] = {}
    layers: tuple[str, ...] = ()
    keys: tuple[DataKey, ...] = ()
    suits: Mapping[str, str] = {}
    cost: float = 1.0
