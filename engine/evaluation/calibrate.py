"""`val.py --calibrate`: a temperature for a detector's confidences, and a copy of its checkpoint that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data.config import TESTS
from engine.checkpoint import load_detector, save_checkpoint, save_safetensors
from engine.checkpoint.temperature import temperature_of
from engine.evaluation.analysis import Analysis
from engine.evaluation.session import weights_of
from utils.errors import UserError
from utils.log import LOGGER
from utils.metrics.calibration import detection_ece, fit_temperature, scaled
from utils.tables import save_csv, text_table

NAME = "calibrated"  # of the files


def calibrate(analysis: Analysis, folder: Path) -> Path:
    """Fit one temperature to the detections of all splits, and write a copy of the checkpoint into the run folder.

    The checkpoint itself stays as it is. Prints the D-ECE of each split before and after, and writes calibration.csv.
    Raises UserError where there are too few confident detections.
    """
    errors = [(report, split.errors) for report, split in analysis.splits]
    scores = np.concatenate([found.scores for _, found in errors])
    hit = np.concatenate([found.kind == -1 for _, found in errors])
    try:
        temperature = fit_temperature(scores, hit)
    except ValueError as problem:
        raise UserError(f"--calibrate: {problem}. Use more images, or a detector that was trained longer.") from None
    rows = [
        {
            "condition": report.condition,
            "temperature": temperature,
            "D-ECE before": detection_ece(found.scores, found.kind == -1),
            "D-ECE after": detection_ece(scaled(found.scores, temperature), found.kind == -1),
        }
        for report, found in errors
    ]
    save_csv(folder / f"{NAME}.csv", rows)
    print("\ncalibration\n" + text_table(rows))
    if any(report.split in TESTS for report, _ in errors):
        LOGGER.info("note: fitted to the test images: do not state what it reaches on them")
    path = _save(analysis, temperature, folder)
    LOGGER.info(f"calibrated copy: {path}; detect.py, val.py and export.py apply its temperature")
    return path


def _save(analysis: Analysis, temperature: float, folder: Path) -> Path:
    """The copy, in the layout of the original."""
    source, trust = weights_of(analysis.session.options), analysis.session.options.trust
    detector, meta = load_detector(source, "cpu", trust, calibrated=False)
    total = temperature * temperature_of(meta, source)
    own = meta.get("hardsight")
    facts: dict[str, Any] = own if isinstance(own, dict) else meta
    known = {key: facts[key] if isinstance(facts.get(key), dict) else {} for key in ("options", "metrics")}
    path = folder / f"{NAME}{'.safetensors' if source.suffix == '.safetensors' else '.pt'}"
    if path.suffix == ".pt":
        epoch = meta.get("epoch")
        save_checkpoint(path, detector, epoch=epoch if isinstance(epoch, int) else -1, temperature=total, **known)
    else:
        save_safetensors(path, detector, method=str(meta.get("method", "none")), temperature=total, **known)
    return path
