"""Which methods exist: name -> (file of its class, its options). A new method adds one row here and nothing elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data.config import declare_keys
from methods.options.aeris import AERISOptions
from methods.options.lcp import LCP_COMMANDS, LCP_KEYS, LCP_LAYERS, LCPOptions
from methods.options.longtail import LongTailOptions
from methods.options.mean_teacher import MEAN_TEACHER_COMMANDS, MEAN_TEACHER_KEYS, MeanTeacherOptions
from methods.options.rfla import RFLAOptions
from methods.options.richsem import RICHSEM_COMMANDS, RICHSEM_KEYS, RichSemOptions
from methods.options.weather import WeatherOptions
from methods.options.wiid import WIID_KEYS, WiiDOptions
from methods.spec import Command, MethodSpec
from utils.cli import load
from utils.errors import UserError, nearest

if TYPE_CHECKING:
    from data.detection.views import View
    from methods.base import Method


_ON_DEGRADED = dict.fromkeys(("shift-blur", "shift-noise", "shift-low-resolution"), "--restore-weight 0")
METHODS: dict[str, MethodSpec] = {
    "wiid": MethodSpec("methods.wiid:WiiD", WiiDOptions, keys=WIID_KEYS, suits={"shift-dark": ""}, cost=2.5),
    "lcp": MethodSpec(
        "methods.lcp:LCP", LCPOptions, commands=LCP_COMMANDS, layers=LCP_LAYERS, keys=LCP_KEYS,
        suits={"shift-clear": "--cfg models/yolov5n-crux.yaml"}, cost=1.4,
    ),
    "weather": MethodSpec(
        "methods.weather.method:Weather", WeatherOptions, implied_by=("weather",),
        suits={"shift-haze": "--weather fog=0.5", "shift-dark": "--weather low_light=0.5"},
    ),
    "aeris": MethodSpec("methods.aeris:AERIS", AERISOptions, suits=_ON_DEGRADED),
    "rfla": MethodSpec("methods.rfla:RFLA", RFLAOptions, suits={"tiny-objects": ""}),
    "richsem": MethodSpec("methods.richsem:RichSem", RichSemOptions, commands=RICHSEM_COMMANDS, keys=RICHSEM_KEYS),
    "longtail": MethodSpec(
        "methods.longtail:LongTail", LongTailOptions, implied_by=("federated", "extra_ratio", "extra_alternate")
    ),
    "mean-teacher": MethodSpec(
        "methods.mean_teacher.method:MeanTeacher",
        MeanTeacherOptions,
        commands=MEAN_TEACHER_COMMANDS,
        keys=MEAN_TEACHER_KEYS,
    ),
}  # fmt: skip


declare_keys(*(key for spec in METHODS.values() for key in spec.keys))
OURS = frozenset(METHODS)
"""Methods of the project; `load_method` adds others to METHODS."""


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


def suitable_methods(finding: str, composition: str = "none") -> dict[str, str]:
    """Methods out of the composition that answer a finding, such as `tiny-objects`, with the options beside --method.

    >>> suitable_methods("tiny-objects")
    {'rfla': ''}
    """
    named = composition.split("+")
    return {name: spec.suits[finding] for name, spec in METHODS.items() if finding in spec.suits and name not in named}


def split_names(composition: str) -> list[str]:
    """Method names in `wiid+rfla`; `none` and the empty text are the plain detector, `package.module:Class` is loaded.

    Raises UserError for an unknown or repeated name.

    >>> split_names("none")
    []
    """
    parts = [part.strip() for part in composition.split("+") if part.strip()]
    names = [load_method(part) if ":" in part else part.lower() for part in parts]
    names = [name for name in names if name != "none"]
    for name in names:
        if name not in METHODS:
            guess = nearest(name, [*METHODS, "none"])
            hint = f" Did you mean '{guess}'?" if guess else ""
            raise UserError(
                f"--method {composition}: there is no method '{name}'.{hint} Known: none, {', '.join(METHODS)}; a method of "
                "your own is named as package.module:Class."
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
    return "+".join(map(spelled, [*names, *(name for name in implied if name not in names)])) or composition


def spelled(name: str) -> str:
    """How `--method` names a method again: by its name, or by the class of one that is not the project's."""
    return METHODS[name].target if name not in OURS else name


def load_method(target: str) -> str:
    """Import a method from `package.module:Class`, on the path or in the current folder, and register it. Returns its name.

    Raises UserError where it cannot be imported, is no Method, or claims what another has: its name, a layer, a command.
    """
    known = next((name for name, spec in METHODS.items() if spec.target == target), None)
    if known is not None:
        return known
    import models.crux  # noqa: F401  # registers its layers; torch, which --help of the project's own methods does without
    from methods.base import Method
    from models.graph import register_layers

    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = load(target)
    except Exception as problem:
        raise UserError(
            f"--method {target}: cannot be imported ({type(problem).__name__}: {problem}). Expected package.module:Class, "
            "found from the current folder or the Python path."
        ) from problem
    name = getattr(found, "name", "")
    if not (isinstance(found, type) and issubclass(found, Method)) or not str(name).isidentifier():
        wrong = "is not a method. Expected a subclass of methods.base.Method with a plain word as its `name`."
    elif name in METHODS or name == "none":
        wrong = f"the name '{name}' belongs to a method already. Give the class another `name`."
    elif twice := next((command for command in found.commands if command in commands()), None):
        wrong = f"another method has the command '{twice}' of prepare.py. Rename this one."
    else:
        wrong = ""
    if wrong:
        raise UserError(f"--method {target}: {wrong}")
    register_layers(target, found.layers)
    declare_keys(*found.keys)
    METHODS[name] = MethodSpec(target, found.Options, (), found.commands, tuple(found.layers), found.keys)
    return name


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
    """Build the methods of a composition such as `wiid+rfla`, in the order of the registry, however it was typed.

    `options` maps each option schema to its instance; a schema that is missing takes its defaults.
    """
    named = split_names(composition)
    specs = [spec for name, spec in METHODS.items() if name in named]
    return [load(spec.target)(options.get(spec.options) or spec.options()) for spec in specs]
