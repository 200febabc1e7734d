"""After training, a method costs nothing: parameters, FLOPs, state and ONNX graph are those of the plain detector."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine import export, train
from engine.checkpoint import load_detector, save_checkpoint
from models.detector import build, flops, parameters
from tests.engine.tiny import write_dataset


def operators(weights: Path) -> Counter[str]:
    """How often each operator occurs in the ONNX graph of a checkpoint.

    Identity does not count: the writer stores equal tensors once, and refers to them through such nodes.
    """
    import onnx

    files = export(weights=weights, include=("onnx",), imgsz=(64,)).files
    return Counter(node.op_type for node in onnx.load(files["onnx"]).graph.node if node.op_type != "Identity")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["wiid+rfla", "aeris"])
def test_a_trained_detector_is_a_plain_one(tmp_path, method):
    best = train(**write_dataset(tmp_path), method=method, epochs=1).best
    trained, _ = load_detector(best)
    plain = build(trained.yaml, trained.names)
    save_checkpoint(tmp_path / "plain.pt", plain, epoch=0, options={}, metrics={})
    assert parameters(trained) == parameters(plain)
    assert flops(trained, 64) == flops(plain, 64) > 0
    assert trained.state_dict().keys() == plain.state_dict().keys()
    assert operators(best) == operators(tmp_path / "plain.pt")
