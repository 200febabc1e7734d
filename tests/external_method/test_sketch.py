"""A method that nothing in the project knows trains, resumes, composes and strips, by the scripts alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
import yaml

import prepare
import train
from data import config
from engine.checkpoint import load_weights
from methods import registry
from models import crux, graph
from tests.engine.tiny import NETWORK, write_dataset
from utils.files import load_yaml, save_yaml
from utils.options import as_words

pytestmark = pytest.mark.slow

TARGET = "tests.external_method.sketch:Sketch"
assert crux.LAYERS, "registered before the first test"
REGISTRIES = (registry.METHODS, graph.LAYERS, graph._OWNERS, config.DECLARED)


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test loads is gone after it."""
    before = [dict(table) for table in REGISTRIES]
    yield
    for table, entries in zip(REGISTRIES, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command line of a training with gated layers and a pool of sketches."""
    given = write_dataset(tmp_path, images=8)
    data = load_yaml(tmp_path / "world.yaml")
    save_yaml(tmp_path / "world.yaml", {**data, "sketches": "images/sketches"})
    drawn = ["sketch", str(tmp_path / "images/train"), "--out", str(tmp_path / "images/sketches")]
    assert prepare.main(["--method", TARGET, *drawn]) == 0
    head = [
        [[part + 1 if part > 0 else part for part in row[0]] if isinstance(row[0], list) else row[0], *row[1:]]
        for row in NETWORK["head"]  # type: ignore[attr-defined]
    ]
    gated = {**NETWORK, "backbone": [[-1, 1, "EdgeGate", [0.5]], *NETWORK["backbone"]], "head": head}  # type: ignore[misc]
    save_yaml(tmp_path / "tiny8n-gated.yaml", gated)
    return as_words({**given, "cfg": tmp_path / "tiny8n-gated.yaml", "epochs": 2})


def run(tmp_path: Path, name: str) -> Path:
    return tmp_path / "runs" / name


def test_its_command_draws(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cv2.imread(str(tmp_path / "images/sketches/000.png")) is not None
    with pytest.raises(SystemExit):
        prepare.main(["--method", TARGET, "--help"])
    assert "Draw the edges of images." in capsys.readouterr().out


def test_it_trains_with_wiid_paints_its_map_and_strips(tmp_path: Path, words: list[str]) -> None:
    words += [f"method={TARGET}+wiid", "sketch_weight=0.5", "name=both", "plots=true"]
    assert train.main(words) == 0
    args = yaml.safe_load((run(tmp_path, "both") / "args.yaml").read_text())
    assert args["method"] == f"{TARGET}+wiid" and args["sketch_weight"] == 0.5
    header = (run(tmp_path, "both") / "results.csv").read_text().splitlines()[0].split(",")
    assert {"train/sketch", "train/pair", "train/byol"} <= set(header)
    assert (run(tmp_path, "both") / "map.png").is_file()
    names = list(load_weights(run(tmp_path, "both") / "weights/best.pt").state)
    assert "model.0.floor" in names and all(name.startswith("model.") for name in names)


def test_it_resumes_to_the_bit(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words += ["--method", TARGET]
    assert train.main([*words, "name=whole"]) == 0
    (run(tmp_path, "whole") / "weights/resume.previous.pt").replace(run(tmp_path, "whole") / "weights/resume.pt")
    whole = load_weights(run(tmp_path, "whole") / "weights/last.pt").state
    assert train.main(["--resume", str(run(tmp_path, "whole"))]) == 2
    assert f"Add --method {TARGET}" in capsys.readouterr().err
    assert train.main(["--resume", str(run(tmp_path, "whole")), "--method", TARGET]) == 0
    assert "resumed at epoch 2" in capsys.readouterr().out
    again = load_weights(run(tmp_path, "whole") / "weights/last.pt").state
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("import nowhere_to_be_found", "cannot be imported (ModuleNotFoundError"),
        ("Mine = 3", "is not a method"),
        ("class Mine: name = 'mine'", "is not a method"),
        ("class Mine(Method): name = 'wiid'", "the name 'wiid' belongs to a method already"),
        ("class Mine(Method): name = 'mine'; layers = {'CruxSplit': None}", "layer CruxSplit: both models/crux.py and"),
        ("class Mine(Method): name = 'mine'; commands = {'select': None}", "another method has the command 'select'"),
        ("class Mine(Method): name = 'mine'; keys = (DataKey('train'),)", "the key 'train' is declared twice"),
        (
            "@dataclass(frozen=True)\nclass Own: epochs: int = option(3, 'mine')\n"
            "class Mine(Method): name = 'mine'; Options = Own",
            "the option 'epochs' exists already",
        ),
        ("class Mine(Method): name = 'mine'; views = (View('depth', 'paired'),)", "the file has no 'depth' line"),
        ("class Mine(Method): name = 'mine'; views = (View('pair', 'paired'),)", "declare the view 'pair'"),
    ],
)
def test_what_cannot_be_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: str,
    said: str,
    request: pytest.FixtureRequest,
) -> None:
    """From the current folder, too."""
    module = f"mine_{abs(hash(request.node.name)) % 10**9}"
    given = write_dataset(tmp_path, images=4)
    start = "from dataclasses import dataclass\nfrom methods.base import *\nfrom utils.options import option\n"
    (tmp_path / f"{module}.py").write_text(start + lines + "\n")
    monkeypatch.chdir(tmp_path)
    assert train.main([*as_words(given), f"method={module}:Mine+wiid"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_command_that_the_project_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "from methods.base import Method\nclass Mine(Method): name = 'mine'; commands = {'darken': None}\n"
    (tmp_path / "mine_darken.py").write_text(lines)
    monkeypatch.chdir(tmp_path)
    assert prepare.main(["--method", "mine_darken:Mine", "darken"]) == 2
    assert "both the project and a method have this command" in capsys.readouterr().err


def test_a_data_yaml_imports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = write_dataset(tmp_path, images=4)
    save_yaml(tmp_path / "world.yaml", load_yaml(tmp_path / "world.yaml") | {"method": TARGET})
    assert train.main(as_words(given)) == 2
    assert "names code, which is imported only for --method" in capsys.readouterr().err
