"""Every script does its work where no connection can be made and the home folder cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.tiny import write_dataset

GUARD = Path("tests") / "fixtures" / "offline"
ENDED = "this step ended with 0"
EACH = f"""
import importlib, json, sys
sys.path.insert(0, ".")
for name, *words in json.loads(sys.argv[1]):
    code = importlib.import_module(name).main(words)
    print("{ENDED}" if code == 0 else (name, words, code), flush=True)
"""
"""Runs scripts one after the other: torch is imported once."""
OWN = ("XDG_", "YOLO_", "MPL", "ORT_", "TORCH_HOME", "HF_")  # settings of this process that a stranger's does not have


def environment(root: Path, folder: Path) -> dict[str, str]:
    """A stranger's: an empty home folder, and the guard in front."""
    (folder / "home").mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
    guard = {"HOME": str(folder / "home"), "PYTHONPATH": str(root / GUARD), "OFFLINE_LOG": str(folder / "log")}
    return {**kept, **guard, "TMPDIR": str(folder), "COLUMNS": "100"}


def run(root: Path, folder: Path, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=root, env=environment(root, folder), capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_no_script_connects_or_writes_in_the_home_folder(root: Path, tmp_path: Path) -> None:
    options = write_dataset(tmp_path / "set", images=4)
    words = [f"{key}={value}" for key, value in options.items() if key not in {"project", "workers"}]
    data, best, place = options["data"], tmp_path / "runs" / "t" / "weights" / "best.pt", f"project={tmp_path / 'runs'}"
    images, size = tmp_path / "set" / "images" / "val", ("imgsz=64", "device=cpu")
    steps = (
        ("train", *words, "epochs=1", "workers=1", "plots=true", place, "name=t"),
        ("val", f"data={data}", f"weights={best}", *size, "workers=0", place, "name=v"),
        ("export", f"weights={best}", "include=onnx", "imgsz=64"),
        ("detect", f"weights={best}", f"source={images}", *size, place, "name=d"),
        ("detect", f"weights={best.with_suffix('.onnx')}", f"source={images}", *size, place, "name=o"),
        ("prepare", "darken", f"source={images}", f"out={tmp_path / 'dark'}"),
    )
    done = run(root, tmp_path, "-c", EACH, json.dumps(steps))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(ENDED) == len(steps)
    assert not (tmp_path / "log").exists(), (tmp_path / "log").read_text()
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import socket; socket.getaddrinfo('localhost', 80)", 1),
        ("import socket; socket.socketpair()", 0),
        ("import pathlib; (pathlib.Path.home() / 'x').write_text('x')", 1),
        ("import pathlib; (pathlib.Path.home() / 'x' / 'y').mkdir(parents=True)", 1),
    ],
)
def test_the_guard_bites(root: Path, tmp_path: Path, code: str, expected: int) -> None:
    done = run(root, tmp_path, "-c", code)
    assert done.returncode == expected, done.stderr
    assert (tmp_path / "log").exists() == ("getaddrinfo" in code)


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="a filter of Linux on x86-64")
def test_the_guard_bites_below_python(root: Path, tmp_path: Path) -> None:
    """A socket that C code asks for."""
    done = run(root, tmp_path, "-c", "import ctypes; print(ctypes.CDLL(None).socket(2, 2, 0))")
    if "no filter" in done.stderr:
        pytest.skip("this system allows no filter of system calls")
    assert done.stdout == "-1\n"
