"""The device that --device names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import utils.devices as module
from utils.devices import (
    check_devices,
    device_name,
    machine_line,
    pick_device,
    project_version,
    unused_gpu,
    version_text,
)
from utils.errors import UserError


def test_device_names() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    for wrong in ("99", "\u00b2", "9" * 5000):
        with pytest.raises(UserError, match="--device "):
            pick_device(wrong)


def test_an_absent_mac_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device mps: .* --device cpu"):
        check_devices("mps")


def test_the_first_line_names_versions_and_device() -> None:
    line = machine_line("cpu,cpu")
    assert line.startswith(f"Hardsight {project_version()}, Python 3.") and f"torch {torch.__version__}" in line
    assert line.count("CPU (") == 1 and line.endswith(f"{torch.get_num_threads()} threads)")


def test_a_gpu_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = type("Facts", (), {"name": "NVIDIA T4", "total_memory": 16 * 2**30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert device_name(torch.device("cuda", 0)) == "CUDA 13.0: NVIDIA T4 (16 GiB)"


@pytest.mark.parametrize(
    ("device", "driver", "cuda", "expected"),
    [
        ("", True, None, "was built without CUDA"),
        ("", True, "13.0", "cannot use its CUDA"),
        ("cpu", True, None, ""),
        ("", False, None, ""),
    ],
)
def test_a_gpu_that_is_left_unused_is_told(
    monkeypatch: pytest.MonkeyPatch, device: str, driver: bool, cuda: str | None, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(module.shutil, "which", lambda name: "/bin/nvidia-smi" if driver else None)
    monkeypatch.setattr(module, "DRIVER", Path("/nowhere"))
    said = unused_gpu(device)
    assert expected in said and bool(said) == bool(expected)


def test_versions_for_a_report() -> None:
    text = version_text()
    for word in ("Hardsight", "Python", f"torch {torch.__version__}", "ultralytics", "opencv-python", "CPU"):
        assert word in text
