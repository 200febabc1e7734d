"""The commands of the documentation: all of them are understood, and those of the scripts' pages run on tiny data."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.docs_sandbox import commands, make_sandbox, smaller
from tests.test_docs import HISTORY, PAGES, ROOT

SCRIPTS = ("train.py", "val.py", "detect.py", "export.py", "compare.py", "prepare.py")
RUN = ["README.md", *(page for page in PAGES if page.startswith("docs/scripts/"))]
NEEDS = {  # part of a command -> why it cannot run here
    "--source 0": "a camera",
    "rtsp://": "a camera in the network",
    "https://": "the network",
    "prepare.py weights": "the network",
    "prepare.py convert": "the original data set",
    "--device 0": "a GPU",
    "--model cut": "a trained translator",
    "--int8": "nncf, or another optional package",
    "--resume": "a training that was stopped",
    "prepare.py select": "a detector that finds something",
    "--train-demo": "minutes",
    "--checkpoint RN50.safetensors": "CLIP's weights",
}


def ours(page: str) -> list[list[str]]:
    """The commands of a page that start a script of the project: [script, word, ...]."""
    found = commands(ROOT / page)
    return [words[1:] for words in found if words[1] in SCRIPTS]


def needs(words: list[str]) -> str:
    """What a command needs that is not here, or nothing."""
    return next((reason for part, reason in NEEDS.items() if part in " ".join(words)), "")


def main(script: str, words: list[str]) -> int:
    code: int = importlib.import_module(script.removesuffix(".py")).main(words)
    return code


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY])
def test_commands_are_understood(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("utils.cli.check_official", lambda given: None)
    monkeypatch.setattr("utils.cli.name_machine", lambda device: None)
    monkeypatch.setattr("engine.preparation.name_machine", lambda device: None)
    monkeypatch.setattr("engine.preparation.prepare", lambda command, **options: None)
    loaded = importlib.import_module("utils.cli").load
    monkeypatch.setattr(
        "utils.cli.load", lambda place: (lambda **options: None) if place.startswith("engine.") else loaded(place)
    )
    refused = {" ".join(words): main(words[0], words[1:]) for words in ours(page) if "my_project" not in str(words)}
    assert not any(refused.values()), capsys.readouterr().err


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_sandbox(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.docs
@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_commands_run(page: str, sandbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ours(page):
        script, *words = command
        if not needs(command):
            found = words[0] == "check"  # a data set of four images has findings
            assert main(script, smaller(script, words)) <= found, (script, words, capsys.readouterr().err)
