"""Weights & Biases: offline unless this machine has its key; `wandb sync` sends an offline run later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.callbacks import RunInfo
from engine.loggers.base import Logger, text


class WandB(Logger):
    """A run of the project `hardsight` (or WANDB_PROJECT), its files beside the runs. A resumed run continues its own."""

    def open(self, run: RunInfo) -> None:
        """Begin a run. Nothing is asked on the terminal: without a key the run is kept on this machine."""
        import wandb

        self.wandb: Any = wandb
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.api.api_key else "offline")
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "hardsight", name=run.save_dir.name, id=run.key, resume="allow",
            dir=str(run.save_dir.parent), config={key: str(value) for key, value in run.options.items()}, mode=mode,
        )  # fmt: skip

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One curve per column of results.csv."""
        self.run.log(dict(values), step=step)

    def image(self, path: Path, step: int) -> None:
        """Under the name of the file."""
        self.run.log({path.stem: self.wandb.Image(str(path))}, step=step)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As a table of texts: columns of mixed types are refused by it."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        data = [[text(row.get(column, "")) for column in columns] for row in rows]
        self.run.log({name: self.wandb.Table(columns=columns, data=data)}, step=self.step)

    def close(self, finished: bool) -> None:
        """Finish the run."""
        self.run.finish(exit_code=0 if finished else 1)
