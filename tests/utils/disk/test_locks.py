"""One process at a time: who holds a lock is told, and a dead owner's is taken over."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from utils.disk import locks
from utils.disk.locks import lock_of, locked, sweep
from utils.errors import UserError

HOLDER = """
import sys, time
from pathlib import Path
from utils.disk.locks import locked
with locked(Path(sys.argv[1]), "trains in"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path, root: Path):
    """Another process that holds tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "run"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_it_is_released(tmp_path: Path) -> None:
    with locked(tmp_path / "run", "trains in"):
        assert json.loads(lock_of(tmp_path / "run").read_text())["process"] == os.getpid()
    assert not files_in(tmp_path)
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "run", "trains in"):
        raise ZeroDivisionError
    assert not files_in(tmp_path)
    with locked(tmp_path / "set", "writes", beside=True):
        assert files_in(tmp_path) == [".set.lock"]
    assert not files_in(tmp_path)


@pytest.mark.parametrize("beside", [False, True])
def test_folders_in_which_nothing_was_written_go(tmp_path: Path, beside: bool) -> None:
    out = tmp_path / "a" / "b" / "set"
    with pytest.raises(ZeroDivisionError), locked(out, "writes", beside):
        raise ZeroDivisionError
    assert not any(tmp_path.iterdir())
    with locked(out, "writes", beside):
        (tmp_path / "a" / "mine").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "mine"]


def test_the_second_is_told_who_holds_it(tmp_path: Path, holder: subprocess.Popen) -> None:
    for name in ("run", "other/../run"):
        with pytest.raises(UserError, match=rf"process {holder.pid} on {platform.node()} trains in it, since .*remove"):
            locked(tmp_path / name, "trains in").__enter__()
    with locked(tmp_path / "other", "trains in"):
        pass


def test_a_killed_owner_leaves_it_to_the_next(tmp_path: Path, holder: subprocess.Popen) -> None:
    holder.kill()  # SIGKILL
    holder.wait()
    assert lock_of(tmp_path / "run").exists()
    with locked(tmp_path / "run", "trains in"):
        assert json.loads(lock_of(tmp_path / "run").read_text())["process"] == os.getpid()
    assert not files_in(tmp_path)


def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    owner = {"host": platform.node(), "process": os.getpid(), "began": 1.0, "doing": "x", "since": "x"}
    (tmp_path / "run").mkdir()
    lock_of(tmp_path / "run").write_text(json.dumps(owner))
    with locked(tmp_path / "run", "trains in"):
        pass


def test_another_host_is_believed(tmp_path: Path) -> None:
    owner = {"host": "elsewhere", "process": 2**22, "began": 1.0, "doing": "trains in", "since": "today"}
    (tmp_path / "run").mkdir()
    lock_of(tmp_path / "run").write_text(json.dumps(owner))
    with pytest.raises(UserError, match="process 4194304 on elsewhere trains in it, since today"):
        locked(tmp_path / "run", "trains in").__enter__()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"process": "1"}', b"[" * 5000])
def test_damaged_locks_hold_for_a_while(tmp_path: Path, content: bytes) -> None:
    """Where there are no links, a lock is empty for a moment."""
    lock = lock_of(tmp_path / "run")
    lock.parent.mkdir()
    lock.write_bytes(content)
    with pytest.raises(UserError, match="process "):
        locked(tmp_path / "run", "trains in").__enter__()
    os.utime(lock, (time.time() - 60,) * 2)
    with locked(tmp_path / "run", "trains in"):
        pass


def test_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError("this file system has no links")

    monkeypatch.setattr(os, "link", link)
    with locked(tmp_path / "run", "trains in"):
        with pytest.raises(UserError, match=f"process {os.getpid()}"):
            locked(tmp_path / "run", "trains in").__enter__()
        assert files_in(tmp_path) == [".lock"]
    assert not files_in(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        locked(tmp_path / "file" / "run", "trains in").__enter__()


def test_of_many_at_once_one_holds_it(tmp_path: Path) -> None:
    """All of them find a dead owner's lock."""
    (tmp_path / "run").mkdir()
    lock_of(tmp_path / "run").write_text(json.dumps({"host": platform.node(), "process": 2**22 + 5, "began": 1.0}))
    held, refused, start = [], [], threading.Barrier(8)

    def work() -> None:
        start.wait()
        try:
            with locked(tmp_path / "run", "trains in"):
                held.append(1)
                over.wait()
        except UserError as problem:
            refused.append(str(problem))
            if len(refused) == 7:
                over.set()

    over = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(held), len(refused)) == (1, 7)
    assert not files_in(tmp_path)


def test_sweep(tmp_path: Path) -> None:
    left = [".resume.0123456789ab.pt", ".args.0123456789ab.yaml", ".set.0123456789ab.partial", ".x.lock.0123456789ab"]
    kept = ["resume.pt", ".hidden", ".run.lock", ".args.0123.yaml", "a.0123456789ab.pt"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("")
    os.utime(tmp_path / left[0], (time.time() - 7200,) * 2)
    sweep([tmp_path], older=3600)
    assert not (tmp_path / left[0]).exists() and (tmp_path / left[1]).exists()
    sweep([tmp_path, tmp_path / "absent"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_longest_names(tmp_path: Path) -> None:
    for beside in (False, True):
        with locked(tmp_path / ("x" * 255), "trains in", beside):
            assert locks.lock_of(tmp_path / ("x" * 255), beside).exists()
