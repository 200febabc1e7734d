"""prepare.py: one table of commands, reached from the command line and from Python."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from data.convert import CONVERTERS, choices_of
from data.synthetic.generate import is_complete
from engine.options.prepare import ConvertOptions
from engine.preparation import all_commands, overview, prepare, prepare_argv
from engine.preparation import datasets as prepare_sets
from utils.cli import load
from utils.errors import UserError
from utils.options import schema_fields

TINY = {"size": (64, 64), "counts": ("train=1", "val=0", "test=0"), "workers": 1}


@pytest.mark.parametrize("name", all_commands())
def test_every_row_can_beloaded(name):
    command = all_commands()[name]
    schema = load(command.options)
    assert dataclasses.is_dataclass(schema)
    assert callable(load(command.run))
    assert command.first is None or command.first in schema_fields([schema])
    assert name in overview()


@pytest.mark.parametrize("argv", [["--help"], ["-h"]])
def test_help_lists_the_commands(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        prepare_argv(argv)
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in all_commands())


def test_nothing_asked_is_an_error(capsys):
    with pytest.raises(SystemExit) as stop:
        prepare_argv([])
    assert stop.value.code == 2
    assert "darken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (["darkn"], "Did you mean 'darken'"),
        (["synthetic", "demo-nigth", "--out", "x"], "demo-night"),
        (["synthetic", "--sede", "3"], "Did you mean .seed"),
        (["synthetic", "--seed", "10000"], "9999"),
        (["synthetic", "--size", "64", "64", "64", "--out", "x"], "width and height"),
        (["synthetic", "--counts", "train", "--out", "x"], "split=number"),
        (["synthetic", "--counts", "train=²", "--out", "x"], "split=number"),
        (["synthetic", "--counts", f"train={5000 * '9'}", "--out", "x"], "split=number"),
        (["synthetic", "--counts", "train=0", "--out", "x"], "one image at least"),
        (["convert", "exdrak"], "there is no such converter. Did you mean 'exdark'"),
        (["convert"], "convert exdark --source DIR --out DIR"),
        (["convert", "exdrak", "--source", "a", "--out", "b"], "exdark"),
        (["convert", "exdark", "--source", "a", "--out", "b", "--difficult"], "--difficult"),
        (["darken", "--source", "a"], "--out DIR"),
        (["clip", "--fps", "0"], "fps"),
        (["clip", "--out", "/"], "/: no video can be written there"),
        (["enhance", "--source", "/", "--out", "x"], "choose a folder beside it"),
    ],
)
def test_mistakes_name_the_next_step(argv, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=match):
        prepare_argv(argv)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spelling", [["demo-night"], ["--name", "demo-night"], ["name=demo-night"]])
def test_the_name_may_stand_first(spelling, tmp_path):
    words = ["--out", str(tmp_path / "w"), "--size", "64", "--counts", "train=1", "val=0", "test=0", "--workers", "1"]
    assert prepare_argv(["synthetic", *spelling, *words]) == tmp_path / "w"
    assert is_complete(tmp_path / "w")


def test_a_synthetic_elsewhere_says_how_to_train_in_it(tmp_path, capsys):
    prepare("synthetic", **TINY, out=tmp_path / "w")
    assert f"a copy of data/demo-night.yaml whose 'path' is {tmp_path / 'w'}" in capsys.readouterr().out


def test_a_clip_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        prepare("clip", out=tmp_path / "file" / "a.mp4")


def test_a_synthetic_goes_to_datasets_by_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert prepare("synthetic", **TINY) == Path("datasets/demo-night")
    assert "is ready" in capsys.readouterr().out
    prepare("synthetic", **TINY)
    assert "exists already" in capsys.readouterr().out


def test_clip(tmp_path):
    out = prepare("clip", out=tmp_path / "n.mp4", seconds=0.4, fps=5, size=(64, 64), workers=1)
    assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_convert_hands_on_what_was_chosen(tmp_path, monkeypatch, capsys):
    seen = {}

    def run(name, source, out, **choices):
        seen.update(name=name, source=source, out=out, **{k: v for k, v in choices.items() if v is not None})
        return prepare_sets.Summary(images=3, boxes=5)

    monkeypatch.setattr(prepare_sets, "run_converter", run)
    prepare_argv(["convert", "voc", "--source", "a", "--out", "b", "--trainval", "--link", "hard"])
    assert seen == {"name": "voc", "source": Path("a"), "out": Path("b"), "trainval": True, "link": "hard"}
    assert "3 images" in capsys.readouterr().out


def test_convert_options_cover_every_converter():
    """An option of a converter that prepare.py could not pass on would be out of reach."""
    known = set(schema_fields([ConvertOptions]))
    for module in CONVERTERS.values():
        assert choices_of(importlib.import_module(module).convert) <= known


def test_unknown_options_from_python():
    with pytest.raises(UserError, match="sedd"):
        prepare("synthetic", sedd=3)


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in all_commands())])
def test_help_imports_no_torch(root, argv):
    code = (
        "import sys\nfrom engine.preparation import prepare_argv\n"
        f"try:\n    prepare_argv({argv!r})\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "assert not {'torch', 'cv2', 'ultralytics'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_help_of_a_former_command_is_that_of_its_name_today(capsys):
    with pytest.raises(SystemExit):
        prepare_argv(["world", "--help"])
    assert capsys.readouterr().out.startswith("usage: prepare.py synthetic ")
