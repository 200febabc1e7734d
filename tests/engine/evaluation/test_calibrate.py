"""val.py --calibrate: a copy whose confidences fit better, twice over; and too few detections."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.checkpoint import load_weights
from engine.checkpoint.temperature import temperature_of
from engine.evaluation.calibrate import calibrate
from utils.errors import UserError
from utils.metrics.calibration import scaled


def analysis(checkpoint: Path, scores: np.ndarray, hit: np.ndarray, split: str = "val"):
    """As far as `calibrate` needs one: one split with these detections."""
    errors = SimpleNamespace(scores=scores, kind=np.where(hit, -1, 3))
    options = SimpleNamespace(weights=checkpoint, trust=False)
    report = SimpleNamespace(condition="night", split=split)
    return SimpleNamespace(splits=[(report, SimpleNamespace(errors=errors))], session=SimpleNamespace(options=options))


def detections(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Detections whose confidences are too extreme by a factor of two in the logit."""
    rng = np.random.default_rng(0)
    true = rng.uniform(0.4, 0.9, count)
    return scaled(true, 0.5), rng.random(count) < true


def test_a_calibrated_copy(checkpoint, tmp_path, capsys):
    scores, hit = detections()
    before = checkpoint.read_bytes()
    first = calibrate(analysis(checkpoint, scores, hit), tmp_path / "one")  # type: ignore[arg-type]
    temperature = temperature_of(load_weights(first).meta, first)
    assert temperature == pytest.approx(2, rel=0.2) and checkpoint.read_bytes() == before
    second = calibrate(analysis(first, scores, hit), tmp_path / "two")  # type: ignore[arg-type]
    assert temperature_of(load_weights(second).meta, second) == pytest.approx(temperature**2)
    printed = capsys.readouterr().out
    assert "D-ECE before" in printed and (tmp_path / "one/calibrated.csv").is_file()


def test_too_few_detections(checkpoint, tmp_path):
    with pytest.raises(UserError, match="--calibrate: 3 detections"):
        calibrate(analysis(checkpoint, np.full(3, 0.9), np.ones(3, bool)), tmp_path)  # type: ignore[arg-type]
