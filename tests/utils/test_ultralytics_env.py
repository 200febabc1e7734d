"""Ultralytics stays quiet, and the user's own settings stay the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.ultralytics_env import contain_ultralytics, give_back_memory, keep_freed_memory, spin_briefly


def test_settings_live_in_a_folder_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YOLO_CONFIG_DIR", "YOLO_AUTOINSTALL", "YOLO_OFFLINE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    contain_ultralytics()
    assert "hardsight" in os.environ["YOLO_CONFIG_DIR"] and Path(os.environ["YOLO_CONFIG_DIR"]).is_dir()
    assert Path.home() not in Path(os.environ["YOLO_CONFIG_DIR"]).parents
    assert (os.environ["YOLO_AUTOINSTALL"], os.environ["YOLO_OFFLINE"]) == ("false", "true")
    assert int(os.environ["OMP_NUM_THREADS"]) == os.cpu_count()


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    contain_ultralytics()
    assert os.environ["YOLO_CONFIG_DIR"] == str(tmp_path / "mine") and os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system knows no owners")
def test_a_folder_of_another_user_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever makes it first on a shared machine could put settings and fonts there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "hardsight-ultralytics-54321").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.delenv("YOLO_CONFIG_DIR", raising=False)
    contain_ultralytics()
    assert Path(os.environ["YOLO_CONFIG_DIR"]).parent == tmp_path
    assert Path(os.environ["YOLO_CONFIG_DIR"]).name != "hardsight-ultralytics-54321"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_spin_briefly(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    spin_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected


@pytest.mark.parametrize("module", ["engine.inference.backends", "engine.exporters.detector"])
def test_onnx_runtime_tells_nobody(module: str, tmp_path: Path) -> None:
    """With telemetry on it writes a device id and an event store into the home folder, and looks a host up."""
    pytest.importorskip("onnxruntime")
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    code = f"import {module}, onnxruntime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert [path for path in tmp_path.rglob("*") if "Microsoft" in path.parts or "onnxruntime" in path.name] == []


def test_keeping_memory_is_harmless() -> None:
    keep_freed_memory()
    assert sum(bytearray(1 << 24)) == 0


def test_giving_memory_back_is_harmless() -> None:
    kept = bytearray(b"\1") * (1 << 20)
    give_back_memory()
    assert sum(kept) == 1 << 20
