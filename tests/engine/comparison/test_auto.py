"""From findings to the runs worth comparing."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from data.checks.findings import Finding
from data.config import load_data
from engine.comparison import api
from engine.comparison import report as tables
from engine.comparison.auto import commands_of, fitted, options_of, plan_runs, write_paired
from engine.comparison.config import check_step
from tests.data.checks.sets import change_yaml, write_clean_set
from tests.engine.classification.tiny_classes import write_classes
from tests.engine.comparison.pretended import PretendedTrainer, evaluate
from utils.errors import UserError
from utils.files import load_yaml

DARK = "weather --weather low_light=0.5"


def darkened(file):
    for path in (file.parent / "images" / "val").iterdir():
        cv2.imwrite(str(path), (cv2.imread(str(path)) * 0.3).astype(np.uint8))
    return file


def test_a_clean_set_leaves_plain_training(tmp_path):
    plan = plan_runs(str(write_clean_set(tmp_path)), tmp_path, {})
    assert [candidate.run for candidate in plan.runs] == ["none"] and not plan.steps


def test_dark_val_with_pairs_needs_no_step(tmp_path):
    file = darkened(write_clean_set(tmp_path, pair=True))
    plan = plan_runs(str(file), tmp_path / "runs", {})
    assert [candidate.run for candidate in plan.runs] == ["none", "wiid", DARK] and not plan.steps
    assert plan.runs[1].why.startswith("val is 3.") and (plan.data, plan.imgsz) == (str(file), 64)


def test_dark_val_without_pairs_makes_them_elsewhere(tmp_path):
    file = darkened(write_clean_set(tmp_path / "set"))
    plan = plan_runs(str(file), tmp_path / "runs", {"imgsz": 96})
    night, yaml = plan.steps
    made = re.escape(str(tmp_path / "runs/auto/set"))
    assert re.fullmatch(rf"{made}-[0-9a-f]{{6}}_night", night) and re.fullmatch(rf"{made}-[0-9a-f]{{6}}\.yaml", yaml)
    assert plan.data == yaml
    for step in plan.steps.values():
        check_step(step)
    first, second, last = commands_of(plan, ["--seeds", "3"])
    assert first == f"python prepare.py darken --source {tmp_path}/set/images/train --no-labels --out {night}"
    assert second.startswith("# ") and "with 'pair: " in second
    assert last == f"python compare.py --data {yaml} --run none --run wiid --run '{DARK}' --imgsz 96 --seeds 3"


def test_sets_of_one_name_share_nothing_and_a_changed_yaml_is_copied_anew(tmp_path):
    first, second = (darkened(write_clean_set(tmp_path / place / "set")) for place in "ab")
    plans = [plan_runs(str(file), tmp_path / "runs", {}) for file in (first, second)]
    assert not {*plans[0].steps} & {*plans[1].steps}
    first.write_text(f"# a comment\n{first.read_text()}")
    assert plan_runs(str(first), tmp_path / "runs", {}).steps == plans[0].steps
    change_yaml(first, conditions={"val": "night"})
    night, yaml = plan_runs(str(first), tmp_path / "runs", {}).steps
    assert night in plans[0].steps and yaml not in plans[0].steps  # the same images, another copy of the YAML


def test_a_copy_of_a_data_yaml_with_pairs_means_the_same(tmp_path):
    file = change_yaml(
        write_clean_set(tmp_path / "set"), frequency=["f", "r"], conditions={"val": "night"}, method="wiid"
    )
    write_paired(tmp_path / "new.yaml", str(file), str(tmp_path / "night"))
    ours, theirs = load_data(tmp_path / "new.yaml", need=()), load_data(file)
    for name in ("root", "names", "conditions", "method", "frequency", "task"):
        assert getattr(ours, name) == getattr(theirs, name) or name == "conditions"
    assert ours.conditions["val"] == "night" and ours.splits["pair"] == (tmp_path / "night",)
    assert ours.splits["train"] == theirs.splits["train"]
    assert load_yaml(file)["frequency"] == ["f", "r"]  # the user's own is as it was


@pytest.mark.parametrize(
    ("shared", "network"),
    [
        ({}, "models/yolov5s-p2.yaml"),
        ({"cfg": "yolov8m.yaml"}, "models/yolov8m-p2.yaml"),
        ({"weights": "weights/yolov5n-demo-days.safetensors"}, "models/yolov5n-p2.yaml"),
        ({"cfg": "models/yolo26n.yaml"}, "models/yolo26n-p2.yaml"),
        ({"cfg": "yolo11x"}, "models/yolov8n-p2.yaml"),  # there is no such yolo11
        ({"cfg": "mine.yaml"}, "models/yolov8n-p2.yaml"),
    ],
)
def test_networks_are_of_the_family_and_scale_of_the_others(shared, network):
    assert options_of(Finding("tiny-objects", "train", ""), shared) == f"--cfg {network}"
    assert fitted("--restore-weight 0", shared) == "--restore-weight 0"


def test_tiny_objects_and_rare_classes_are_four_runs_at_most(tmp_path):
    file = write_clean_set(tmp_path)
    for number, label in enumerate(sorted((tmp_path / "labels" / "train").iterdir())):
        label.write_text("0 0.5 0.5 0.1 0.1\n" + "1 0.2 0.2 0.1 0.1\n" * (number < 6))
    plan = plan_runs(str(file), tmp_path / "runs", {"cfg": "yolov8n"})
    tiny = "--cfg models/yolov8n-p2.yaml"
    assert [candidate.run for candidate in plan.runs] == [
        "none",
        f"none {tiny}",
        f"rfla {tiny}",
        "none --repeat-threshold 0.1",
    ]


def test_methods_without_their_images_are_skipped_with_the_reason(tmp_path):
    file = write_clean_set(tmp_path, test=20)
    for split in ("train", "val"):
        for path in (tmp_path / "images" / split).iterdir():
            cv2.imwrite(str(path), (0.3 * cv2.imread(str(path)) + 0.7 * 220).astype(np.uint8))
    plan = plan_runs(str(file), tmp_path / "runs", {})
    assert plan.skipped == (("lcp", "data.yaml has no 'reference' images"),)
    assert [candidate.run for candidate in plan.runs] == ["none"]


def test_a_set_with_a_leak_is_not_compared(tmp_path):
    file = change_yaml(write_clean_set(tmp_path), val="images/train")
    with pytest.raises(UserError, match=r"--auto: val: 40 images also in train \(leak\), so that no comparison"):
        plan_runs(str(file), tmp_path / "runs", {})


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A set whose test images are dark, and the options of a comparison on it; nothing is drawn or timed."""
    monkeypatch.setattr(tables, "plot_comparison", lambda *given: None)
    monkeypatch.setattr(api, "estimate", lambda *given: 9000.0)
    file = darkened(write_clean_set(tmp_path / "set", pair=True, test=20, test2=20))
    change_yaml(file, conditions={"val": "night", "test": "night", "test2": "day"})
    return {"data": str(file), "project": tmp_path / "runs", "resamples": 100, "seeds": 2, "epochs": 2}


def test_auto_says_what_it_will_do_then_does_it_and_ends_with_advice(asked, capsys):
    trainer = PretendedTrainer()
    result = api.compare(**asked, auto=True, train=trainer, evaluate=evaluate)
    assert [call["method"] for call in trainer.calls] == ["none", "wiid", "weather"] * 2
    assert {call["imgsz"] for call in trainer.calls} == {64}
    out = capsys.readouterr().out
    assert out.index("Runs worth comparing") < out.index("about 2.5 hours here for 2 seeds") < out.index("[1/6]")
    last = (result.save_dir / "compare.md").read_text().strip().splitlines()[-1]
    assert last.startswith("Stay with none: no difference in mAP50 is shown") and last in out  # equal on every resample


def test_dry_run_trains_and_writes_nothing(asked, capsys):
    trainer = PretendedTrainer()
    for options in ({"auto": True}, {"run": ("none", "wiid")}):
        result = api.compare(**asked, **options, dry_run=True, train=trainer, evaluate=evaluate)
        assert (trainer.calls, result.summary, asked["project"].exists()) == ([], [], False)
        assert "about 2.5 hours" in capsys.readouterr().out


def test_other_tasks_are_not_timed(tmp_path, capsys):
    data = write_classes(tmp_path / "set")["data"]
    options = {"data": data, "cfg": "resnet18", "project": tmp_path / "runs", "split": "val"}
    result = api.compare(**options, run=("none", "none lr0=0.02"), dry_run=True)
    assert result.summary == []
    assert "not estimated: only detectors are timed, and the task is classify" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"auto": True, "run": ("none",)}, "--auto: finds the runs itself"),
        ({"auto": True, "checkpoint": ("a=x.pt", "b=x.pt")}, "a checkpoint is one seed"),
        ({"dry_run": True}, "--run: name at least one run"),
    ],
)
def test_what_does_not_go_together(asked, options, message):
    with pytest.raises(UserError, match=message):
        api.compare(**asked | options)
