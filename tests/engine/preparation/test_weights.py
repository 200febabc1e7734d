"""prepare.py weights: checkpoints by name."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.options.prepare import WeightsOptions
from engine.preparation import weights as command
from utils.errors import UserError
from utils.files import find_weights
from utils.releases.download import Wanted


@pytest.fixture
def release(monkeypatch, tmp_path) -> list[Wanted]:
    """A release without a network: every file is a state dict. Returns what was wanted."""
    asked: list[Wanted] = []

    def download(wanted: Wanted, target: Path, check) -> str:
        asked.append(wanted)
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"model.0.weight": torch.zeros(3, 3)}, target)
        assert check(target).state
        return hashlib.sha256(target.read_bytes()).hexdigest()

    monkeypatch.setattr(command, "download", download)
    return asked


def test_checkpoints_by_name(release, tmp_path, capsys):
    files = command.weights(WeightsOptions(names=("yolov5m", "yolov5mu.pt"), out=tmp_path))
    assert files == [tmp_path / "yolov5m.pt", tmp_path / "yolov5mu.pt"]
    first, second = release
    assert first.url.endswith("v7.0/yolov5m.pt") and first.size == 42_806_829 and first.sha256.startswith("61d93336")
    assert second == Wanted("https://github.com/ultralytics/assets/releases/download/v8.4.0/yolov5mu.pt")
    printed = capsys.readouterr().out
    assert "as expected" in printed and "not known to this project: keep it" in printed


def test_a_file_that_is_there_is_checked_and_not_fetched(release, tmp_path):
    (tmp_path / "yolov5mu.pt").write_bytes(b"mine")
    command.weights(WeightsOptions(names=("yolov5mu",), out=tmp_path))
    (tmp_path / "yolov5m.pt").write_bytes(b"mine")
    with pytest.raises(UserError, match="Move it away"):
        command.weights(WeightsOptions(names=("yolov5m",), out=tmp_path))
    assert not release and (tmp_path / "yolov5m.pt").read_bytes() == b"mine"


def test_a_folder_of_that_name_is_refused(release, tmp_path):
    (tmp_path / "yolov5m.pt").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        command.weights(WeightsOptions(names=("yolov5m",), out=tmp_path))
    assert not release


def test_an_address_and_checksum_of_ones_own(release, tmp_path):
    options = WeightsOptions(names=("yolov5m",), out=tmp_path, url="http://mirror/y.pt", sha256="AB" * 32)
    command.weights(options)
    assert release == [Wanted("http://mirror/y.pt", None, "AB" * 32, typed=True)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name at least one"),
        ({"names": ("yolo8n",)}, "Did you mean 'yolov8n'"),
        ({"names": ("yolov8n", "yolov8s"), "url": "https://x/y.pt"}, "of one file"),
        ({"names": ("yolov8n",), "sha256": "12"}, "64 hexadecimal digits"),
    ],
)
def test_mistakes(release, options, message):
    with pytest.raises(UserError, match=message):
        command.weights(WeightsOptions(**options))
    assert not release


def test_what_cannot_be_read_is_refused(monkeypatch, tmp_path):
    """The safe reader is what `download` checks with."""
    monkeypatch.setattr(command, "download", lambda wanted, target, check: check(target))
    target = tmp_path / "elsewhere" / "yolov5mu.pt"
    target.parent.mkdir()
    with pytest.raises(UserError, match="no such weights file"):
        command.weights(WeightsOptions(names=("yolov5mu",), out=target.parent))


@pytest.mark.parametrize("script", ["train", "val", "detect", "export"])
def test_a_missing_official_name_is_answered_at_once(script, root, tmp_path):
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(root / f"{script}.py"), "--weights", "yolov8x.pt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and time.perf_counter() - begun < 3  # 0.1 s; the machine may be busy
    for part in ("prepare.py weights yolov8x", "github.com/ultralytics/assets/releases/tag/v8.4.0", "weights/"):
        assert part in done.stderr
    assert not any(tmp_path.iterdir())


def test_python_callers_are_told_too(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="prepare.py weights yolov8x"):
        find_weights("yolov8x.pt")
    with pytest.raises(UserError, match="nearest by name is yolov8x.pt"):
        find_weights("yolovv8x.pt")


@pytest.mark.parametrize("name", ["yolov5m", "yolov5m.pt", "YOLOv5m.PT", "elsewhere/yolov5m"])
def test_what_was_fetched_is_found_by_every_spelling_of_its_name(monkeypatch, tmp_path, name):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "yolov5m.pt").write_bytes(b"x")
    monkeypatch.setattr("utils.files.REPOSITORY", tmp_path)
    assert find_weights(name) == tmp_path / "weights" / "yolov5m.pt"
