"""The table of tasks: where scripts lead, and which options mean something."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

import engine
from data.config import TASKS as KNOWN
from engine.options.compare import COMPARE_SCHEMAS
from engine.options.detect import DetectOptions
from engine.options.export import ExportOptions
from engine.options.train import TRAIN_SCHEMAS
from engine.options.val import ValOptions
from engine.tasks import TASKS, Task, check_meaning, check_weights, resolve, task_of_run, train_task
from utils.errors import UserError
from utils.files import save_yaml
from utils.options import options_for, schema_fields

SCRIPTS = ("validate", "evaluate", "export")


@pytest.mark.parametrize(
    ("task", "script"), [(task, script) for task in TASKS for script in SCRIPTS if getattr(TASKS[task], script)]
)
def test_every_row_leads_somewhere(task: str, script: str):
    assert task in KNOWN and callable(resolve(script, task)) and TASKS[task].metrics


@pytest.mark.parametrize("task", KNOWN)
def test_every_task_trains_in_one_loop(task: str):
    assert train_task(task).name == task


def test_detect_stays_where_it_is():
    assert all(resolve(script, "detect") is None for script in SCRIPTS)


def test_a_script_that_a_task_lacks(monkeypatch):
    monkeypatch.setitem(TASKS, "half", Task(validate="engine.classification.api:validate"))
    with pytest.raises(UserError, match="task 'half': this version cannot export it; it can for: detect, classify"):
        resolve("export", "half")


@pytest.mark.parametrize("schemas", [COMPARE_SCHEMAS, (ValOptions,), (ExportOptions,), (DetectOptions,)])
def test_options_serve_known_tasks(schemas):
    assert {task for option in schema_fields(schemas).values() for task in option.tasks} <= set(KNOWN)


@pytest.mark.parametrize(
    ("schemas", "task", "served", "others"),
    [
        (TRAIN_SCHEMAS, "detect", {"epochs", "mosaic", "fliplr", "rf"}, {"mask_squares", "frames", "select"}),
        (
            TRAIN_SCHEMAS,
            "classify",
            {"epochs", "select", "use_mmd"},
            {"mosaic", "fliplr", "frames", "rf", "front_ratio"},
        ),
        (TRAIN_SCHEMAS, "action", {"frames", "select", "fliplr", "front_ratio"}, {"mosaic", "use_mmd", "crops"}),
        ((ValOptions,), "classify", {"imgsz", "half"}, {"slice", "conf_thres"}),
        ((ValOptions,), "action", {"half"}, {"imgsz", "slice"}),
        ((DetectOptions,), "action", {"source", "save_csv"}, {"imgsz", "save_txt"}),
        ((ExportOptions,), "classify", {"imgsz", "opset"}, {"nms", "half"}),
    ],
)
def test_options_of_a_task(schemas, task, served, others):
    known = options_for(schemas, task)
    assert served <= known.keys() and not others & known.keys()


def test_an_option_of_another_task():
    with pytest.raises(
        UserError, match="--mosaic: does not apply to task 'classify'. Leave it out; docs/tasks/classify.md"
    ):
        check_meaning(["epochs", "mosaic"], TRAIN_SCHEMAS, "classify")


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
    with pytest.raises(UserError, match=r"--mask-squares: does not apply to task 'detect'.*docs/scripts/train.md"):
        engine.train(data="demo-night", mask_squares=0.3)


def test_weights_of_another_task_are_told_apart(tmp_path):
    """What says nothing about its task, such as a published state dict, is for its reader to judge."""
    save_file({"a": np.zeros(1)}, tmp_path / "clips.safetensors", metadata={"task": "action"})
    save_file({"a": np.zeros(1)}, tmp_path / "plain.safetensors")
    check_weights(tmp_path / "clips.safetensors", "action", "demo-arid")
    check_weights(tmp_path / "plain.safetensors", "classify", "demo-codan")
    with pytest.raises(UserError, match="are for task 'action', but --data demo-night is for task 'detect'"):
        check_weights(tmp_path / "clips.safetensors", "detect", "demo-night")
