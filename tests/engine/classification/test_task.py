"""What may accompany --resume in tasks classify and action."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.action.task import ACTION
from engine.classification.task import CLASSIFICATION
from engine.training.resume import resumed
from utils.errors import UserError

SAVED = {"epochs": 9, "device": "0", "save_dir": "runs/exp7", "task": "classify", "project": "elsewhere", "name": ""}


@pytest.mark.parametrize(
    ("task", "option"),
    [(CLASSIFICATION, "keep_videos"), (CLASSIFICATION, "batch_size"), (ACTION, "frames"), (ACTION, "lr0")],
)
def test_what_may_not_change(task, option):
    wanted = f"so --{option.replace('_', '-')} cannot change. Beside --resume, only these may: --device, --workers"
    with pytest.raises(UserError, match=wanted):
        resumed(SAVED, {"resume": "", option: 1}, task.may_change, Path("resume.pt"))


def test_videos_in_memory_may_change():
    assert resumed(SAVED, {"keep_videos": "none"}, ACTION.may_change, Path("resume.pt"))["keep_videos"] == "none"
