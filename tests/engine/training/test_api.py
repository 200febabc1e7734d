"""Two processes at one run, comparison or set: the second is told who is there, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import engine
from engine.callbacks import Callback
from engine.training.resume import NEW, run_around, run_lock
from tests.engine.tiny import write_dataset
from utils.disk.locks import LOCK, locked
from utils.errors import UserError


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_dataset(tmp_path_factory.mktemp("world"), images=4)


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything in a folder."""
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


def test_a_lock_is_there_while_a_run_trains(synthetic: dict[str, Any]) -> None:
    seen: list[bool] = []

    class Look(Callback):
        def on_batch(self, *_: Any) -> None:
            seen.append((synthetic["project"] / "held" / LOCK).exists())

    result = engine.train(**synthetic, epochs=1, name="held", method="none", callbacks=[Look()])
    assert seen and all(seen)
    assert not (result.save_dir / LOCK).exists()


@pytest.mark.parametrize("again", [{"resume": "held"}, {"name": "held", "exist_ok": True}])
def test_the_second_process_is_told(synthetic: dict[str, Any], again: dict[str, Any]) -> None:
    run = synthetic["project"] / "held"
    if "resume" in again:
        options = {"resume": str(run), "project": synthetic["project"]}
    else:
        options = {**synthetic, "epochs": 1, "method": "none", **again}
    left = run / "weights" / ".last.0123456789ab.pt"  # which the first one may be writing
    with locked(run, "trains in"):
        left.write_bytes(b"")
        before = content(run)
        with pytest.raises(UserError, match=r"process \d+ on .* trains in it, since"):
            engine.train(**options)
        assert content(run) == before


def test_what_a_kill_left_is_swept_once_nobody_holds_it(tmp_path: Path) -> None:
    weights = tmp_path / "run" / "weights"
    weights.mkdir(parents=True)
    left = [weights / ".last.0123456789ab.pt", tmp_path / "run" / ".args.0123456789ab.yaml"]
    for file in (*left, weights / NEW):
        file.write_bytes(b"")
    with run_lock(tmp_path / "run"):
        assert not any(file.exists() for file in left) and (weights / NEW).exists()


@pytest.mark.parametrize(
    ("file", "run"), [("runs/exp/weights/resume.pt", "runs/exp"), ("elsewhere/resume.pt", None), ("resume.pt", None)]
)
def test_the_run_around_a_state(tmp_path: Path, file: str, run: str | None) -> None:
    assert run_around(tmp_path / file) == (run and tmp_path / run)


def test_a_run_that_cannot_begin_leaves_no_folder(synthetic: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        engine.train(**{**synthetic, "cfg": "nosuch"}, epochs=1, name="none", method="none")
    assert not (synthetic["project"] / "none").exists()
