"""utils.cli: from a script's errors to its exit code."""

from __future__ import annotations

import errno
import io
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from utils.cli import LAUNCHED, asks_version, check_official, name_machine, run_cli, script
from utils.errors import UserError


def _raise(problem: BaseException) -> None:
    raise problem


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (None, 0, ""),
        (UserError("x.yaml: wrong"), 2, "error: x.yaml: wrong\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.csv"),
            2,
            "error: x.csv: cannot be written (No space left on device). Free space there, or choose another location.\n",
        ),
    ],
)
def test_scripts_turn_mistakes_into_exit_codes(capsys, problem, code, said):
    assert run_cli(lambda: _raise(problem) if problem else None) == code
    assert capsys.readouterr().err == said


def test_scripts_do_not_hide_our_own_mistakes():
    with pytest.raises(ZeroDivisionError):
        run_cli(lambda: 1 / 0)


def test_version_alone_is_answered(capsys):
    assert asks_version(["--version"]) and not asks_version(["--version", "3"])
    assert capsys.readouterr().out.startswith("Hardsight ")


def test_the_machine_is_named_once(capsys, monkeypatch):
    name_machine("cpu")
    assert "torch" in capsys.readouterr().out
    monkeypatch.setenv(LAUNCHED, "1")
    name_machine("cpu")
    assert capsys.readouterr().out == ""
    monkeypatch.delenv(LAUNCHED)
    with pytest.raises(UserError, match="--device 99"):
        name_machine("99")


@dataclass(frozen=True)
class NoOptions:
    """A script without options."""


def test_work_that_was_interrupted_ends_as_ctrl_c_does(capsys, monkeypatch):
    monkeypatch.setattr("utils.cli.load", lambda place: lambda *given, **options: SimpleNamespace(interrupted=True))
    monkeypatch.setenv(LAUNCHED, "1")
    assert script("x.py", "a:b", [NoOptions], "", [])([]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_official_checkpoints_that_are_missing_are_told_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_official({"weights": None})
    check_official({"weights": tmp_path / "best.pt"})  # told where it is read
    for given in ({"weights": "yolov8x.pt"}, {"checkpoint": ("a=x.pt", "b=yolov8x.pt")}):
        with pytest.raises(UserError, match="prepare.py weights yolov8x"):
            check_official(given)
    (tmp_path / "yolov8x.pt").touch()
    check_official({"weights": "yolov8x.pt"})


def test_names_that_no_encoding_has_are_printed_escaped(monkeypatch):
    """A class of a damaged file, or a file name in latin-1, ends no script."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "utf-8", write_through=True))
    assert run_cli(lambda: print("dog \ud800, \udcff.jpg")) == 0
    assert written.getvalue() == b"dog \\ud800, \\udcff.jpg\n"
