"""Names to loggers; what is said where a package is missing; a whole run with one that fails."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from engine import loggers
from engine.callbacks import RunInfo
from engine.loggers import create_loggers, log_tables
from engine.loggers.base import Logger
from tests.engine.tiny import write_dataset
from utils.errors import UserError


class Kept(Logger):
    """Keeps what it is told; fails at the second epoch if `fails`."""

    fails = False
    made: list[Kept] = []

    def open(self, run: RunInfo) -> None:
        self.told: list[str] = []
        Kept.made.append(self)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        if self.fails and step == 2:
            raise ConnectionError("no route to the tracker")
        self.told.append(f"{step}: {'val/mAP50' in values}")

    def image(self, path: Path, step: int) -> None:
        self.told.append(path.name)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.told.append(f"{name} {len(rows)}")

    def close(self, finished: bool) -> None:
        self.told.append(f"closed {finished}")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> type[Kept]:
    """Under the name of the first logger."""
    monkeypatch.setattr(Kept, "made", [])
    first = next(iter(loggers.LOGGERS))
    monkeypatch.setitem(loggers.LOGGERS, first, (f"{__name__}:Kept", "pytest", "pytest"))
    monkeypatch.setattr(loggers, "_load", lambda target: Kept)
    return Kept


def test_one_message_names_all_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install mlflow wandb"):
        create_loggers(["mlflow", "wandb", "mlflow"])


def test_a_missing_package_leaves_no_run_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = write_dataset(tmp_path, images=4) | {"method": "none"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--logger wandb"):
        engine.train(**options, logger="wandb")
    assert not (tmp_path / "runs").exists()


def test_a_run_sends_rows_images_and_its_best(kept: type[Kept], tmp_path: Path) -> None:
    options = write_dataset(tmp_path, images=4) | {"method": "none", "plots": True}
    engine.train(**options, epochs=1, logger="tensorboard")
    (logger,) = kept.made
    assert logger.told[:2] == ["1: True", "train_batch0.jpg"]
    assert {"best 2", "results.png", "predictions.jpg"} < set(logger.told) and logger.told[-1] == "closed True"


def test_a_logger_that_fails_stops_nothing(
    kept: type[Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(kept, "fails", True)
    options = write_dataset(tmp_path, images=4) | {"method": "none"}
    with caplog.at_level(logging.WARNING, "hardsight"):
        result = engine.train(**options, epochs=3, logger="tensorboard")
    assert len(result.rows) == 3 and kept.made[0].told == ["1: True"]
    assert [record.message for record in caplog.records if "Kept" in record.message] == [
        "note: Kept failed and is off from here on: no route to the tracker"
    ]


@pytest.mark.slow
def test_a_run_folder_of_somebody_else_sends_nothing(kept: type[Kept], tmp_path: Path, monkeypatch: Any) -> None:
    """Its state names a service whose package is installed here. It is used where the command line names it again."""
    monkeypatch.setitem(loggers.LOGGERS, "wandb", (f"{__name__}:Kept", "pytest", "pytest"))
    options = write_dataset(tmp_path, images=4) | {"method": "none"}
    run = engine.train(**options, epochs=1).save_dir
    state = torch.load(run / "weights/resume.pt", weights_only=True)
    for epochs, given, sent in ((2, {}, []), (3, {"logger": "wandb"}, ["3: True"])):
        state["options"] |= {"epochs": epochs, "logger": ["wandb"]}
        torch.save(state, run / "weights/resume.pt")
        engine.train(resume=str(run), **given)
        assert [line for logger in kept.made for line in logger.told if line[0] == str(epochs)] == sent
        state = torch.load(run / "weights/resume.pt", weights_only=True)
    assert len(kept.made) == 1


def test_tables_of_a_comparison(kept: type[Kept], tmp_path: Path) -> None:
    (tmp_path / "compare.png").write_bytes(b"")
    log_tables(["tensorboard"], tmp_path, "key", {"summary": [{"run": "none"}]})
    assert kept.made[0].told == ["compare.png", "summary 1", "closed True"]
