"""utils.options: one declaration gives flags, checks, help and tables."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest
import yaml

from utils import options
from utils.errors import UserError
from utils.options import option
from utils.options.types import read_type


@dataclass(frozen=True)
class Training:
    epochs: int = option(30, "passes over the data", group="Training", low=1, high=10000)
    lr0: float = option(0.01, "first learning rate", group="Training", low=0)
    batch_size: int = option(8, "images per step", aliases=("--batch",))
    cos_lr: bool = option(False, "cosine schedule")
    plots: bool = option(True, "draw curves")
    classes: tuple[int, ...] = option((), "keep these classes", low=0)
    weights: Path | None = option(None, "checkpoint to start from", metavar="FILE")
    device: str = option("", "cpu, 0 or 0,1")
    resume: str | None = option(None, "go on", bare="last")
    highlight: str = option("off", "target highlighting", choices=("off", "box", "saliency"))


@dataclass(frozen=True)
class Method:
    back_ratio: float = option(0.3, "fraction of background cells | masked", group="WiiD", low=0.0, high=1.0)
    run: tuple[str, ...] = option((), "runs to compare", group="WiiD")


SCHEMAS = [Training, Method]


def parse(line: str | list[str]) -> dict:
    return options.parse_argv(line.split() if isinstance(line, str) else line, SCHEMAS, "train.py", "Train.")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("--epochs 5", {"epochs": 5}),
        ("--epochs=5 --batch 4", {"epochs": 5, "batch_size": 4}),
        ("--batch-size 4 --batch_size 5", {"batch_size": 5}),
        ("epochs=5 batch=2 back-ratio=.5", {"epochs": 5, "batch_size": 2, "back_ratio": 0.5}),
        ("--back_ratio 0.3", {"back_ratio": 0.3}),
        ("--lr0 1e-3", {"lr0": 0.001}),
        ("--cos-lr", {"cos_lr": True}),
        ("--cos-lr false", {"cos_lr": False}),
        ("--cos_lr --epochs 3", {"cos_lr": True, "epochs": 3}),
        ("--no-plots --epochs 3", {"plots": False, "epochs": 3}),
        ("plots=off", {"plots": False}),
        ("--classes 0 2 3 --epochs 4", {"classes": (0, 2, 3), "epochs": 4}),
        ("--classes 0,2,3 epochs=4", {"classes": (0, 2, 3), "epochs": 4}),
        ("--classes [0,2] --classes 5", {"classes": (0, 2, 5)}),
        ("--weights a.pt", {"weights": Path("a.pt")}),
        ("--weights none", {"weights": None}),
        ("--device 0,1", {"device": "0,1"}),
        ("--resume", {"resume": "last"}),
        ("--resume --epochs 2", {"resume": "last", "epochs": 2}),
        ("--resume epochs=2", {"resume": "last", "epochs": 2}),
        ("--resume runs/exp", {"resume": "runs/exp"}),
        ("--highlight box", {"highlight": "box"}),
    ],
)
def test_command_lines(line, expected):
    assert parse(line) == expected


def test_repeated_text_lists_grow_and_keep_their_spaces():
    words = ["--run", "none", "--run", "wiid byol_weight=0 back_ratio=0", "--run", "wiid"]
    assert parse(words) == {"run": ("none", "wiid byol_weight=0 back_ratio=0", "wiid")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--epoch 5", "option --epoch: there is no such option. Did you mean 'epochs'"),
        ("--bakc-ratio 5", "Did you mean 'back-ratio'"),
        ("--no-plot", "no such option. Did you mean 'plots'"),
        ("--no-epochs", "no such option"),
        ("epoch=5", "option epoch: there is no such option"),
        ("--epochs", "option --epochs: a value must follow; expected a whole number from 1 to 10000"),
        ("--epochs --lr0 1", "a value must follow"),
        ("--classes", "a value must follow; expected a list, each a whole number from 0"),
        ("--epochs 0", "option epochs: '0' does not fit; expected a whole number from 1 to 10000"),
        ("--epochs 2.5", "does not fit"),
        ("--epochs ten", "'ten' does not fit"),
        ("--lr0 -1", "expected a number from 0"),
        ("--lr0 nan", "does not fit"),
        ("--back_ratio 1.5", "expected a number from 0.0 to 1.0"),
        ("--cos-lr=maybe", "expected true or false"),
        ("--highlight boxes", "one of off, box, saliency. Did you mean 'box'"),
        ("--classes 0 -2", "does not fit"),
        ("file.yaml", "'file.yaml' on the command line belongs to no option"),
        ("-epochs 3", "Did you mean --epochs"),
    ],
)
def test_wrong_command_lines(line, message):
    with pytest.raises(UserError, match=message):
        parse(line)


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"epochs": "7"}, "epochs", 7),
        ({"epochs": 7.0}, "epochs", 7),
        ({"batch": 3}, "batch_size", 3),
        ({"batch-size": 3}, "batch_size", 3),
        ({"device": 0}, "device", "0"),
        ({"device": "cpu"}, "device", "cpu"),
        ({"classes": [0, "2"]}, "classes", (0, 2)),
        ({"classes": 3}, "classes", (3,)),
        ({"classes": "0 2"}, "classes", (0, 2)),
        ({"weights": "~/x.pt"}, "weights", Path("~/x.pt").expanduser()),
        ({"cos_lr": 1}, "cos_lr", True),
        ({}, "lr0", 0.01),
    ],
)
def test_build_converts(given, name, expected):
    training, _ = options.build(SCHEMAS, given)
    assert getattr(training, name) == expected
    assert type(getattr(training, name)) is type(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 1}, "option epoch: there is no such option. Did you mean 'epochs'"),
        ({3: 1}, "option 3: there is no such option"),  # as a YAML may have it
        ({"epochs": True}, "does not fit"),
        ({"epochs": None}, "option epochs: None does not fit"),
        ({"lr0": float("inf")}, "does not fit"),
        ({"lr0": 10**400}, "does not fit"),
        ({"lr0": [1]}, "does not fit"),
        ({"device": ["a"]}, "does not fit"),
        ({"cos_lr": 0.5}, "expected true or false"),
        ({"device": True}, "does not fit"),
    ],
)
def test_build_refuses(given, message):
    with pytest.raises(UserError, match=message):
        options.build(SCHEMAS, given)


def test_instances_are_frozen_and_go_to_yaml():
    training, method = options.build(SCHEMAS, {"weights": "a.pt", "classes": [1]})
    with pytest.raises(FrozenInstanceError):
        training.epochs = 3
    content = options.as_dict(training, method)
    assert content["weights"] == "a.pt"
    assert content["classes"] == [1]
    assert options.build(SCHEMAS, yaml.safe_load(yaml.safe_dump(content))) == (training, method)


def test_a_name_may_be_shared_but_not_with_two_types():
    @dataclass(frozen=True)
    class Same:
        epochs: int = option(99, "shared")

    @dataclass(frozen=True)
    class Other:
        epochs: str = option("x", "another meaning")

    assert options.build([Training, Same], {"epochs": 3})[1].epochs == 3
    assert options.build([Training, Same], {})[1].epochs == 99
    with pytest.raises(TypeError, match="two types"):
        options.schema_fields([Training, Other])


@pytest.mark.parametrize("hint", [dict, list[int], int | str, tuple[dict, ...]])
def test_types_that_options_cannot_have(hint):
    with pytest.raises(TypeError):
        read_type(hint)


def test_help_groups_options_and_states_defaults(capsys):
    with pytest.raises(SystemExit) as leaving:
        parse("--epochs 3 -h")
    page = capsys.readouterr().out
    assert leaving.value.code == 0
    assert page.index("Training:\n") < page.index("General:\n") < page.index("WiiD:\n")
    for words in (
        "--batch-size, --batch N",
        "from 0.0 to 1.0; default: 0.3",
        "off | box | saliency",
        "[TEXT]",
        "--weights FILE",
    ):
        assert words in page
    assert max(map(len, page.splitlines())) <= 100


def shown(given):
    return [entry for name, entry in options.schema_fields([Training]).items() if name in {"epochs", *given}]


@pytest.mark.parametrize(
    ("line", "listed", "missing"),
    [
        ("--help", {"--epochs"}, {"--device", "--back-ratio"}),
        ("-h --device cpu", {"--epochs", "--device"}, {"--back-ratio"}),
        ("--device cpu --help", {"--epochs", "--device"}, {"--back-ratio"}),
        ("--help all", {"--epochs", "--device", "--back-ratio"}, set()),
    ],
)
def test_help_lists_what_the_other_options_choose(capsys, line, listed, missing):
    with pytest.raises(SystemExit):
        options.parse_argv(line.split(), SCHEMAS, "train.py", "Train.", ["python train.py --epochs 3"], shown)
    page = capsys.readouterr().out
    assert all(f"  {flag} " in page for flag in listed) and not any(flag in page for flag in missing)
    assert "Examples:\n  python train.py --epochs 3\n" in page
    assert ("--help all lists every option" in page) == ("all" not in line)


def test_defaults_that_stand_for_something_else():
    @dataclass(frozen=True)
    class Schema:
        weights: Path | None = option(None, "checkpoint", shown="required")
        device: str = option("", "device", shown="auto")
        name: str = option("", "name")
        labels: bool | None = option(None, "labels")

    page = options.help_text(options.schema_fields([Schema]).values(), "x.py", "")
    assert all(
        text in page
        for text in ("checkpoint (required)", "device (default: auto)", "name (default: none)", "labels (default: off)")
    )
    assert options.markdown_table(Schema).splitlines()[2:] == [
        "| `--weights` | required |  | checkpoint |",
        "| `--device` | auto |  | device |",
        "| `--name` | `none` |  | name |",
        "| `--labels` | `off` |  | labels |",
    ]


@dataclass(frozen=True)
class Changed:
    reference: str = option("", "reference images", formerly=("favoured",))
    removed = {
        "turns": options.RemovedOption("", "Use --reference."),
        "shallow": options.RemovedOption("rest", "Leave it out."),
    }


def test_a_former_name_works_with_one_note(capsys):
    options._note.cache_clear()
    assert options.build([Changed], {"favoured": "a"}) == (Changed("a"),)
    assert options.parse_argv(["--favoured", "a"], [Changed], "x.py", "") == {"reference": "a"}
    assert capsys.readouterr().err == "note: --favoured is now --reference\n"


def test_a_removed_option_says_what_to_do_instead():
    with pytest.raises(UserError, match="option --turns: it is no longer there. Use --reference."):
        options.parse_argv(["--turns", "UC"], [Changed], "x.py", "")
    with pytest.raises(UserError, match="option shallow: it is no longer there. Leave it out."):
        options.build([Changed], {"shallow": "train"})


def test_options_of_an_older_file_are_read_under_their_present_names(capsys):
    saved = {"favoured": "a", "turns": "", "shallow": "train"}
    assert options.from_file(saved, [Changed]) == {"reference": "a", "shallow": "train"}
    assert capsys.readouterr().err == ""


def test_a_markdown_table_has_a_row_per_group():
    lines = options.markdown_table(Training, Method).splitlines()
    assert [line for line in lines if "**" in line] == [f"| **{g}** | | | |" for g in ("Training", "General", "WiiD")]


def test_markdown_table():
    lines = options.markdown_table(Method).splitlines()
    assert lines[2] == "| `--back-ratio` | `0.3` | from 0.0 to 1.0 | fraction of background cells \\| masked |"
    assert len(lines) == 4


def test_names_and_values_become_canonical_and_words_again():
    given = {"--batch": "4", "back-ratio": 1, "classes": "0 2", "weights": "a.pt"}
    own = options.canonical(given, SCHEMAS)
    assert own == {"batch_size": 4, "back_ratio": 1.0, "classes": (0, 2), "weights": Path("a.pt")}
    assert parse(options.as_words(own)) == own
    with pytest.raises(UserError, match="Did you mean 'epochs'"):
        options.canonical({"epoch": 4}, SCHEMAS)


def test_options_serve_their_own_tasks_those_of_their_group_or_all():
    boxes = options.Group("Boxes", tasks=("detect",))

    @dataclass(frozen=True)
    class Schema:
        epochs: int = option(3, "")
        mosaic: float = option(1.0, "", group=boxes)
        fliplr: float = option(0.5, "", group=boxes, tasks=("detect", "action"))

    assert [*options.options_for([Schema], "detect")] == ["epochs", "mosaic", "fliplr"]
    assert [*options.options_for([Schema], "action")] == ["epochs", "fliplr"]
    assert [*options.options_for([Schema], "classify")] == ["epochs"]


def test_options_need_no_torch(root):
    code = "import sys, utils.options; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@dataclass(frozen=True)
class Native:
    momentum: float = option(0.99, "momentum")
    foreign = {"encoder_moment": "It is --momentum."}


@pytest.mark.parametrize("word", ["--encoder_moment", "--encoder-moment", "--ENCODER_MOMENT"])
def test_an_option_of_another_tool_says_what_it_is_here(word):
    with pytest.raises(UserError, match=f"option {word}: there is no such option here. It is --momentum."):
        options.parse_argv([word, "0.9"], [Native], "x.py", "")
