"""SIGKILL at random moments of a training: what is resumed ends as an unbroken run does, and nothing is left over.

`CHAOS_KILLS` and `CHAOS_SEED` say how often and when; `make chaos` sets them.
"""

from __future__ import annotations

import contextlib
import csv
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint.weights import load_weights
from tests.engine.tiny import write_dataset

ROOT = Path(__file__).resolve().parents[2]
KILLS, SEED = int(os.environ.get("CHAOS_KILLS", "3")), int(os.environ.get("CHAOS_SEED", "0"))
LONGEST = 0.5  # s from the first state that a process saves until it is killed
UNEQUAL = ("seconds", "memory")  # columns that differ between two runs of one seed

pytestmark = pytest.mark.chaos


def start(*words: str) -> subprocess.Popen:
    """train.py in a process of its own."""
    return subprocess.Popen([sys.executable, "train.py", *words], cwd=ROOT, stdout=subprocess.DEVNULL)


def wait_for_state(process: subprocess.Popen, run: Path) -> None:
    """Until a process that trains has saved a state, or is over."""
    file, since = run / "weights" / "resume.pt", time.time()
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime > since:
                return
        time.sleep(0.01)


def killed_often(run: Path, words: list[str], draw: random.Random) -> int:
    """Train to the end through KILLS kills at most; how many there were."""
    kills = 0
    resumable = False
    while True:
        process = start("--resume", str(run)) if resumable else start(*words, "exist_ok=true")
        wait_for_state(process, run)
        try:
            if process.wait(draw.uniform(0, LONGEST) if kills < KILLS else 300) == 0:
                return kills
            raise AssertionError(f"exit code {process.returncode} after {kills} kills")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert kills < KILLS, "the last try did not end"
        kills += 1
        resumable = any((run / "weights" / name).exists() for name in ("resume.pt", "resume.previous.pt"))


def results(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open() as file:
        return [
            {key: value for key, value in row.items() if not key.startswith(UNEQUAL)} for row in csv.DictReader(file)
        ]


def test_a_run_that_is_killed_often_equals_an_unbroken_one(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        **write_dataset(tmp_path / "set"),
        "epochs": 4 + KILLS,
        "save_steps": 1,
        "project": tmp_path,
    }
    words = [f"{key}={value}" for key, value in options.items()]
    unbroken = start(*words, "name=unbroken")
    kills = killed_often(tmp_path / "killed", [*words, "name=killed"], random.Random(SEED))
    assert unbroken.wait(300) == 0
    assert kills == KILLS
    for name in ("last.pt", "best.pt"):
        one, other = (load_weights(tmp_path / run / "weights" / name).state for run in ("unbroken", "killed"))
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), name
    assert results(tmp_path / "unbroken") == results(tmp_path / "killed")
    names = [
        {str(file.relative_to(tmp_path / run)) for file in (tmp_path / run).rglob("*")}
        for run in ("unbroken", "killed")
    ]
    assert names[0] == names[1]
