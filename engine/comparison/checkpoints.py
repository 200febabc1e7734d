"""`compare.py --checkpoint NAME=FILE`: finished detectors or classifiers, evaluated side by side without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.comparison.report import RunOutcome
from engine.results import Report
from engine.tasks import DETECT, check_weights
from utils.errors import UserError
from utils.files import file_digest, find_weights
from utils.log import LOGGER

REPORTED = (
    "checkpoint",
    "split",
    "metric",
    "resamples",
    "by",
    "report",
    "out",
    "project",
    "name",
    "exist_ok",
    "data",
    "device",
    "logger",
)
OF_DETECTORS = ("imgsz", "native", "single_cls", "protocol")  # what a detector's evaluation takes besides
INSTEAD = {
    "run": "a run (of --config too) is trained, a checkpoint is not; compare the best.pt that it left, or leave one out",
    "seeds": "a checkpoint is one seed; name the checkpoints of other seeds too",
    "seed": "a checkpoint is one seed; name the checkpoints of other seeds too",
    "restart": "nothing is kept that could be reused",
    "resume": "nothing is trained that could be resumed",
}


def named_checkpoints(texts: Sequence[str]) -> dict[str, Path]:
    """`plain=a.pt` -> the file of each name, in their order.

    Raises UserError for what is not NAME=FILE, for a name given twice, for fewer than two, and for missing files.
    """
    files: dict[str, Path] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (equals and name.strip() and file.strip()):
            raise UserError(f"--checkpoint {text}: expected a name and a file, such as --checkpoint plain=best.pt.")
        if name.strip() in files:
            raise UserError(f"--checkpoint {text}: the name {name.strip()!r} is given twice. Choose another.")
        files[name.strip()] = find_weights(file.strip())
    if len(files) == 1:
        raise UserError("--checkpoint: name at least two. One alone is measured by val.py.")
    return files


def check_alone(given: Mapping[str, Any]) -> None:
    """Raise UserError for options that mean training."""
    allowed = {*REPORTED, *OF_DETECTORS}
    wrong = next((name for name in (*INSTEAD, *given) if name in given and name not in allowed), None)
    if wrong is not None:
        reason = INSTEAD.get(wrong, "with --checkpoint nothing is trained, and the evaluation does not use it")
        raise UserError(f"--{wrong.replace('_', '-')}: {reason}.")


def check_task(given: Mapping[str, Any], task: str, files: Mapping[str, Path], data: str) -> None:
    """Raise UserError for options that the task's evaluation does not use, and for checkpoints of another task."""
    wrong = next((name for name in OF_DETECTORS if name in given), None) if task != DETECT else None
    if wrong is not None:
        raise UserError(
            f"--{wrong.replace('_', '-')}: is of detectors; the evaluation of task '{task}' does not use it."
        )
    for file in files.values():
        check_weights(file, task, data)


def evaluate_checkpoints(
    files: Mapping[str, Path], evaluate: Callable[[Path, Mapping[str, Any]], list[Report]], options: Mapping[str, Any]
) -> list[RunOutcome]:
    """Measure each file; options: those of the evaluation. Raises UserError for a file that does not fit the data."""
    outcomes = []
    for number, (name, file) in enumerate(files.items(), 1):
        outcome = RunOutcome(name, 0, evaluate(file, options))
        outcomes.append(outcome)
        LOGGER.info(f"[{number}/{len(files)}] {outcome.scores()}")
    return outcomes


def facts_of(files: Mapping[str, Path]) -> dict[str, str]:
    """File and checksum of each checkpoint, for the report."""
    return {f"checkpoint {name}": f"{file}, SHA-256 {_digest(file)[:16]}..." for name, file in files.items()}


def _digest(path: Path) -> str:
    """Of a file; of an exported folder, that of its largest file, which holds the weights."""
    files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
    return file_digest(max(files, key=lambda file: file.stat().st_size))
