"""Which methods exist: name -> (file of its class, its options). A new method adds one row here and nothing elsewhere."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from methods.options.aeris import AERISOptions
from methods.options.lcp import LCP_COMMANDS, LCP_LAYERS, LCPOptions
from methods.options.longtail import LongTailOptions
from methods.options.rfla import RFLAOptions
from methods.options.richsem import RICHSEM_COMMANDS, RichSemOptions
from methods.options.wiid import WiiDOptions
from methods.spec import Command, MethodSpec
from utils.errors import UserError, nearest

if TYPE_CHECKING:
    from data.detection.views import View
    from methods.base import Method


METHODS: dict[str, MethodSpec] = {
    "wiid": MethodSpec("methods.wiid:WiiD", WiiDOptions),
    "lcp": MethodSpec("methods.lcp:LCP", LCPOptions, commands=LCP_COMMANDS, layers=LCP_LAYERS),
    "aeris": MethodSpec("methods.aeris:AERIS", AERISOptions),
    "rfla": MethodSpec("methods.rfla:RFLA", RFLAOptions, suits=("tiny objects",)),
    "richsem": MethodSpec("methods.richsem:RichSem", RichSemOptions, commands=RICHSEM_COMMANDS),
    "longtail": MethodSpec(
        "methods.longtail:LongTail", LongTailOptions, implied_by=("federated", "extra_ratio", "extra_alternate")
    ),
}


def option_schemas() -> tuple[type, ...]:
    """Option schemas of all methods, in the order of the registry."""
    return tuple(entry.options for entry in METHODS.values())


def commands() -> dict[str, Command]:
    """Commands of prepare.py that methods bring along, by name."""
    return {name: command for spec in METHODS.values() for name, command in spec.commands.items()}


def unused_layers(composition: str, layers: Collection[str]) -> list[str]:
    """Methods out of the composition whose YAML layers a network has. layers: types of all its layers."""
    used = composition.split("+")
    return [name for name, spec in METHODS.items() if name not in used and not {*spec.layers}.isdisjoint(layers)]


def suited(problem: str, composition: str) -> list[str]:
    """Methods out of the composition that suit a problem, such as `tiny objects`."""
    return [name for name, spec in METHODS.items() if problem in spec.suits and name not in composition.split("+")]


def split_names(composition: str) -> list[str]:
    """Method names in `wiid+rfla`; `none` and the empty text are the plain detector.

    Raises UserError for an unknown or repeated name.

    >>> split_names("none")
    []
    """
    names = [name.strip().lower() for name in composition.split("+") if name.strip()]
    names = [name for name in names if name != "none"]
    for name in names:
        if name not in METHODS:
            guess = nearest(name, [*METHODS, "none"])
            hint = f" Did you mean '{guess}'?" if guess else ""
            raise UserError(
                f"--method {composition}: there is no method '{name}'.{hint} Known: none, {', '.join(METHODS)}."
            )
    if len(set(names)) != len(names):
        raise UserError(f"--method {composition}: name each method once.")
    return names


def with_implied(composition: str, options: Mapping[str, Any]) -> str:
    """The composition with the methods that options bring along by themselves, last. Raises UserError as `split_names`.

    options: all of a run, by name.

    >>> with_implied("rfla", {"federated": 50}), with_implied("none", {"federated": 0})
    ('rfla+longtail', 'none')
    """
    names = split_names(composition)
    implied = [name for name, entry in METHODS.items() if any(options.get(key) for key in entry.implied_by)]
    return "+".join([*names, *(name for name in implied if name not in names)]) or composition


def joined_views(methods: Sequence[Method]) -> list[View]:
    """The views of all methods. Raises UserError where two declare one name: what a method masks belongs to it alone."""
    owners: dict[str, str] = {}
    for method in methods:
        for view in method.views:
            if owners.setdefault(view.name, method.name) != method.name:
                raise UserError(
                    f"--method {'+'.join(m.name for m in methods)}: both {owners[view.name]} and {method.name} declare the "
                    f"view '{view.name}'. Leave out one of the two, or rename the view of one."
                )
    return [view for method in methods for view in method.views]


def create(composition: str, options: Mapping[type, Any]) -> list[Method]:
    """Build the methods of a composition such as `wiid+rfla`.

    `options` maps each option schema to its instance; a schema that is missing takes its defaults.
    """
    methods: list[Method] = []
    for name in split_names(composition):
        module, _, attribute = METHODS[name].target.partition(":")
        schema = METHODS[name].options
        methods.append(getattr(importlib.import_module(module), attribute)(options.get(schema) or schema()))
    return methods
