"""How things run. `engine.train(...)` and its siblings take the same options as the scripts' flags.

>>> import engine
>>> result = engine.train(data="demo-night", epochs=3)  # doctest: +SKIP

Nothing heavy is imported before it is used, so that `--help` stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

import methods.registry  # noqa: F401  # declares the lines of data YAMLs that methods read

ENTRIES = {  # public name -> the module that has it
    "train": "engine.training.api",
    "validate": "engine.evaluation.api",
    "detect": "engine.inference.api",
    "stream": "engine.inference.api",
    "export": "engine.exporters.detector",
    "compare": "engine.comparison.api",
    "prepare": "engine.preparation",
    "load_detector": "engine.checkpoint",
    "Predictor": "engine.inference.predictor",
}


def __getattr__(name: str) -> Any:
    if name not in ENTRIES:
        raise AttributeError(f"module 'engine' has no attribute '{name}'")
    return getattr(importlib.import_module(ENTRIES[name]), name)
