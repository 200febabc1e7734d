"""MLflow: a tracking server or database by MLFLOW_TRACKING_URI, else the folder `mlruns` beside the runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.callbacks import RunInfo
from engine.loggers.base import Logger

TAG = "hardsight.run"
LONGEST = 500  # characters of a parameter that every tracking store takes


class MLflow(Logger):
    """A run of the experiment `hardsight` (or MLFLOW_EXPERIMENT_NAME). A resumed run continues its own."""

    def open(self, run: RunInfo) -> None:
        """Begin a run, or continue the one with this key."""
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # where it wants a database, a folder must be allowed
        from mlflow import MlflowClient

        store = os.environ.get("MLFLOW_TRACKING_URI") or (run.save_dir.parent / "mlruns").resolve().as_uri()
        self.client: Any = MlflowClient(store)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "hardsight"
        known = self.client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self.client.create_experiment(name)
        before = self.client.search_runs([experiment], f"tags.`{TAG}` = '{run.key}'")
        own = (
            before[0] if before else self.client.create_run(experiment, run_name=run.save_dir.name, tags={TAG: run.key})
        )
        self.id = own.info.run_id
        if before:
            self.client.update_run(self.id, status="RUNNING")
        for key, value in {} if before else run.options.items():
            self.client.log_param(self.id, key, str(value)[:LONGEST])

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One metric per column of results.csv."""
        for name, value in values.items():
            self.client.log_metric(self.id, name, value, step=step)

    def image(self, path: Path, step: int) -> None:
        """As an artifact."""
        self.client.log_artifact(self.id, str(path))

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As a JSON artifact in MLflow's own layout of tables."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        data = [[row.get(column) for column in columns] for row in rows]
        self.client.log_dict(self.id, {"columns": columns, "data": data}, f"{name}.json")

    def close(self, finished: bool) -> None:
        """Mark the run as finished, or as stopped."""
        self.client.set_terminated(self.id, "FINISHED" if finished else "KILLED")
