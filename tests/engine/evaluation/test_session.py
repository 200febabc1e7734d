"""What a task looks at, before anything is loaded. The rest of it is seen through val.py: test_validator.py."""

from __future__ import annotations

import pytest
import torch

from data.config import TESTS, VALS
from engine.evaluation.session import EvalSession, splits_of
from engine.options.val import ValOptions


@pytest.mark.parametrize(("task", "expected"), [("train", ("train",)), ("speed", VALS), ("test", TESTS)])
def test_splits_of_a_task(task, expected):
    assert splits_of(task) == expected


def test_calibration_keeps_the_same_detections():
    """0.001 before a temperature of 2 is sigmoid(logit(0.001) / 2) = 1 / (1 + sqrt(999)) = 0.0307 after it."""
    options, device = ValOptions(conf_thres=0.001), torch.device("cpu")
    plain, calibrated = (EvalSession(None, None, options, device, temperature=each) for each in (1.0, 2.0))  # type: ignore[arg-type]
    assert plain.settings.conf == 0.001 and calibrated.settings.conf == pytest.approx(1 / (1 + 999**0.5))
