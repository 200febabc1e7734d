"""What a training run tells whoever listens: `engine.train(callbacks=[MyCallback()])`. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.results import Report
from utils.log import LOGGER


@dataclass(frozen=True)
class RunInfo:
    """A run as it begins. batches: per epoch; key: the same again after --resume, and another for every other run."""

    save_dir: Path
    options: Mapping[str, Any]
    epochs: int
    batches: int
    key: str


class Callback:
    """Listens to a run; each method does nothing unless a subclass says otherwise.

    They are called on the main process only, from the thread that trains: a slow one slows the run. An error in one ends
    the run, unless `optional`: then the run goes on without this listener, with one note.

    >>> class Losses(Callback):
    ...     def on_epoch(self, row):
    ...         print(row["epoch"], row["train/box_loss"])
    """

    optional = False

    def on_start(self, run: RunInfo) -> None:
        """Before the first step, after args.yaml is written; again after --resume."""

    def on_batch(self, epoch: int, batch: int, losses: Mapping[str, Any]) -> None:
        """After each batch; both numbers from 0. losses: name -> scalar tensor on the device (reading one waits for it)."""

    def on_validation(self, epoch: int, reports: Sequence[Report]) -> None:
        """After the validation of an epoch (from 0): a report per split; not called where the epoch has none."""

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        """After an epoch: its row of results.csv, `epoch` from 1. The checkpoints of the epoch are written."""

    def on_end(self, reports: Sequence[Report]) -> None:
        """Last, once: the reports of the best checkpoint; none where the run was stopped or failed."""


class Callbacks:
    """Several callbacks as one."""

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self.callbacks = list(callbacks)

    def tell(self, event: str, *facts: Any) -> None:
        """Call this method of each. An optional one that fails is dropped, with a note; the error of another is raised."""
        for callback in list(self.callbacks):
            try:
                getattr(callback, event)(*facts)
            except Exception as problem:
                if not callback.optional:
                    raise
                self.callbacks.remove(callback)
                reason = " ".join(str(problem).split())[:200] or type(problem).__name__
                LOGGER.warning(f"note: {type(callback).__name__} failed and is off from here on: {reason}")
