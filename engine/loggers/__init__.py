"""Experiment trackers as callbacks: `--logger NAME`. Their packages are optional; nothing outside this folder names one."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.errors import UserError

if TYPE_CHECKING:
    from engine.loggers.base import Logger

LOGGERS = {  # name -> (its class, the package to import, what to install)
    "tensorboard": ("engine.loggers.tensorboard:TensorBoard", "tensorboard", "tensorboard"),
    "mlflow": ("engine.loggers.mlflow:MLflow", "mlflow", "mlflow"),
    "wandb": ("engine.loggers.wandb:WandB", "wandb", "wandb"),
}

LOCAL = frozenset({"tensorboard"})  # they write files on this machine and nothing else


def create_loggers(names: Sequence[str]) -> list[Logger]:
    """One logger per name, each once. Raises UserError for one whose package is not installed."""
    missing = [name for name in dict.fromkeys(names) if importlib.util.find_spec(LOGGERS[name][1]) is None]
    if missing:
        packages = " ".join(LOGGERS[name][2] for name in missing)
        raise UserError(
            f"--logger {','.join(missing)}: needs a package that is not installed. "
            f"Run pip install {packages}, or leave the logger out; results.csv holds the same rows."
        )
    return [_load(LOGGERS[name][0])() for name in dict.fromkeys(names)]


def _load(target: str) -> type[Logger]:
    module, _, name = target.partition(":")
    kind: type[Logger] = getattr(importlib.import_module(module), name)
    return kind


def log_tables(names: Sequence[str], folder: Path, key: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Tables and images of a folder that is no training run, such as a comparison's, to each logger."""
    from engine.callbacks import Callbacks, RunInfo

    hub = Callbacks(create_loggers(names))
    hub.tell("on_start", RunInfo(folder, {}, epochs=0, batches=0, key=key))
    hub.tell("new_images")
    for name, rows in tables.items():
        hub.tell("table", name, rows)
    hub.tell("close", True)
