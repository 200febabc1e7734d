"""data.config: data YAMLs, their aliases, and every way in which one can be wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from data import config
from data.config import DataKey, declare_keys, load_data
from utils.errors import UserError

EXDARK = ["bicycle", "boat", "bottle", "bus", "car", "cat", "chair", "cup", "dog", "motorbike", "people", "table"]
NAMES = "names: {0: cat, 1: dog}\n"


def write(folder: Path, text: str, *folders: str) -> Path:
    for name in folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "set.yaml").write_text(text)
    return folder / "set.yaml"


def test_a_complete_file(tiny_set):
    data = load_data(tiny_set / "data.yaml")
    assert data.names == {0: "cat", 1: "dog"}
    assert data.root == tiny_set
    assert data.splits == {
        "train": (tiny_set / "images/train",),
        "pair": (tiny_set / "images/night",),
        "val": (tiny_set / "images/val",),
    }
    assert data.conditions == {"train": "train", "pair": "pair", "val": "val"}
    assert (data.method, data.demo, data.task) == ("none", None, "detect")
    assert load_data(tiny_set) == data  # the folder of a data.yaml stands for it


def test_aliases_lists_conditions_and_method(tmp_path):
    text = (
        "path: sub\ntrain: [a, b]\ntrain_night: c\nval: a\nval2: b\ntest:\nnames: [cat, 7]\nmethod: wiid\n"
        "conditions: {val: night, val2: day}\n"
    )
    data = load_data(write(tmp_path, text, "sub/a", "sub/b", "sub/c"))
    assert data.splits["train"] == (tmp_path / "sub/a", tmp_path / "sub/b")
    assert data.splits["pair"] == (tmp_path / "sub/c",)
    assert "test" not in data.splits
    assert data.conditions == {"train": "train", "pair": "pair", "val": "night", "val2": "day"}
    assert data.names == {0: "cat", 1: "7"}
    assert data.method == "wiid"


def test_names_are_sorted_by_number(tmp_path):
    data = load_data(write(tmp_path, "val: a\nnames: {1: b, '0': a}\nnc: 2\n", "a"))
    assert list(data.names.items()) == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("val: a\n", "'names' is missing"),
        ("val: a\nnames: 3\n", "'names' is missing"),
        ("val: a\nnames: {0: cat, 2: dog}\n", r"number the classes 0 to 1 without a gap; it has \[0, 2\]"),
        ("val: a\nnames: {zero: cat}\n", "has the number 'zero'"),
        ("val: a\nnames: {0: cat, 1.5: dog}\n", "has the number 1.5"),
        ("val: a\nnames: {0: cat, yes: dog}\n", "has the number True"),
        ("val: a\nnames: {.inf: cat}\n", "has the number inf"),
        ("val: a\nnames: {²: cat}\n", "has the number '²'"),
        ("val: a\nnames: {0: cat, '0': dog}\n", "has the number 0 twice"),
        ("val: a\nnames: [cat, cat]\n", "calls two classes 'cat'"),
        ('val: a\nnames: ["\\uD800"]\n', "letters that can be printed"),
        (f"val: a\nnames: [{'x' * 300}]\n", "at most 200 letters"),
        ("val: a\nnames: [cat]\nnc: true\n", "'nc' says True classes"),
        ("val: a\nnames: {0: no}\n", "has False where a text was expected. Put the name in quotes"),
        ("val: a\nnames: [cat]\nnc: 2\n", "'nc' says 2 classes but 'names' has 1"),
        (NAMES + "val: a\npairs: a\n", "no key 'pairs'. Did you mean 'pair'"),
        (NAMES + "val: [a, 3]\n", "'val' must be a folder"),
        (NAMES + "val: ../other\n", r"'val: \.\./other' lies outside the data set's folder"),
        (NAMES + "val: a/../../../etc\n", "lies outside the data set's folder"),
        (NAMES + "val: a\npath: 3\n", "'path' must be"),
        (NAMES + "val: a\ntask: detection\n", "expected one of detect, classify, action"),
        (NAMES + "val: a\nmethod: [wiid]\n", "'method' must be a text"),
        (NAMES + "val: a\nconditions: night\n", "'conditions' must map"),
        (NAMES + "val: a\nconditions: {val2: day}\n", "names 'val2', which is not a split"),
        (NAMES + "val: a\nconditions: {val: ../../night}\n", "has '../../night'; expected a plain word"),
        (NAMES + "val: a\nconditions: {val: 'night/dark'}\n", "expected a plain word"),
        (NAMES + "val: a\nconditions: {val: ''}\n", "expected a plain word"),
        (NAMES + 'val: a\nconditions: {val: "a\\nb"}\n', "expected a plain word"),
        (NAMES + 'val: a\nconditions: {val: "\\uD800"}\n', "expected a plain word"),
        (NAMES + f"val: a\nconditions: {{val: {'x' * 300}}}\n", "expected a plain word"),
        (NAMES + "val: a\nval2: a\nconditions: {val: night, val2: night}\n", "both val and val2 'night'"),
        (NAMES + "pair: a\ntrain_night: a\n", "two names of one key"),
        (NAMES + "val: a\nfrequency: rc\n", "'frequency' has 'rc'; expected a list of r"),
        (NAMES + "val: a\nfrequency: [r, x]\n", "'frequency' has 'x'; expected a list of r"),
        (NAMES + "val: a\nfrequency: [r, [c]]\n", r"'frequency' has \['c'\]; expected a list of r"),
        (NAMES + "val: a\nfrequency: [r]\n", "'frequency' has 1 letters, but 'names' has 2 classes"),
        (NAMES + "val: a\nfrequencies: [r, c]\n", "Did you mean 'frequency'"),
        (NAMES + "val: a\nfederated: no.json\n", r"'federated' is .*no\.json, which is missing"),
        (NAMES + "val: a\nfederated: ../no.json\n", "lies outside the data set's folder"),
        ("val: a\nnames: no.yaml\n", r"'names' are in .*no\.yaml, which is missing"),
        ("val: a\nnames: ../data.yaml\n", "lies outside the data set's folder"),
        (NAMES + "val: b\n", "'val' is .*b, which is missing. Put the data there"),
        (
            NAMES + "val: b\nprepare: python prepare.py convert exdark\n",
            "Make it with: python prepare.py convert exdark",
        ),
        (NAMES + "val: b\nprepare: [one, two]\n", "Make it with: one && two"),
        (NAMES + "val: b\ndemo: demo-night\n", "Make it with: python prepare.py synthetic demo-night"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as problem:
        load_data(write(tmp_path, text, "a"))
    assert "set.yaml" in str(problem.value)
    assert "\n" not in str(problem.value)


def test_an_absolute_folder_may_lie_elsewhere(tmp_path):
    text = f"{NAMES}path: sub\nval: {tmp_path / 'other'}\n"
    assert load_data(write(tmp_path, text, "sub", "other")).splits["val"] == (tmp_path / "other",)


def test_only_needed_splits_must_exist(tmp_path):
    file = write(tmp_path, NAMES + "train: gone\nval: a\n", "a")
    assert load_data(file, need={"val"}).splits["train"] == (tmp_path / "gone",)
    with pytest.raises(UserError, match="'train' is .*gone, which is missing"):
        load_data(file, need={"train"})


def test_a_test_split_alone_must_exist(tmp_path):
    """Beside others it is left out; alone, or for all that follows it, there is nothing left to load."""
    assert list(load_data(write(tmp_path, NAMES + "val: a\ntest: gone\ntest2: a\n", "a")).splits) == ["val", "test2"]
    with pytest.raises(UserError, match="'test' is .*gone, which is missing"):
        load_data(write(tmp_path, NAMES + "test: gone\n"))


def test_a_download_script_is_mentioned_and_never_run(tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = "download: |\n  from pathlib import Path\n  Path('pwned').touch()\n"
    with caplog.at_level(logging.WARNING):
        load_data(write(tmp_path, NAMES + "val: a\n" + script, "a"))
    assert not (tmp_path / "pwned").exists()
    assert [record.message.count("never executed") for record in caplog.records] == [1]


def test_foreign_keys_of_other_tools_do_no_harm(tmp_path):
    load_data(write(tmp_path, NAMES + "val: a\nroboflow: {version: 3}\n", "a"))


def test_a_missing_demo_synthetic_is_made_once(tmp_path):
    made = []

    def make(synthetic: str, root: Path) -> None:
        made.append((synthetic, root))
        (root / "images/val").mkdir(parents=True)

    file = write(tmp_path, NAMES + "path: world\nval: images/val\ndemo: demo-night\n")
    for _ in range(2):
        data = load_data(file, make_demo=make)
    assert made == [("demo-night", tmp_path / "world")]
    assert data.demo == "demo-night"


def test_path_is_sought_beside_the_yaml_then_in_datasets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yamls").mkdir()
    (tmp_path / "datasets/set/a").mkdir(parents=True)
    file = write(tmp_path / "yamls", NAMES + "path: set\nval: a\n")
    assert load_data(file).root == tmp_path / "datasets/set"
    (tmp_path / "yamls/set/a").mkdir(parents=True)
    assert load_data(file).root == tmp_path / "yamls/set"


def test_a_long_tail_by_its_letters_and_its_file(tmp_path):
    file = write(tmp_path, NAMES + "val: a\nfrequency: [f, r]\nfederated: a/known.json\n", "a")
    assert load_data(file, need=()).federated == tmp_path / "a/known.json"  # nothing has to be there
    (tmp_path / "a/known.json").write_text("{}")
    data = load_data(file)
    assert (data.frequency, data.federated) == (("f", "r"), tmp_path / "a/known.json")


def test_names_may_stand_in_a_file_of_the_set(tmp_path):
    """As they do in data/lvis.yaml: the converter writes names and frequency beside the images."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/data.yaml").write_text("names: {0: b, 1: a}\nfrequency: [f, r]\nval: elsewhere\n")
    data = load_data(write(tmp_path, "path: set\nval: a\nnames: data.yaml\n", "set/a"))
    assert (data.names, data.frequency, data.splits["val"]) == ({0: "b", 1: "a"}, ("f", "r"), (tmp_path / "set/a",))
    data = load_data(write(tmp_path, "path: set\nval: a\nnames: data.yaml\nfrequency: [c, c]\n"))
    assert data.frequency == ("c", "c")


@pytest.mark.parametrize("name", ["lvis.yaml", "imagenet-lvis.yaml"])
def test_lvis_says_how_to_make_it(tmp_path, monkeypatch, root, name):
    monkeypatch.chdir(tmp_path)
    text = (root / "data" / name).read_text()
    with pytest.raises(UserError, match="Make it with: python prepare.py convert lvis"):
        load_data(write(tmp_path, text))
    with pytest.raises(UserError, match="'names' are in .*Make it with: python prepare.py convert lvis"):
        load_data(write(tmp_path, text), need=())


def test_names_of_the_project_are_found_from_anywhere(tmp_path, monkeypatch):
    home = tmp_path / "project"
    (home / "data").mkdir(parents=True)
    (home / "datasets/set/a").mkdir(parents=True)
    write(home / "data", NAMES + "path: set\nval: a\n")
    monkeypatch.setattr(config, "REPOSITORY", home)
    monkeypatch.chdir(tmp_path)
    for name in ("set", "set.yaml", "data/set.yaml"):
        assert load_data(name).root == home / "datasets/set"
    with pytest.raises(UserError, match="Did you mean 'set.yaml'"):
        load_data("sets")


@pytest.mark.parametrize("name", ["Exdark_night.yaml", "Exdark.yaml"])
def test_the_files_of_the_project_name_the_twelve_classes(name):
    data = load_data(name, need=())
    assert list(data.names.values()) == EXDARK
    assert {"train", "val", "test"} <= set(data.splits)
    with pytest.raises(UserError, match="prepare.py convert"):
        load_data(name)


def test_exdark_night_trains_wiid_with_pairs():
    data = load_data("Exdark_night", need=())
    assert data.method == "wiid"
    assert "pair" in data.splits
    assert data.conditions["test"] == "night"
    assert load_data("Exdark", need=()).method == "none"


@pytest.mark.parametrize(
    ("line", "task", "name"),
    [
        ("train_night: images/night", "detect", "pair"),
        ("favoured: images/night", "detect", "reference"),
        ("favored: nights", "classify", "unlabeled"),
    ],
)
def test_other_names_of_a_key(tiny_set: Path, line: str, task: str, name: str) -> None:
    text = (tiny_set / "data.yaml").read_text().replace("pair: images/night\n", "")
    (tiny_set / "data.yaml").write_text(f"{text}{line}\ntask: {task}\n")
    data = load_data(tiny_set / "data.yaml", need=())
    assert data.splits[name][0].name == line.split("/")[-1].removeprefix("favored: ")
    (tiny_set / "data.yaml").write_text(f"{text}{line}\ntask: {task}\n{name}: images/train\n")
    with pytest.raises(UserError, match=f"'{name}' and '{line.split(':')[0]}' are two names of one key"):
        load_data(tiny_set / "data.yaml", need=())


def test_the_folder_of_a_set_converted_before_is_found(tiny_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Earlier versions called the folder `favoured`; one of the present name comes first."""
    with (tiny_set / "data.yaml").open("a") as file:
        file.write("reference: images/reference\n")
    (tiny_set / "images" / "favoured").mkdir()
    assert load_data(tiny_set / "data.yaml").splits["reference"] == (tiny_set / "images" / "favoured",)
    assert "the folder's former name" in capsys.readouterr().out
    (tiny_set / "images" / "reference").mkdir()
    assert load_data(tiny_set / "data.yaml").splits["reference"] == (tiny_set / "images" / "reference",)


def test_a_key_cannot_be_declared_twice() -> None:
    with pytest.raises(UserError, match="the key 'train' is declared twice"):
        declare_keys(DataKey("train"))
    with pytest.raises(UserError, match="the key 'pair' is declared twice"):
        declare_keys(DataKey("pair", option=True))


def test_a_folder_that_is_named_twice_counts_once(tmp_path, caplog):
    data = load_data(write(tmp_path, NAMES + "train: [a, b, a, ./a]\nval: b\n", "a", "b"))
    assert data.splits["train"] == (tmp_path / "a", tmp_path / "b")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'set.yaml'}: 'train' names a folder or list more than once; it counts once"
    ]
