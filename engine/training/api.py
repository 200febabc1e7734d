"""`engine.train`: a new run, a resumed one, or several processes of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from data.config import task_of
from engine.callbacks import Callback
from engine.loggers import LOCAL, create_loggers
from engine.options.train import TRAIN_SCHEMAS, train_schemas
from engine.tasks import check_weights, task_of_run, train_task
from engine.training import distributed
from engine.training.plan import TrainTask, make_plan
from engine.training.report_page import ReportPage
from engine.training.resume import (
    can_resume,
    find_resume,
    load_resume,
    refuse_finished,
    resumed,
    run_around,
    run_lock,
    run_of,
)
from engine.training.trainer import Interrupted, Trainer, TrainResult
from utils.errors import UserError
from utils.files import REPOSITORY, empty_goes, find_weights, new_run_folder
from utils.options import as_words, build, canonical
from utils.resource_errors import shortage


def train(*, callbacks: Sequence[Callback] = (), **options: Any) -> TrainResult:
    """Train what the data YAML is for, with the options of train.py: `engine.train(data="demo-night", epochs=30)`.

    callbacks: what listens to the run (`engine.callbacks.Callback`); only where this process itself trains.
    Raises UserError for what the user can mend.
    """
    schemas = train_schemas(options.get("method"))
    given, *_ = build(schemas, options)
    file = find_resume(given.resume, given.project) if given.resume else None
    name = task_of_run(file) if file else task_of(given.data)
    if given.weights and not file:
        check_weights(find_weights(given.weights), name, given.data)
    task: TrainTask = train_task(name)
    devices = distributed.listed_devices(given.device)
    if len(devices) > 1 and not distributed.launched():
        if callbacks:
            raise UserError(
                "callbacks: --device with several GPUs trains in other processes. Start this script by torchrun."
            )
        create_loggers(given.logger)
        return _launch(devices, options, file, task)
    device = distributed.start(given.device)
    try:
        with ExitStack() as held:
            if file and (run := run_around(file)):
                held.enter_context(run_lock(run))
            state = load_resume(file) if file else None
            if state and file:
                options = resumed(state["options"], canonical(options, schemas), task.may_change, file)
                refuse_finished(state, file)
            loggers = create_loggers(_loggers(options))
            plan = make_plan(options, state and state["network"])
            held.enter_context(empty_goes(plan.save_dir))
            if not (file and run_around(file)):
                held.enter_context(run_lock(plan.save_dir))
            pages = [ReportPage()] if plan.train.report else []
            trainer = Trainer(plan, device, [*callbacks, *loggers, *pages])
            return _run(trainer, state)
    finally:
        distributed.stop()


def _run(trainer: Trainer, state: Mapping[str, Any] | None) -> TrainResult:
    """Train to the end, or until the user stops it. state: to resume from."""
    plan = trainer.plan
    if state:
        _take_back(trainer, dict(state))
    try:
        return trainer.run()
    except Interrupted:
        again = f" --logger {','.join(plan.train.logger)}" if set(plan.train.logger) - LOCAL else ""
        trainer.log.log(f"stopped; resume: python train.py --resume {plan.save_dir}{again}")
        return TrainResult(plan.save_dir, plan.best, rows=trainer.log.rows, interrupted=True)


def _take_back(trainer: Trainer, state: dict[str, Any]) -> None:
    """Resume where a state ended. Raises UserError for one whose entries are not what a run of these options writes."""
    try:
        place = f"epoch {state['epoch'] + 1}, batch {state['batch'] + 1}"
        trainer.load_resume(state)
    except Exception as problem:
        if isinstance(problem, UserError) or shortage(problem):
            raise
        reason = f"{type(problem).__name__}: {' '.join(str(problem).split()):.200}"
        raise UserError(
            f"--resume {trainer.plan.save_dir}: its state is damaged, or of another version ({reason}). Start a new run, from "
            "its weights if they are whole."
        ) from problem
    trainer.log.log(f"resumed at {place}")


def _loggers(options: Mapping[str, Any]) -> Sequence[str]:
    """The names of --logger, checked before a run folder is made."""
    (train,) = build(TRAIN_SCHEMAS[:1], {"logger": options.get("logger") or ()})
    names: Sequence[str] = train.logger
    return names


def _launch(devices: list[str], options: Mapping[str, Any], file: Path | None, task: TrainTask) -> TrainResult:
    """One process per device, through torchrun; the result is read from the run folder. file: the state to resume from."""
    rest = {key: value for key, value in options.items() if key not in {"device", "project", "name", "exist_ok"}}
    if file:
        folder = run_of(file, Path(str(load_resume(file)["options"].get("save_dir", ""))))
        rest |= {"resume": file}
    else:
        (train,) = build(TRAIN_SCHEMAS[:1], {k: v for k, v in options.items() if k in {"project", "name", "exist_ok"}})
        folder = new_run_folder(train.project, train.name, train.exist_ok)
        rest |= {"project": folder.parent, "name": folder.name, "exist_ok": True}
    code = distributed.launch(devices, [str(REPOSITORY / "train.py"), *as_words(rest)])
    if code:
        again = f" Its state is kept; resume with --resume {folder}." if can_resume(folder) else ""
        raise UserError(
            f"--device {','.join(devices)}: a process ended with code {code}; see its message above.{again}"
        )
    return TrainResult(folder, folder / "weights" / task.best)
