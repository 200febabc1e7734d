"""What a comparison keeps of each image, and what earlier versions kept."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from engine.comparison.api import compare
from engine.comparison.runner import _load_images, _matches_file, _record, _save_images
from engine.results import ClassificationStats, DetectionStats, Report
from engine.training.resume import FinishedRun
from tests.engine.comparison.pretended import PretendedTrainer, evaluate
from utils.errors import UserError

pytestmark = pytest.mark.usefixtures("no_images")

STATS = (ClassificationStats("a.png", True, True), ClassificationStats("b.png", False, True))
REPORT = Report("night", "test", 2, 2, {"top1": 0.5, "top5": 1.0}, [], {}, STATS)


def test_classifiers_images_come_back(tmp_path):
    _save_images(tmp_path / "row.json", REPORT)
    assert _load_images(tmp_path / "row.json", vars(REPORT)) == STATS


def test_classifiers_images_of_earlier_versions_are_read(tmp_path):
    """They stood in a detector's record: column 0 of `tp` was top-1, the others top-5."""
    tp = np.array([[True] * 10, [False] + [True] * 9])
    ones = dict.fromkeys(("conf", "pred_cls", "target_cls", "detections", "objects"), np.ones(2, int))
    np.savez(_matches_file(tmp_path / "row.json", "test"), tp=tp, files=np.array(["a.png", "b.png"]), **ones)
    assert _load_images(tmp_path / "row.json", vars(REPORT)) == STATS


def test_detectors_images_come_back(tmp_path):
    images = tuple(
        DetectionStats(name, np.ones((n, 10), bool), np.linspace(1, 0.5, n), np.zeros(n), np.zeros(2))
        for name, n in (("a.png", 3), ("b.png", 0))
    )
    report = Report("night", "test", 2, 4, {"mAP50": 0.5}, [], {}, images)
    _save_images(tmp_path / "row.json", report)
    for image, again in zip(images, _load_images(tmp_path / "row.json", vars(report)), strict=True):
        for (key, value), other in zip(asdict(image).items(), asdict(again).values(), strict=True):
            np.testing.assert_array_equal(value, other, err_msg=key)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_mark_is_that_of_no_run(tmp_path, content):
    (tmp_path / "compare.json").write_bytes(content)
    assert _record(tmp_path / "compare.json") == {"fingerprint": ""}


@pytest.fixture
def one(given) -> dict:
    """A comparison of one training."""
    return {**given, "run": ("none",), "seeds": 1}


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError("out of memory")])
def test_a_trained_run_whose_evaluation_failed_is_evaluated(one, problem):
    def fail(best, options):
        best.touch()
        raise problem

    trainer = PretendedTrainer()
    with pytest.raises((KeyboardInterrupt, UserError)):
        compare(**one, train=trainer, evaluate=fail)
    result = compare(**one, train=trainer, evaluate=evaluate)
    assert len(trainer.calls) == 1
    assert (result.outcomes[0].error, result.outcomes[0].train_seconds) == ("", 4.0)


def test_a_run_that_says_that_it_is_finished_is_evaluated(one):
    """Earlier versions did not note that a training was over, and a kill may come before the note."""
    with pytest.raises(KeyboardInterrupt):
        compare(**one, train=PretendedTrainer(stops_at=1), evaluate=evaluate)

    def finished(**options):
        raise FinishedRun(f"{options['resume']}: all epochs are trained", [{"seconds": 3.0}])

    (outcome,) = compare(**one, train=finished, evaluate=evaluate).outcomes
    assert (outcome.error, outcome.train_seconds) == ("", 3.0)


def test_a_run_without_its_checkpoint_is_trained_again(one):
    trainer = PretendedTrainer()
    with pytest.raises(UserError, match="every run failed"):
        compare(**one, train=trainer, evaluate=lambda best, options: 1 / 0)
    compare(**one, train=trainer, evaluate=evaluate)
    assert ["resume" in call for call in trainer.calls] == [False, False]


@pytest.mark.parametrize("stopped", [True, False])
def test_restart_into_the_same_folder_trains_from_scratch(one, stopped):
    trainer = PretendedTrainer(stops_at=1 if stopped else None)
    with contextlib.suppress(KeyboardInterrupt):
        compare(**one, train=trainer, evaluate=evaluate)
    for weights in one["project"].rglob("weights"):
        (weights / "best.pt").touch()
    result = compare(**one, restart=True, exist_ok=True, train=trainer, evaluate=evaluate)
    assert result.save_dir.name == "exp"
    assert ["resume" in call for call in trainer.calls] == [False, False]


def test_a_state_of_other_options_is_not_resumed(one):
    """A run that is stopped before its first state must not find that of the run before it."""
    with pytest.raises(KeyboardInterrupt):
        compare(**one, train=PretendedTrainer(stops_at=1), evaluate=evaluate)

    def kill(**options):
        raise KeyboardInterrupt

    folder = {"name": "exp", "exist_ok": True, "epochs": 3}
    with pytest.raises(KeyboardInterrupt):
        compare(**one | folder, train=kill, evaluate=evaluate)
    trainer = PretendedTrainer()
    compare(**one | folder, train=trainer, evaluate=evaluate)
    assert trainer.calls[0]["epochs"] == 3


def test_an_evaluation_by_other_parts_that_fails_trains_nothing(one):
    trainer = PretendedTrainer()
    first = compare(**one, train=trainer, evaluate=evaluate)
    next((first.save_dir / "runs").iterdir()).joinpath("weights", "best.pt").touch()
    with pytest.raises(UserError, match="every run failed"):
        compare(**one, by="light", train=trainer, evaluate=lambda best, options: 1 / 0)
    assert len(trainer.calls) == 1


@pytest.fixture
def recipe(one, tmp_path) -> Path:
    """The --hyp file of `one`."""
    file = tmp_path / "mine.yaml"
    file.write_text("lr0: 0.01\n")
    one["hyp"] = str(file)
    return file


def test_an_edited_recipe_is_trained_again(one, recipe):
    trainer = PretendedTrainer()
    compare(**one, train=trainer, evaluate=evaluate)
    compare(**one, train=trainer, evaluate=evaluate)
    assert len(trainer.calls) == 1
    recipe.write_text("lr0: 0.02\n")
    compare(**one, train=trainer, evaluate=evaluate)
    assert ["resume" in call for call in trainer.calls] == [False, False]


def test_a_recipe_that_is_edited_during_the_training_is_trained_again(one, recipe):
    trainer = PretendedTrainer()

    def edited(best, options):
        recipe.write_text("lr0: 0.02\n")
        return evaluate(best, options)

    compare(**one, train=trainer, evaluate=edited)
    compare(**one, train=trainer, evaluate=evaluate)
    assert len(trainer.calls) == 2


def test_a_half_trained_checkpoint_is_not_that_of_an_old_row(one):
    first = compare(**one, train=PretendedTrainer(), evaluate=evaluate)
    with pytest.raises(KeyboardInterrupt):
        compare(**one, by="light", train=PretendedTrainer(stops_at=1), evaluate=evaluate)
    next((first.save_dir / "runs").iterdir()).joinpath("weights", "best.pt").touch()
    trainer = PretendedTrainer()
    compare(**one, by="light", train=trainer, evaluate=evaluate)
    assert ["resume" in call for call in trainer.calls] == [True]


def test_a_half_trained_run_of_an_edited_recipe_is_not_resumed(one, recipe):
    trainer = PretendedTrainer(stops_at=1)
    with pytest.raises(KeyboardInterrupt):
        compare(**one, train=trainer, evaluate=evaluate)
    recipe.write_text("lr0: 0.02\n")
    compare(**one, train=trainer, evaluate=evaluate)
    assert ["resume" in call for call in trainer.calls] == [False, False]


def test_rows_without_digests_are_taken_up(one, recipe):
    """Those of earlier versions."""
    trainer = PretendedTrainer()
    first = compare(**one, train=trainer, evaluate=evaluate)
    for file in (*first.save_dir.rglob("compare.json"), *first.save_dir.rglob("rows/*.json")):
        record = json.loads(file.read_text())
        assert list(record.pop("files")) == ["hyp"]
        file.write_text(json.dumps(record))
    compare(**one, train=trainer, evaluate=evaluate)
    assert len(trainer.calls) == 1
