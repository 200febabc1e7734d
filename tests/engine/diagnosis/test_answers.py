"""Every finding has an answer, and what answers name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.checks.findings import KINDS, Finding
from data.config import load_data
from engine.diagnosis.answers import REMEDIES, answers_to, general_answer, in_short
from engine.options.train import TRAIN_SCHEMAS
from engine.preparation import all_commands
from methods.registry import METHODS
from tests.data.checks.sets import change_yaml, write_clean_set
from utils.options import build, parse_argv


def test_every_finding_has_an_answer_and_no_other_has():
    assert {*REMEDIES} == {*KINDS}
    assert all(general_answer(kind) for kind in KINDS)
    assert {kind for spec in METHODS.values() for kind in spec.suits} <= {*KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_options_and_commands_exist(kind):
    options = REMEDIES[kind].options.format(threshold=0.1)
    build(TRAIN_SCHEMAS, parse_argv(options.split(), TRAIN_SCHEMAS, "train.py", ""))
    named = re.findall(r"prepare\.py ([\w-]+)", " ".join([*REMEDIES[kind].commands, REMEDIES[kind].text]))
    assert {*named} <= {*all_commands()}


def test_options_of_methods_exist():
    for name, spec in METHODS.items():
        for options in spec.suits.values():
            build(TRAIN_SCHEMAS, parse_argv(["--method", name, *options.split()], TRAIN_SCHEMAS, "train.py", ""))


def test_pairs_are_made_where_there_are_none(tmp_path):
    file = write_clean_set(tmp_path / "a b", pair=True, train=2, val=1)
    dark = Finding("shift-dark", "val", "val is 2.1 times darker than train")
    config = load_data(file)
    answer, *_ = answers_to(dark, config)
    assert answer == "--method wiid ('pair' is there; prepare.py darken made such)"
    config = load_data(change_yaml(file, pair=None))
    made, method, *_ = answers_to(dark, config)
    train = f"'{config.root}/images/train'"
    assert made.startswith(
        f"python prepare.py darken --source {train} --out '{config.root}/images/train_night', then 'pair: "
    )
    assert method == "--method wiid"
    assert in_short(dark, config) == "prepare.py darken, --method wiid"


@pytest.mark.parametrize(
    ("finding", "short"),
    [
        (Finding("tiny-objects", "train", ""), "--cfg models/yolov8n-p2.yaml --method rfla"),
        (Finding("class-rare", "train", "", (), {}, {"threshold": "0.1"}), "--repeat-threshold 0.1"),
        (Finding("shift-low-resolution", "val", ""), "--method aeris --restore-weight 0"),
        (Finding("shift-haze", "val", ""), "prepare.py degrade fog, --method weather --weather fog=0.5"),
        (
            Finding("leak", "val", "", (), {}, {"other": "train"}),
            "take the images out of train or val: results on them say little",
        ),
    ],
)
def test_answers_in_short(tmp_path: Path, finding, short):
    assert in_short(finding, load_data(write_clean_set(tmp_path, train=1, val=1))) == short
