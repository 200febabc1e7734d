"""A file store, queried by MLflow itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.loggers.mlflow import MLflow
from tests.engine.loggers.tiny_run import follow

mlflow = pytest.importorskip("mlflow", reason="the optional package mlflow is not installed")


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def runs_in(folder: Path) -> tuple[Any, list[Any]]:
    client = mlflow.MlflowClient((folder / "mlruns").resolve().as_uri())
    experiment = client.get_experiment_by_name("hardsight")
    return client, list(client.search_runs([experiment.experiment_id]))


def test_the_store_holds_what_the_run_wrote(tmp_path: Path) -> None:
    follow(MLflow(), tmp_path / "exp")
    client, (run,) = runs_in(tmp_path)
    assert run.info.run_name == "exp" and run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "2", "data": "night.yaml"}
    history = client.get_metric_history(run.info.run_id, "val/mAP50")
    assert [(point.step, point.value) for point in history] == [(1, 0.25), (2, 0.5)]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"train_batch0.jpg", "train_batch1.jpg", "best.json"}


def test_a_resumed_run_goes_on_in_its_own(tmp_path: Path) -> None:
    for key in ("abc123", "abc123", "other"):
        follow(MLflow(), tmp_path / "exp", key)
    assert len(runs_in(tmp_path)[1]) == 2
