"""How things run. `engine.train(...)` and its siblings take the same options as the scripts' flags.

>>> import engine
>>> result = engine.train(data="demo-night", epochs=3)  # doctest: +SKIP

Nothing heavy is imported before it is used, so that `--help` stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

ENTRIES = {
    "train": "engine.training.api:train",
    "validate": "engine.evaluation.api:validate",
    "detect": "engine.inference.api:detect",
    "export": "engine.exporters.detector:export",
    "compare": "engine.comparison.api:compare",
}


def __getattr__(name: str) -> Any:
    if name not in ENTRIES:
        raise AttributeError(f"module 'engine' has no attribute '{name}'")
    module, _, attribute = ENTRIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
