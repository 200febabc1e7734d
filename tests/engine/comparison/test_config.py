"""`compare.py --config`: a comparison as YAML, its named runs, and what is made before they start."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.comparison.api import compare
from engine.comparison.config import make_all, read_config, refuse_unsafe
from tests.engine.comparison.pretended import PretendedTrainer, evaluate
from tests.engine.tiny import QUICK, write_dataset
from utils.errors import UserError
from utils.files import save_yaml

pytestmark = pytest.mark.usefixtures("no_images")
TOUCH = "tests.engine.comparison.test_config:touch"


def touch(out: Path, text: str = "") -> None:
    """A step: a file with a text."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(out.read_text() + text if out.exists() else text)


@pytest.fixture(autouse=True)
def _own_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.comparison.config.FUNCTIONS", ("bench.sets:", f"{__name__}:", "builtins:"))


@pytest.fixture
def config(given, tmp_path) -> Path:
    """The comparison of `given` as a file."""
    options = {key: str(value) if isinstance(value, Path) else value for key, value in given.items() if key != "run"}
    path = tmp_path / "night.yaml"
    save_yaml(path, {**options, "runs": {"plain": "none", "no BYOL": "wiid byol_weight=0"}, "imgsz": 64})
    return path


def add(config: Path, **content) -> Path:
    save_yaml(config, {**read_config(config)[0], **content})
    return config


def test_a_file_is_the_options_and_what_is_given_beside_it_wins(config):
    trainer = PretendedTrainer()
    result = compare(config=config, epochs=5, train=trainer, evaluate=evaluate)
    assert [(call["method"], call["seed"], call["epochs"], call["imgsz"]) for call in trainer.calls] == [
        ("none", 0, 5, 64),
        ("wiid", 0, 5, 64),
        ("none", 1, 5, 64),
        ("wiid", 1, 5, 64),
    ]
    assert result.save_dir.name == "night"
    page = (result.save_dir / "compare.md").read_text()
    assert page.startswith("# plain / no BYOL\n")
    assert "- run no BYOL: byol_weight=0.0, method=wiid" in page
    again = PretendedTrainer()
    compare(config=config, epochs=5, run=("none",), train=again, evaluate=evaluate)
    assert [call["seed"] for call in again.calls] == [0, 1]  # another label, another run


def test_steps_come_first_are_done_once_and_know_the_seed(config, tmp_path):
    steps = {f"{tmp_path}/a-{{seed}}.txt": {TOUCH: {"text": "seed {seed}"}}, f"{tmp_path}/b": {TOUCH: {"text": "b"}}}
    add(config, prepare=steps, runs={"plain": "none"}, weights=f"{tmp_path}/a-{{seed}}.txt", seed=3)
    trainer = PretendedTrainer()
    for _ in range(2):
        compare(config=config, train=trainer, evaluate=evaluate)
    assert [(tmp_path / name).read_text() for name in ("a-3.txt", "a-4.txt", "b")] == ["seed 3", "seed 4", "b"]
    assert [call["weights"] for call in trainer.calls] == [f"{tmp_path}/a-3.txt", f"{tmp_path}/a-4.txt"]


def test_a_step_that_does_not_write_its_target(tmp_path):
    with pytest.raises(UserError, match=r"b\.txt: builtins:print ran, but did not write it"):
        make_all({str(tmp_path / "b.txt"): {"builtins:print": {}}}, [0])


@pytest.mark.parametrize("command", ["os:system", "bench.sets:Path", "bench.sets:_halve", "subprocess:run"])
def test_a_file_names_no_code(config, command, monkeypatch):
    monkeypatch.setattr("engine.comparison.config.FUNCTIONS", ("bench.sets:",))
    with pytest.raises(UserError, match="a file may call functions of bench.sets alone"):
        read_config(add(config, prepare={"touch ran": {command: {}}}))


@pytest.mark.parametrize(
    ("content", "option"),
    [
        ({"trust": True}, "--trust"),
        ({"runs": {"plain": "none trust=true"}}, "--trust"),
        ({"runs": [["none", "--trust"]]}, "--trust"),
        ({"prepare": {"r/a/weights/a.pt": {"train": {"trust": "yes"}}}}, "--trust"),
        ({"logger": "tensorboard,wandb"}, "--logger wandb"),
        ({"runs": ["none --logger mlflow"]}, "--logger mlflow"),
        ({"method": "sender:Code"}, "--run sender:Code"),
        ({"runs": {"mine": "none+sender:Code lr0=0.1"}}, r"--run none\+sender:Code"),
        ({"runs": ["lr0=0.1 --method sender:Code"]}, "--run sender:Code"),
        ({"prepare": {"r/a/weights/a.pt": {"train": {"method": "sender:Code"}}}}, "--run sender:Code"),
    ],
)
def test_a_file_turns_on_nothing_unsafe(config, content, option, tmp_path, monkeypatch):
    """It turns on neither --trust nor a logger of a service, and imports no code that lies in the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sender.py").write_text("open('ran', 'w')")
    add(config, **content)
    with pytest.raises(UserError, match=rf"night\.yaml: .*no file turns on.* {option} on the command line"):
        compare(config=config, train=None, evaluate=evaluate)
    assert not (tmp_path / "ran").exists()


def test_a_file_may_name_what_stays_on_this_machine():
    refuse_unsafe({"trust": False, "logger": ("tensorboard",), "method": "wiid+rfla"})
    refuse_unsafe({"method": None, "logger": ()})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epcohs": 3}, r"night\.yaml: option epcohs: there is no such option"),
        ({"runs": {"plain": "wid"}}, "Did you mean 'wiid'"),
        ({"prepare": ["a"]}, r"night\.yaml: 'prepare' must map files or folders to steps"),
        ({"prepare": {"a": {3: {}}}}, "prepare: a: .*3"),
        ({"prepare": {"a": "darken"}}, "prepare: a: expected one command and its options"),
        ({"prepare": {"a": {"darken": {}, "train": {}}}}, "expected one command"),
        ({"prepare": {"a": {"darkn": {}}}}, "Did you mean 'darken'"),
        ({"prepare": {"a": {"darken": {"sauce": "b"}}}}, "Did you mean 'source'"),
        ({"prepare": {"a": {"train": {"epochs": 0}}}}, "epochs"),
        ({"prepare": {"a": {TOUCH: {"txt": "b"}}}}, "unexpected keyword argument 'txt'"),
        ({"prepare": {"a": {"no.such.module:x": {}}}}, "a file may call functions of"),
        ({"prepare": {"a": {"bench.sets:no_such": {}}}}, r"Expected a function \(out: Path"),
    ],
)
def test_mistakes_in_a_file_come_before_any_work(config, content, message):
    with pytest.raises(UserError, match=message):
        compare(config=add(config, **content), train=None, evaluate=evaluate)


def test_no_file():
    with pytest.raises(UserError, match=r"nowhere\.yaml: there is no such file"):
        compare(config="nowhere.yaml")


@pytest.mark.slow
def test_a_comparison_from_its_file_to_its_tables(tmp_path):
    """Nothing pretends: darkened copies and weights are made, two runs are trained, evaluated and compared."""
    options = {key: value for key, value in {**write_dataset(tmp_path), **QUICK}.items() if key != "project"}
    content = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
    weights, night = tmp_path / "runs/day/weights/best.safetensors", tmp_path / "images" / "copies_night"
    train = {**content, "method": "none", "epochs": 1}
    config = tmp_path / "tiny.yaml"
    save_yaml(
        config,
        {
            **content, "weights": str(weights), "run": ["none", "wiid"], "seeds": 1, "split": "val", "epochs": 1,
            "project": str(tmp_path / "compare"), "resamples": 100,
            "prepare": {
                str(weights): {"train": train},
                str(night): {"darken": {"source": str(next((tmp_path / "images").iterdir())), "labels": False}},
            },
        },
    )  # fmt: skip
    result = compare(config=config)
    assert [row["run"] for row in result.differences][:1] == ["wiid"]
    assert weights.is_file() and any(night.iterdir())
    assert {"compare.md", "compare.csv"} <= {path.name for path in result.save_dir.iterdir()}
