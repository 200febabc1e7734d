"""The public names of `engine`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import engine

NAMES = ("train", "validate", "detect", "stream", "export", "compare", "prepare", "load_detector", "Predictor")


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_there_and_documented(name: str) -> None:
    assert callable(getattr(engine, name)) and getattr(engine, name).__doc__


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        engine.fly  # noqa: B018


def test_importing_engine_imports_no_torch() -> None:
    code = "import engine, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0  # noqa: S603
