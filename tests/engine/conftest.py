"""What several tests of the engine start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoint import save_checkpoint
from models.detector import build


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A detector of cats and dogs that has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "best.pt"
    save_checkpoint(path, build("yolov5n.yaml", {0: "cat", 1: "dog"}), epoch=0, options={}, metrics={})
    return path
