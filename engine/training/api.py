"""`engine.train`: a new run, a resumed one, or several processes of either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.config import task_of
from engine.options.train import TRAIN_SCHEMAS
from engine.tasks import DETECT, check_meaning, check_weights, entry, task_of_run
from engine.training import distributed
from engine.training.plan import make_plan
from engine.training.resume import find_resume, load_resume, resumed, run_of
from engine.training.trainer import Interrupted, Trainer, TrainResult
from utils.errors import UserError
from utils.files import REPOSITORY, empty_goes, find_weights, new_run_folder
from utils.options import as_words, build, canonical

STAYS_WITH_RESUME = ("device", "workers", "cache", "patience", "save_steps", "save_period", "noval", "plots")


def train(**options: Any) -> TrainResult:
    """Train a detector. The same options as train.py's flags: `engine.train(data="demo-night", epochs=30)`.

    Where the data YAML names another task, that task's own training takes the options. Raises UserError for what the user
    can mend.
    """
    given, *_ = build(TRAIN_SCHEMAS, options)
    file = find_resume(given.resume, given.project) if given.resume else None
    task = task_of_run(file) if file else task_of(given.data)
    if given.weights and not file:
        check_weights(find_weights(given.weights), task, given.data)
    other = entry("train", task)
    if other is not None:
        result: TrainResult = other(**options)
        return result
    check_meaning(canonical(options, TRAIN_SCHEMAS), TRAIN_SCHEMAS, DETECT)
    devices = distributed.listed_devices(given.device)
    if len(devices) > 1 and not distributed.launched():
        return _launch(devices, options, file)
    device = distributed.start(given.device)
    try:
        state = None
        if file:
            state = load_resume(file)
            options = resumed(state["options"], canonical(options, TRAIN_SCHEMAS), STAYS_WITH_RESUME, file)
        plan = make_plan(options)
        plan.network = state and state["network"]
        with empty_goes(plan.save_dir):
            trainer = Trainer(plan, device)
        if state is not None:
            trainer.load_resume(state)
            trainer.records.say(f"resumed at epoch {state['epoch'] + 1}, batch {state['batch'] + 1}")
        return _guarded(trainer)
    finally:
        distributed.stop()


def _guarded(trainer: Trainer) -> TrainResult:
    """Run; an interruption is no error, the run can be resumed."""
    folder = trainer.plan.save_dir
    try:
        return trainer.run()
    except Interrupted:
        trainer.records.say(f"stopped; resume: python train.py --resume {folder}")
        return TrainResult(folder, folder / "weights" / "best.pt", rows=trainer.records.rows, interrupted=True)


def _launch(devices: list[str], options: Mapping[str, Any], file: Path | None) -> TrainResult:
    """One process a device, through torchrun; the result is read from the run folder. file: the state that it goes on from."""
    rest = {key: value for key, value in options.items() if key not in {"device", "project", "name", "exist_ok"}}
    if file:
        folder = run_of(file, Path(load_resume(file)["options"]["save_dir"]))
        rest |= {"resume": file}
    else:
        folder = make_folder(options)
        rest |= {"project": folder.parent, "name": folder.name, "exist_ok": True}
    code = distributed.launch(devices, [str(REPOSITORY / "train.py"), *as_words(rest)])
    if code:
        raise UserError(f"--device {','.join(devices)}: a process ended with code {code}; its message stands above.")
    return TrainResult(folder, folder / "weights" / "best.pt")


def make_folder(options: Mapping[str, Any]) -> Path:
    """The run folder that all processes of a launch share."""
    (train,) = build(TRAIN_SCHEMAS[:1], {k: v for k, v in options.items() if k in {"project", "name", "exist_ok"}})
    return new_run_folder(train.project, train.name, train.exist_ok)
