"""compare.py --checkpoint: finished files, without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import compare as script
import engine
from engine.checkpoint import save_checkpoint
from engine.comparison.api import compare
from engine.comparison.checkpoints import check_task, named_checkpoints
from engine.results import Report
from models.detector import build
from tests.engine.comparison.conftest import DATA, NAMES
from tests.engine.comparison.pretended import evaluate
from utils.errors import UserError
from utils.tables import read_csv

pytestmark = pytest.mark.usefixtures("no_images")


@pytest.fixture
def other(tmp_path) -> Path:
    """Another detector of cats and dogs."""
    torch.manual_seed(1)
    path = tmp_path / "other.pt"
    save_checkpoint(path, build("yolov5n.yaml", {0: "cat", 1: "dog"}), epoch=0, options={}, metrics={})
    return path


@pytest.fixture
def options(tiny_set, tmp_path) -> dict[str, Any]:
    """Where the comparison is, and on what."""
    (tiny_set / "data.yaml").write_text(DATA + NAMES)
    return {"data": tiny_set / "data.yaml", "project": tmp_path / "runs", "resamples": 100}


def test_numbers_are_those_of_val_py(options, checkpoint, other, tmp_path):
    files = (f"first={checkpoint}", f"second={other}")
    result = compare(**options, checkpoint=files, imgsz=64, device="cpu", metric=("mAP50", "mAP50-95"))
    alone = [
        engine.validate(
            data=options["data"], weights=file, task="test", imgsz=64, device="cpu", plots=False, project=tmp_path
        )
        for file in (checkpoint, other)
    ]
    reports = [report for found in alone for report in found.reports]
    ours = [report for outcome in result.outcomes for report in outcome.reports]
    for row, one, report in zip(result.summary, ours, reports, strict=True):
        assert (one.split, one.metrics, one.per_class) == (report.split, report.metrics, report.per_class)
        assert row["mAP50"] == report.metrics["mAP50"]


def test_a_checkpoint_does_not_differ_from_itself(options, checkpoint):
    result = compare(**options, checkpoint=(f"a={checkpoint}", f"b={checkpoint}"), imgsz=64, device="cpu")
    for row in result.differences:
        assert (row["difference"], row["low"], row["high"], row["verdict"]) == (0.0, 0.0, 0.0, "no difference shown")
        assert row["resampled"] in ("4 images", "2 images")


def test_report_speaks_of_files_not_of_runs(options, checkpoint, other, capsys):
    def measure(file: Path, given: Mapping[str, Any]) -> list[Report]:
        """The second is better by night."""
        return evaluate(file, {"seed": 0, "method": "wiid" if file == other else "none"})

    files = (f"plain={checkpoint}", f"mine={other}")
    result = compare(**options, checkpoint=files, imgsz=64, evaluate=measure)
    assert result.differences[0]["difference"] == pytest.approx(0.2)
    assert "seeds ahead" not in result.differences[0]
    assert result.summary[0] == {"run": "plain", "condition": "night", "mAP50": 0.3, "mAP50-95": 0.15}
    page = (result.save_dir / "compare.md").read_text()
    assert f"- checkpoint mine: {other}, SHA-256" in page and "imgsz=64" in page
    assert "not of the methods" in page and "budget" not in page and "seed 0" not in capsys.readouterr().out
    assert "train s" not in read_csv(result.save_dir / "compare.csv")[0]
    again = compare(**options, checkpoint=files, evaluate=measure)
    assert again.save_dir != result.save_dir  # nothing is taken up


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"run": ("none",)}, "--run: a run .* is trained"),
        ({"seeds": 3}, "--seeds: a checkpoint is one seed"),
        ({"seed": 3}, "--seed: a checkpoint is one seed"),
        ({"restart": True}, "--restart: nothing is kept"),
        ({"epochs": 3}, "--epochs: with --checkpoint nothing is trained"),
        ({"method": "none"}, "--method: with --checkpoint nothing is trained"),
        ({"metric": ("AP",)}, "Others need --protocol"),
    ],
)
def test_options_of_trainings_are_refused(options, checkpoint, other, more, message):
    with pytest.raises(UserError, match=message):
        compare(**options, **more, checkpoint=(f"a={checkpoint}", f"b={other}"))
    assert not options["project"].exists()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("best.pt",), "expected a name and a file"),
        (("a=",), "expected a name and a file"),
        (("a={file}", "a={file}"), "given twice"),
        (("a={file}",), "at least two"),
        (("a={file}", "b=nowhere.pt"), "nowhere.pt: there is no such file"),
        (("a={file}", "b=yolov8x.pt"), "prepare.py weights yolov8x"),
    ],
)
def test_names_and_files(checkpoint, texts, message):
    with pytest.raises(UserError, match=message):
        named_checkpoints([text.format(file=checkpoint) for text in texts])


def test_other_classes_are_refused_and_leave_nothing(options, checkpoint, tmp_path):
    wide = tmp_path / "three.pt"
    save_checkpoint(wide, build("yolov5n.yaml", {0: "cat", 1: "dog", 2: "cow"}), epoch=0, options={}, metrics={})
    with pytest.raises(UserError, match="has 3 classes"):
        compare(**options, checkpoint=(f"a={checkpoint}", f"b={wide}"), imgsz=64, device="cpu")
    assert not options["project"].exists()


def test_a_comparison_file_trains_nothing_beside_checkpoints(options, checkpoint, other, tmp_path):
    """Its steps would take hours before its runs are refused."""
    file = tmp_path / "comparison.yaml"
    step = "{train: {data: demo-night, epochs: 30}}"
    file.write_text(f"runs: [none]\nprepare:\n  {tmp_path}/made/exp/weights/best.pt: {step}\n")
    with pytest.raises(UserError, match="--run: a run .* is trained"):
        compare(**options, config=file, checkpoint=(f"a={checkpoint}", f"b={other}"))
    assert not (tmp_path / "made").exists()


def test_options_of_detectors_are_refused_for_classifiers(checkpoint):
    with pytest.raises(UserError, match="--imgsz: is of detectors; .* task 'classify'"):
        check_task({"imgsz": 64}, "classify", {"a": checkpoint}, "data.yaml")


def test_script(options, checkpoint, capsys):
    words = ["--checkpoint", f"a={checkpoint}", "--checkpoint", f"b={checkpoint}", f"--data={options['data']}"]
    assert script.main([*words, "--epochs", "3"]) == 2
    assert "nothing is trained" in capsys.readouterr().err
    assert script.main([*words, "--imgsz", "64", f"--project={options['project']}", "--device", "cpu"]) == 0
    assert "no difference shown" in capsys.readouterr().out
