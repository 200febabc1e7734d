"""engine.training.detection: what a run of a detector notes before it starts, its batch, time and validation losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from engine.training import detection
from engine.training.detection import from_scratch
from engine.training.plan import make_plan
from tests.engine.tiny import write_dataset
from utils.errors import UserError


@pytest.mark.parametrize(
    ("cfg", "official"),
    [("models/yolov5s.yaml", "yolov5s.pt"), ("yolov8n-p2", "yolov8n.pt"), ("mine.yaml", "yolov5m.pt")],
)
def test_random_weights_are_noted_with_the_official_ones(cfg: str, official: str) -> None:
    assert from_scratch(cfg).endswith(f"--weights weights/{official}")


def test_the_batch_is_chosen_by_memory_on_cuda_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ultralytics is asked with four times the objects of the fullest image, two here, and the number of images."""
    asked: list[Any] = []

    def answer(model: Any, imgsz: int, amp: bool, batch: int, max_num_obj: int, dataset_size: int) -> int:
        asked.append((imgsz, amp, batch, max_num_obj, dataset_size))
        return 24

    monkeypatch.setattr(detection, "check_train_batch_size", answer)
    plan = make_plan({**write_dataset(tmp_path, images=4), "method": "none", "batch_size": -1})
    network: Any = torch.nn.Identity()
    monkeypatch.setattr(network, "to", lambda device: network)
    assert detection.auto_batch(plan, network, torch.device("cpu")) == 16 and not asked
    assert detection.auto_batch(plan, network, torch.device("cuda")) == 24 and asked == [(64, True, -1, 8, 4)]


def test_a_row_has_validation_losses(tmp_path: Path) -> None:
    """One value of each per epoch; args.yaml names the batch that -1 stands for on the CPU."""
    result = engine.train(**{**write_dataset(tmp_path, images=4), "method": "none", "batch_size": -1}, epochs=1)
    row = result.rows[-1]
    assert {"val/box_loss", "val/cls_loss", "val/dfl_loss"} <= row.keys()
    assert 0 < row["val/cls_loss"] < 100 and row["val/box_loss"] >= 0
    assert "batch_size: 16" in (result.save_dir / "args.yaml").read_text()


@pytest.mark.parametrize("size", [0, -2])
def test_a_batch_of_nothing_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(UserError, match="batch.size"):
        engine.train(**{**write_dataset(tmp_path, images=4), "batch_size": size})


def test_time_ends_a_run(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level("INFO", "hardsight"):
        result = engine.train(**write_dataset(tmp_path, images=4), method="none", epochs=9, time=1e-6)
    assert len(result.rows) == 1 and "--time 1e-06 h is over: stopped after epoch 1" in caplog.text
