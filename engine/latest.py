"""The newest training run: what val.py and detect.py use where no weights are named. Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.tasks import DETECT, served
from utils.errors import UserError
from utils.files import REPOSITORY, load_yaml
from utils.log import LOGGER

RUNS = Path("runs/train")  # where train.py puts its runs
BUNDLED = REPOSITORY / "weights/yolov5n-demo-days.safetensors"  # sees vehicles, people and dogs of synthetic streets


class Run(NamedTuple):
    """A training run: its best checkpoint, and the data, image size and task that it was trained with."""

    weights: Path
    data: str
    imgsz: int
    task: str


def latest_run(runs: Path = RUNS, tasks: Collection[str] = ()) -> Run | None:
    """The run whose best checkpoint is the newest, or None. tasks: those that count. Damaged runs are passed over."""
    found = [path for path in runs.glob("*/weights/best.pt") if (path.parents[1] / "args.yaml").is_file()]
    newest_first = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    return next((run for run in map(_readable, newest_first) if run and (not tasks or run.task in tasks)), None)


def _readable(weights: Path) -> Run | None:
    try:
        return run_of(weights)
    except UserError as problem:
        LOGGER.warning(f"note: {problem} The run is passed over.")
        return None


def run_of(weights: Path) -> Run | None:
    """The run that a checkpoint lies in, or None where its folder is another tool's or none."""
    file = weights.absolute().parent.parent / "args.yaml"
    options = load_yaml(file) if file.is_file() else {}
    if options.get("data") and isinstance(options.get("imgsz"), int):
        return Run(weights, str(options["data"]), options["imgsz"], str(options.get("task", DETECT)))
    return None


def to_measure(given: Mapping[str, Any], runs: Path = RUNS) -> dict[str, Any]:
    """Options of val.py with the newest run's checkpoint where no weights are named, and with the data and the image size of
    a checkpoint's run where these are not given. Logs which. Raises UserError where there is no run, or its data YAML is gone.
    """
    named = given.get("weights")
    run = run_of(_place(Path(named))) if named else latest_run(runs)
    if named and (run is None or given.get("data")):
        return dict(given)
    if run is None:
        raise UserError(
            f"--weights: there is no finished epoch below {runs} to evaluate. Train first, such as "
            "python train.py --data demo-night, or name a checkpoint: --weights best.pt."
        )
    data = given.get("data") or run.data
    which = "the run" if named else "the newest run"
    if not given.get("data") and run.data.endswith((".yaml", ".yml")) and not _exists(run.data):
        raise UserError(
            f"--data: {which}, {run.weights.parents[1]}, was trained on {run.data}, which no longer exists. "
            "Name the data YAML: --data FILE."
        )
    LOGGER.info(
        f"no --data: that of the run, {data}" if named else f"no --weights: the newest run, {run.weights}, on {data}"
    )
    return {**_size(run), **given, "data": data, "weights": run.weights}


def to_detect(given: Mapping[str, Any], runs: Path = RUNS) -> dict[str, Any]:
    """Options of detect.py with the newest run's checkpoint where no weights are named, else with the bundled detector."""
    if given.get("weights"):
        return dict(given)
    run = latest_run(runs, served("detect"))
    if run is not None:
        LOGGER.info(f"no --weights: the newest run, {run.weights}")
        return {**_size(run), **given, "weights": run.weights}
    LOGGER.info(
        f"no --weights and no detector below {runs}: the bundled demo detector, {BUNDLED.name}, trained on synthetic streets "
        "by day"
    )
    return {**given, "weights": BUNDLED}


def _size(run: Run) -> dict[str, Any]:
    """A detector is used at the size it was trained at; classifiers' files say theirs."""
    return {"imgsz": run.imgsz} if run.task == DETECT else {}


def _place(weights: Path) -> Path:
    """Where `utils.files.find_weights` finds a path: from the current folder, else in the project."""
    return weights if weights.exists() else REPOSITORY / weights


def _exists(data: str) -> bool:
    return any((folder / data).is_file() for folder in (Path(), REPOSITORY, REPOSITORY / "data"))
