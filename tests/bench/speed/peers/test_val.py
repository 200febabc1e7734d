"""The validation that is timed next to Ultralytics' finds what theirs finds."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.speed.peers.val import METRICS, copied, ours, theirs
from engine.checkpoint import save_checkpoint
from models.detector import build
from utils.files import save_yaml


@pytest.mark.slow
def test_both_sides_agree(tmp_path: Path) -> None:
    names = {0: "a", 1: "b"}
    for kind in ("images", "labels"):
        (tmp_path / "set" / kind / "val").mkdir(parents=True)
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"set/images/val/{number}.png"), image)
        (tmp_path / f"set/labels/val/{number}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    save_yaml(tmp_path / "set/data.yaml", {"path": str(tmp_path / "set"), "val": "images/val", "names": names})
    (tmp_path / "copy").mkdir()
    data = copied(Namespace(data=str(tmp_path / "set/data.yaml"), split="val", images=2), tmp_path / "copy")
    assert len(list((tmp_path / "copy/images").iterdir())) == 2
    weights = tmp_path / "best.pt"
    save_checkpoint(weights, build("yolov5n", names), epoch=0, options={}, metrics={})
    found, expected = ours(weights, data, 64)(), theirs(weights, data, 64)()
    assert {name: found[name] for name in METRICS} == pytest.approx(expected, abs=1e-6)
