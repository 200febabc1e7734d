"""Converters: the original form of a published data set -> the YOLO layout. One module per set, each with `convert`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.convert.writer import Summary, Writing
from utils.errors import UserError, suggestion

CONVERTERS = {
    "coco": "data.convert.coco",
    "exdark": "data.convert.exdark",
    "voc": "data.convert.voc",
    "aitod": "data.convert.aitod",
    "aitodv2": "data.convert.aitod",
    "visdrone": "data.convert.visdrone",
    "tinyperson": "data.convert.tinyperson",
    "dota": "data.convert.dota",
    "urpc2020": "data.convert.underwater",
    "duo": "data.convert.underwater",
    "ruod": "data.convert.underwater",
    "cityscapes": "data.convert.cityscapes",
    "foggy-cityscapes": "data.convert.cityscapes",
    "rainy-cityscapes": "data.convert.cityscapes",
    "rtts": "data.convert.rtts_dawn",
    "dawn": "data.convert.rtts_dawn",
    "kitti": "data.convert.kitti",
    "lvis": "data.convert.lvis",
    "imagenet-lvis": "data.convert.imagenet_lvis",
    "codan": "data.convert.codan",
    "exdark-cls": "data.convert.exdark_cls",
    "arid": "data.convert.arid",
    "yolo": "data.convert.yolo",
}
_FIXED: dict[str, dict[str, Any]] = {  # choices that a name stands for
    "aitodv2": {"version": "2.0"},
    **{name: {"name": name} for name in ("urpc2020", "duo", "ruod", "foggy-cityscapes", "rtts", "dawn")},
    **{name: {"name": name, "beta": "0.02"} for name in ("cityscapes", "rainy-cityscapes")},  # no fog to choose
}


def check_name(name: str) -> None:
    """Raise UserError for a data set that has no converter."""
    if name not in CONVERTERS:
        known = ", ".join(CONVERTERS)
        raise UserError(f"convert {name}: there is no such converter.{suggestion(name, CONVERTERS)} Known are {known}.")


def run(name: str, source: Path, out: Path, **choices: Any) -> Summary:
    """Convert the data set `name`, found in `source`, to the YOLO layout in `out`.

    `choices` are keyword arguments of that set's `convert`; one that is None counts as not given.
    Raises UserError for an unknown set, a choice that this set does not have, or data that are not there.
    """
    check_name(name)
    convert = importlib.import_module(CONVERTERS[name]).convert
    given = {key: value for key, value in choices.items() if value is not None}
    fixed = _FIXED.get(name, {})
    wrong = next((key for key in given if key not in choices_of(convert) - fixed.keys()), None)
    if wrong is not None:
        raise UserError(f"convert {name}: --{wrong.replace('_', '-')} does not apply to this data set. Leave it out.")
    if not source.exists():  # LVIS and COCO may be named by one file
        raise UserError(f"--source {source}: there is no such folder. Name the folder of the unpacked original.")
    if out.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"--out {out} lies in --source {source}, which would then mix with its own result. Move it out."
        )
    result: Summary = convert(source, out, **given, **fixed)
    return result


def choices_of(convert: Callable[..., Summary]) -> set[str]:
    """The names of the arguments that a set's `convert` takes."""
    names = set(inspect.signature(convert).parameters)
    return names - {"writing"} | Writing.__annotations__.keys() if "writing" in names else names
