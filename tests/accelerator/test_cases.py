"""Runs case_*.py in a process of their own: a backend that PyTorch has once been given stays for the rest of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("file", ["case_device.py", "case_methods.py"])
def test_on_the_simulated_device(root: Path, file: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/accelerator/{file}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
