"""A checkpoint converted once for --backend, under the digest of its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import conversion
from engine.checkpoint import save_checkpoint
from engine.conversion import as_onnx
from engine.inference.backends import OnnxBackend, TorchBackend
from models.detector import build
from tests.engine.tiny import NETWORK

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def detector(seed: int) -> Any:
    torch.manual_seed(seed)
    return build(dict(NETWORK, scale="n"), {0: "square", 1: "bar"}).eval()


def test_converted_once_and_again_when_the_weights_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, kept = tmp_path / "best.pt", tmp_path / "kept"
    save_checkpoint(weights, detector(0), epoch=1, options={}, metrics={})
    first = as_onnx(weights, kept=kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "kept"]
    images = list(np.random.default_rng(0).integers(0, 255, (2, 96, 64, 3), dtype=np.uint8))  # any size, any number
    network = OnnxBackend(first)
    assert (network.size, network.single, network.overlaps) == (None, False, True)
    torch.testing.assert_close(network(images), TorchBackend(detector(0))(images), atol=2e-3, rtol=1e-3)

    monkeypatch.setattr(conversion, "convert", lambda *_, **__: pytest.fail("converted again"))
    assert as_onnx(weights, kept=kept) == first
    monkeypatch.undo()
    save_checkpoint(weights, detector(1), epoch=1, options={}, metrics={})
    assert as_onnx(weights, kept=kept) != first
