"""Which task is served by which code.

A data YAML says its task (`task: classify`), and the scripts look it up here. All tasks train in one loop; for the other
scripts 'detect' is served where each script leads, and other tasks take the script's options themselves. Free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.cli import load
from utils.errors import UserError
from utils.files import load_yaml
from utils.options import options_for

DETECT = "detect"


class Task(NamedTuple):
    """Functions as 'module:name', imported on use; an empty one says that the task has no such script.

    validate, detect, export: take the options of these scripts. evaluate: (weights, data, split, device) -> reports, for
    compare.py. metrics: what compare.py can compare, the usual one first.
    """

    validate: str = ""
    evaluate: str = ""
    detect: str = ""
    export: str = ""
    metrics: tuple[str, ...] = ()


TRAINING = {  # what the one training loop asks of each task
    DETECT: "engine.training.detection:DETECTION",
    "classify": "engine.classification.task:CLASSIFICATION",
    "action": "engine.action.task:ACTION",
}
TASKS: dict[str, Task] = {
    "classify": Task(
        validate="engine.classification.api:validate",
        evaluate="engine.classification.api:evaluate",
        export="engine.exporters.classifier:export",
        metrics=("top1", "top5"),
    ),
    "action": Task(
        validate="engine.action.api:validate",
        evaluate="engine.action.api:evaluate",
        detect="engine.action.detect:detect",
        export="engine.exporters.classifier:export",
        metrics=("top1", "top5"),
    ),
}


def served(script: str) -> list[str]:
    """The tasks that have a script: 'validate', 'evaluate', 'detect' or 'export'."""
    return [DETECT, *(name for name, row in TASKS.items() if getattr(row, script))]


def resolve(script: str, task: str) -> Callable[..., Any] | None:
    """What serves a script ('validate', 'evaluate', 'detect', 'export') for a task; None for 'detect'.

    Raises UserError where the task has no such script.
    """
    if task == DETECT:
        return None
    place = getattr(TASKS.get(task, Task()), script)
    if not place:
        raise UserError(
            f"task '{task}': this version cannot {script} it; it can for: {', '.join(served(script))}. Choose data or weights "
            "of one of these."
        )
    function: Callable[..., Any] = load(place)
    return function


def train_task(task: str) -> Any:
    """The `TrainTask` of a task."""
    return load(TRAINING[task])


def task_of_run(resume: Path) -> str:
    """The task of an interrupted run, whose resume file lies in its weights folder."""
    args = resume.parent.parent / "args.yaml"
    return str(load_yaml(args).get("task", DETECT)) if args.is_file() else DETECT


def task_of_weights(path: Path) -> str:
    """The task that a .safetensors file says it is for, itself or the one beside a .pt file of the same name.

    'detect' where there is none, or it says nothing.
    """
    from safetensors import SafetensorError, safe_open

    said = path.with_suffix(".safetensors") if path.suffix == ".pt" else path
    if said.suffix != ".safetensors" or not said.is_file():
        return DETECT
    try:
        with safe_open(said, framework="numpy") as file:
            return str((file.metadata() or {}).get("task", DETECT))
    except SafetensorError:
        return DETECT  # whoever reads the weights says what is wrong with them


def check_weights(weights: Path, task: str, data: str | Path) -> None:
    """UserError for weights that say that they are of another task than the data: sooner than a synthetic data set is drawn."""
    said = task_of_weights(weights)
    if said not in (DETECT, task):
        raise UserError(
            f"--weights {weights}: are for task '{said}', but --data {data} is for task '{task}'. Change one of them."
        )


def check_meaning(given: Iterable[str], schemas: Sequence[type], task: str) -> None:
    """UserError for an option that was given, by its own name, but does not apply to the task."""
    known = options_for(schemas, task)
    wrong = next((key for key in given if key not in known), None)
    if wrong is not None:
        page = f"docs/tasks/{task}.md" if task in TASKS else "docs/scripts/train.md"
        raise UserError(
            f"--{wrong.replace('_', '-')}: does not apply to task '{task}'. Leave it out; {page} lists this task's options."
        )
