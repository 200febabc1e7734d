"""The scripts from outside: quick help without torch, exit code 2 and one paragraph for mistakes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.tiny import write_dataset

SCRIPTS = ["train", "val", "detect", "export", "prepare", "compare"]


def run(root: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_no_torch(root: Path, script: str) -> None:
    code = (
        "import runpy, sys; sys.argv = [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'ultralytics' not in sys.modules"
    )
    done = run(root, "-c", code, f"{script}.py")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 100


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_does_nothing_but_open(root: Path, script: str) -> None:
    assert len((root / f"{script}.py").read_text().splitlines()) < 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.py", "--epohcs", "3"], "'epochs'"),
        (["train.py", "--epochs", "three"], "epochs"),
        (["train.py", "--back_ratio", "7"], "back"),
        (["val.py", "--weigths", "x.pt"], "weights"),
        (["detect.py", "--sorce", "0"], "source"),
        (["export.py", "--inclode", "onnx"], "include"),
        (["prepare.py", "darkn"], "darken"),
        (["compare.py", "--sedes", "2"], "seeds"),
    ],
)
def test_mistakes_end_with_two_and_the_nearest_name(root: Path, words: list[str], message: str) -> None:
    done = run(root, *words)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_file_that_is_no_checkpoint(root: Path, tmp_path: Path) -> None:
    synthetic = write_dataset(tmp_path, images=2)
    (tmp_path / "note.pt").write_text("not a checkpoint")
    words = [f"data={synthetic['data']}", f"weights={tmp_path / 'note.pt'}", f"project={tmp_path / 'runs'}"]
    done = run(root, "train.py", *words)
    assert done.returncode == 2 and "note.pt" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["train", "val", "detect", "export", "compare"])
@pytest.mark.parametrize("words", [["--help"], ["--help", "all"]])
def test_help_has_three_examples_and_fits(
    script: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        importlib.import_module(script).main(words)
    page = capsys.readouterr().out
    assert page.count(f"\n  python {script}.py ") == 3
    assert max(map(len, page.splitlines())) <= 100


def test_the_first_line_names_torch_and_device(root: Path) -> None:
    done = run(root, "train.py", "--data", "nowhere.yaml", "--device", "cpu")
    first = done.stdout.splitlines()[0]
    assert "torch 2." in first and "CPU (" in first and done.returncode == 2


def test_an_absent_device_is_told_before_anything_is_drawn(root: Path, tmp_path: Path) -> None:
    done = run(tmp_path, str(root / "train.py"), "--data", "demo-night", "--device", "99")
    assert done.returncode == 2 and done.stderr.startswith("error: --device 99") and not any(tmp_path.iterdir())
