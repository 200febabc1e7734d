"""An offline run of Weights & Biases: what it keeps on this machine, read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.loggers.wandb import WandB
from tests.engine.loggers.tiny_run import follow

pytest.importorskip("wandb", reason="the optional package wandb is not installed")


def test_an_offline_run_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    follow(WandB(), tmp_path / "exp")
    (folder,) = (tmp_path / "wandb").glob("offline-run-*-abc123")
    assert len(list(folder.glob("files/media/images/train_batch*.jpg"))) == 2
    assert len(list(folder.glob("files/media/table/best*.json"))) == 1
    (record,) = folder.glob("run-abc123.wandb")
    content = record.read_bytes()
    assert b"val/mAP50" in content and b"night.yaml" in content
