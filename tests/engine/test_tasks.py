"""The table of tasks: where scripts lead, and which options mean something."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

import engine
from data.config import TASKS as KNOWN
from engine.options.classify import EXPORT_OPTIONS, TRAIN_OPTIONS, VAL_OPTIONS
from engine.options.export import ExportOptions
from engine.options.train import TRAIN_SCHEMAS
from engine.options.val import ValOptions
from engine.tasks import TASKS, Task, check_meaning, check_weights, entry, own_names, task_of_run
from utils.errors import UserError
from utils.files import save_yaml
from utils.options import schema_fields

SCRIPTS = ("train", "validate", "examine", "export")


@pytest.mark.parametrize(
    ("task", "script"), [(task, script) for task in TASKS for script in SCRIPTS if getattr(TASKS[task], script)]
)
def test_every_row_leads_somewhere(task: str, script: str):
    assert task in KNOWN and callable(entry(script, task)) and TASKS[task].metrics


def test_detect_stays_where_it_is():
    assert all(entry(script, "detect") is None for script in SCRIPTS)


def test_a_script_that_a_task_lacks(monkeypatch):
    monkeypatch.setitem(TASKS, "half", Task(train="engine.classification.api:train"))
    with pytest.raises(UserError, match="task 'half': this version cannot export it; it can for: detect, classify"):
        entry("export", "half")


@pytest.mark.parametrize(
    ("names", "schemas"),
    [(TRAIN_OPTIONS, TRAIN_SCHEMAS), (VAL_OPTIONS, (ValOptions,)), (EXPORT_OPTIONS, (ExportOptions,))],
)
def test_options_of_the_task_exist(names, schemas):
    assert names <= schema_fields(schemas).keys()


def test_options_under_their_own_names():
    assert own_names({"--batch-size": 4, "img": 64}, TRAIN_SCHEMAS) == {"batch_size": 4, "imgsz": 64}
    with pytest.raises(UserError, match="Did you mean 'epochs'"):
        own_names({"epoch": 4}, TRAIN_SCHEMAS)
    with pytest.raises(
        UserError, match="--mosaic: means nothing for task 'classify'. Leave it out; docs/tasks/classify.md"
    ):
        check_meaning({"epochs": 1, "mosaic": 1}, TRAIN_OPTIONS, "classify")


def test_the_task_of_an_interrupted_run(tmp_path):
    assert task_of_run(tmp_path / "weights" / "resume.pt") == "detect"
    save_yaml(tmp_path / "args.yaml", {"task": "classify"})
    assert task_of_run(tmp_path / "weights" / "resume.pt") == "classify"


def test_tasks_are_torch_free(root):
    import subprocess
    import sys

    code = "import sys, engine.tasks, engine.options.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_a_detector_has_no_options_of_other_tasks():
    with pytest.raises(UserError, match=r"--mask-squares: means nothing for task 'detect'.*docs/scripts/train.md"):
        engine.train(data="demo-night", mask_squares=0.3)


def test_weights_of_another_task_are_told_apart(tmp_path):
    """What says nothing about its task, such as a published state dict, is for its reader to judge."""
    save_file({"a": np.zeros(1)}, tmp_path / "clips.safetensors", metadata={"task": "action"})
    save_file({"a": np.zeros(1)}, tmp_path / "plain.safetensors")
    check_weights(tmp_path / "clips.safetensors", "action", "demo-arid")
    check_weights(tmp_path / "plain.safetensors", "classify", "demo-codan")
    with pytest.raises(UserError, match="are of task 'action', but --data demo-night is of task 'detect'"):
        check_weights(tmp_path / "clips.safetensors", "detect", "demo-night")
