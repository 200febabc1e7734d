"""What tasks classify and action share: resuming, names of classes, and one report per split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from data.config import DataConfig
from engine.action.api import CLIPS
from engine.action.task import ACTION
from engine.checkpoint.classifier import Classifier, Recogniser
from engine.classification.api import IMAGES
from engine.classification.shared import check_names
from engine.classification.task import CLASSIFICATION
from engine.tasks import TASKS, entry
from engine.training.resume import resumed
from tests.engine.classification.tiny_classes import TinyNetwork
from utils.errors import UserError

SAVED = {"epochs": 9, "device": "0", "save_dir": "runs/exp7", "task": "classify", "project": "elsewhere", "name": ""}
CONFIG = DataConfig(Path("a.yaml"), Path(), {0: "a", 1: "b"}, {}, conditions={"test": "night"})


@pytest.mark.parametrize(
    ("task", "option"),
    [(CLASSIFICATION, "keep_videos"), (CLASSIFICATION, "batch_size"), (ACTION, "frames"), (ACTION, "lr0")],
)
def test_what_may_not_change(task, option):
    wanted = f"so --{option.replace('_', '-')} cannot change. Beside --resume, only these may: --device, --workers"
    with pytest.raises(UserError, match=wanted):
        resumed(SAVED, {"resume": "", option: 1}, task.may_change, Path("resume.pt"))


def test_videos_in_memory_may_change():
    assert resumed(SAVED, {"keep_videos": "none"}, ACTION.may_change, Path("resume.pt"))["keep_videos"] == "none"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({0: "a", 1: "b"}, ""),
        (None, ""),  # the file does not say
        ({0: "a", 1: "z"}, "note: classes are matched by number, but names differ (weights / data): 1: z / b\n"),
    ],
)
def test_names_that_differ_are_a_note(names, said, capsys):
    check_names(Recogniser(TinyNetwork(2), "resnet18", names), CONFIG, Path("w.pt"))
    assert capsys.readouterr().out == said


def test_another_number_of_classes_is_an_error():
    with pytest.raises(UserError, match="w.pt: tells 3 classes apart, but a.yaml has 2"):
        check_names(Recogniser(TinyNetwork(3), "resnet18", None), CONFIG, Path("w.pt"))


def test_one_report_a_split(capsys):
    """Confusion matrices go to val, named as its condition, and to test-night."""
    seen: list[dict[str, Any]] = []
    what = replace(
        IMAGES,
        dataset=lambda config, split, network: SimpleNamespace(split=split, skipped=[(f"{split}.png", "is empty")]),
        evaluate=lambda network, dataset, names, **how: seen.append(how) or dataset.split,
    )
    classifier = Classifier(nn.Identity(), "resnet18", None, 32)
    assert what._measure(classifier, CONFIG, ["val", "test"], torch.device("cpu"), Path("x")) == ["val", "test"]
    assert [how["confusion_to"] for how in seen] == [Path("x/val"), Path("x/test-night")]
    assert [how["condition"] for how in seen] == ["val", "night"] and seen[0]["batch_size"] == 32
    assert "note: left out val.png: is empty" in capsys.readouterr().out
    what._measure(classifier, CONFIG, ["val"], torch.device("cpu"))
    assert seen[-1]["confusion_to"] is None


def test_what_imgsz_and_the_last_line_make_of_a_network():
    classifier = Classifier(nn.Identity(), "resnet18", None, 32)
    assert IMAGES.described(IMAGES.resized(classifier, 64)) == "resnet18 at 64 px"


@pytest.mark.parametrize("what", [IMAGES, CLIPS])
def test_the_table_of_tasks_leads_here(what):
    assert what.task in TASKS and all(entry(script, what.task).__self__ is what for script in ("validate", "examine"))
