"""Which of train.py's options --help shows: those that the chosen task and methods use. Free of torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from engine.options import action, classify
from engine.options.train import COMMON_SCHEMAS
from methods.registry import METHODS, split_names
from utils.options import Option, options_for

DEFAULTS = {"classify": classify.DEFAULTS, "action": action.DEFAULTS}


def used_options(given: Mapping[str, Any]) -> list[Option]:
    """The options of the task and methods that `given` names, itself or by its data YAML, with the task's defaults.

    Without --data they are those of a plain detector. Raises UserError for an unknown method or data YAML.
    """
    task, methods = "detect", "none"
    if "data" in given:
        from data.config import method_of, task_of

        task, methods = task_of(given["data"]), method_of(given["data"])
    schemas = [*COMMON_SCHEMAS, *(METHODS[name].options for name in split_names(given.get("method") or methods))]
    options = options_for([*schemas, classify.ClassifyOptions, action.ActionOptions], task)
    defaults = DEFAULTS.get(task, {})
    return [
        dataclasses.replace(entry, default=defaults[name], shown=None) if name in defaults else entry
        for name, entry in options.items()
    ]
