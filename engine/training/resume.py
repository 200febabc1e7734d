"""`resume.pt`: the full state of an interrupted run, so that it resumes exactly."""

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from engine.checkpoint.declared import check_declared
from engine.checkpoint.state_dict import save_pt
from engine.loggers import LOCAL
from engine.options.train import train_schemas
from engine.training.distributed import WORLD
from utils.disk.locks import locked, sweep
from utils.errors import UserError
from utils.files import typed_path
from utils.log import LOGGER
from utils.options import canonical, from_file

NEEDED = {"model", "methods", "optimiser", "scaler", "epoch", "batch", "options", "network", "records"}
EARLIER = {
    "learner",
    "target",
    "optimiser",
    "scaler",
    "epoch",
    "options",
    "rows",
    "best",
    "task",
}  # of classifiers, once
NEVER_FROM_A_FILE = {"trust"}  # only the command line may admit code
NAME, PREVIOUS, NEW = "resume.pt", "resume.previous.pt", "resume.new.pt"


class FinishedRun(UserError):
    """A run that was to be resumed is trained to its end and evaluated. rows: one per epoch."""

    def __init__(self, message: str, rows: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.rows = rows


def save_resume(folder: Path, state: Mapping[str, Any]) -> Path:
    """Write `resume.pt` atomically; the one before stays as `resume.previous.pt`. `state`: tensors and plain values.

    Where it cannot be written, both stay as they were.
    """
    path, new = folder / NAME, folder / NEW
    save_pt(new, dict(state))
    if path.exists():
        os.replace(path, folder / PREVIOUS)
    os.replace(new, path)
    return path


def can_resume(run: Path) -> bool:
    """Whether a run folder holds a state to resume from."""
    return _holds_state(run / "weights")


def _holds_state(weights: Path) -> bool:
    return any((weights / name).is_file() for name in (NAME, PREVIOUS))


@contextlib.contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold a run's folder and remove what kills left half-written in it. Raises UserError where another process trains there.

    The main rank holds it for all.
    """
    if not WORLD.main:
        yield
        return
    with locked(run, "trains in"):
        sweep((run, run / "weights"))
        yield


def forget_resume(run: Path) -> None:
    """Remove the states of a run that is over and measured, three times the size of its weights, and what kills left over."""
    for name in (NAME, PREVIOUS, NEW):
        (run / "weights" / name).unlink(missing_ok=True)
    sweep((run, run / "weights"))


def load_resume(path: Path, needed: Set[str] = NEEDED) -> dict[str, Any]:
    """Read a resume file without running code from it; falls back to the previous one, with a warning, when it is damaged.

    needed: the entries without which it counts as damaged. Raises UserError when neither can be read.
    """
    problem: Exception | None = None
    for candidate in (path, path.with_name(PREVIOUS)):
        if not candidate.exists():
            continue
        try:
            check_declared(candidate)
            state = upgraded(_checked(torch.load(candidate, map_location="cpu", weights_only=True), needed))
        except Exception as error:
            problem = error
            continue
        if candidate != path:
            LOGGER.warning("%s cannot be read: resuming from %s", path, candidate.name)
        return state
    reason = f" ({type(problem).__name__})" if problem else ""
    raise UserError(
        f"--resume {path}: there is no readable resume state{reason}. Name a run folder that holds weights/{NAME}, or "
        "start a new run."
    )


def _checked(state: Any, needed: Set[str]) -> dict[str, Any]:
    """A state that has all that resuming needs. Raises ValueError for another: none of it is looked for anywhere else."""
    needed = EARLIER if isinstance(state, dict) and "learner" in state else needed
    if not isinstance(state, dict) or not needed <= state.keys() or not isinstance(state.get("options", {}), dict):
        raise ValueError("incomplete")
    if not state.get("network", True):
        raise ValueError("no network")
    if any(type(count) is not int or count < 0 for count in (state["epoch"], state.get("batch", 0))):
        raise ValueError("no count")
    return state


def upgraded(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state in today's form. Classifiers once had a loop of their own, which ended with whole epochs."""
    if "learner" not in state:
        return dict(state)
    options, (best, best_epoch) = state["options"], state["best"]
    method, renamed = options["method"], {"projector": "projectors.pooled", "predictor": "predictors.pooled"}
    learner = [(*key.partition(".")[::2], value) for key, value in state["learner"].items()]
    methods = {f"{method}.{renamed[part]}.{key}": value for part, key, value in learner if part in renamed}
    for key, value in state["target"].items():
        part, _, rest = key.partition(".")
        methods[f"{method}.target.{part}.{'pooled' if part == '1' else 'network'}.{rest}"] = value
    kept = {key: state[key] for key in ("task", "epoch", "optimiser", "scaler", "options")}
    seconds = sum(row["seconds"] for row in state["rows"])
    return kept | {
        "batch": 0,
        "last_step": -1,
        "model": {f"network.{key}": value for part, key, value in learner if part == "network"},
        "methods": methods,
        "random": None,
        "records": {"rows": state["rows"], "best": best, "best_epoch": best_epoch, "seconds": seconds},
        "network": options["cfg"],
    }


def find_resume(wanted: str, project: Path) -> Path:
    """The resume file behind `--resume`: a file, a run folder, or `newest` below the project. Raises UserError.

    For a checkpoint it is the resume file beside it.
    """
    if wanted == "newest":
        found = sorted(project.glob("*/weights/resume*.pt"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UserError(
                f"--resume: no run below {project} holds weights/{NAME}. Name the run: --resume RUN_FOLDER."
            )
        return found[-1].with_name(NAME)
    path = typed_path(wanted)
    if path.is_file() and path.name.startswith(Path(NAME).stem):
        return path
    for weights in (path, path / "weights", *([path.parent] if path.is_file() else [])):
        if _holds_state(weights):
            return weights / NAME
    raise UserError(f"--resume {wanted}: neither a resume file nor a run folder with weights/{NAME}.")


def refuse_finished(state: Mapping[str, Any], file: Path) -> None:
    """Raise FinishedRun for a run that is trained to its end and evaluated: the last file of a run is newer than its state."""
    best = file.with_name("best.safetensors")
    epochs = state["options"].get("epochs")
    if state["epoch"] != epochs or not best.is_file() or best.stat().st_mtime < file.stat().st_mtime:
        return
    run, records = file.parent.parent, state["records"]
    raise FinishedRun(
        f"--resume {file}: all {epochs} epochs are trained and evaluated; {run / 'results.csv'} has the results. To train "
        f"further, start a new run from its weights: --weights {best} --epochs N.",
        rows=records.get("rows", []) if isinstance(records, dict) else [],
    )


def run_around(file: Path) -> Path | None:
    """The run folder that a resume file lies in, if it still does."""
    weights = Path(os.path.abspath(file)).parent
    return weights.parent if weights.name == "weights" else None


def run_of(file: Path, began: Path) -> Path:
    """The run folder that a resume file lies in, wherever that was moved; of a file taken out of it, where the run began.

    Raises UserError where the file itself names a place outside the current folder: whoever made it may not choose what is
    overwritten.
    """
    run = run_around(file)
    if run is None:
        if began.is_absolute() or ".." in began.parts:
            raise UserError(
                f"--resume {file}: the file lies in no run, and says that its run is {began}, outside this folder. Put it into "
                "RUN/weights/, and name that run."
            )
        return began
    return run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) and run != Path.cwd() else run


def resumed(
    saved: Mapping[str, Any], given: Mapping[str, Any], may_change: Sequence[str], file: Path
) -> dict[str, Any]:
    """The options of an interrupted run, with those that may change between its two halves. Raises UserError for others.

    They hold what its --hyp said, so that file is not named again. file: where its state lies. An option that has another
    name since goes by the new one; one that is gone is left out if it was at its default.
    """
    methods = str(saved.get("method", ""))
    if ":" in methods and given.get("method") != methods:
        raise UserError(
            f"--resume {file}: the run trains with --method {methods}, whose code is imported only where you name it. "
            f"Add --method {methods}."
        )
    same = {"method"} if given.get("method") == methods else set()
    wrong = next((key for key in given if key not in {"resume", "project", *same, *may_change}), None)
    if wrong is not None:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in may_change)
        raise UserError(
            f"--resume {file}: a resumed run keeps its options, so --{wrong.replace('_', '-')} cannot change. Beside "
            f"--resume, only these may: {allowed}."
        )
    kept = from_file(saved, train_schemas())
    if kept.get("lr_schedule") == "step":
        kept.pop("cos_lr", None)  # earlier versions took both, and the steps alone did something
    kept = {key: value for key, value in kept.items() if key not in {"save_dir", "task", "hyp", *NEVER_FROM_A_FILE}}
    try:
        kept = canonical(kept, train_schemas())
    except UserError as problem:
        raise UserError(f"--resume {file}: its state holds options that no run has: {problem}") from None
    if isinstance(workers := kept.get("workers"), int) and workers > (os.cpu_count() or 1):
        del kept["workers"]  # another machine's number, which changes no result
    if "logger" in kept and "logger" not in given:
        kept["logger"] = _local_loggers(kept["logger"])
    kept |= {key: value for key, value in given.items() if key in may_change}
    folder = run_of(file, Path(str(saved.get("save_dir", ""))))
    return {**kept, "project": folder.parent, "name": folder.name, "exist_ok": True, "resume": ""}


def _local_loggers(names: Sequence[str]) -> tuple[str, ...]:
    """Those of a state's loggers that write files here alone; a note names the others.

    Whoever made the state may not choose what this machine sends to a service.
    """
    beyond = ",".join(name for name in dict.fromkeys(names) if name not in LOCAL)
    if beyond and WORLD.main:
        LOGGER.warning(
            f"note: the run logged to {beyond}, which a state does not turn on; add --logger {','.join(names)}"
        )
    return tuple(name for name in names if name in LOCAL)


def methods_state(state: Mapping[str, Any], expected: Iterable[str]) -> dict[str, Any]:
    """The state dict of the methods in a resume state. expected: its keys, such as `wiid.target.0.conv.weight`.

    Earlier files keep what trains under `extras`, without the name of a method's only part (`aeris.decoder...` for
    `aeris.branch.decoder...`), and targets under `methods`, as {"wiid": {"target": ...}}.
    """
    if "extras" not in state:
        return dict(state["methods"])
    parts = [(f"{name}.{part}", tensors) for name, own in state["methods"].items() for part, tensors in own.items()]
    old = {**state["extras"], **{f"{part}.{key}": value for part, tensors in parts for key, value in tensors.items()}}
    return {key: old[key if key in old else re.sub(r"\.[^.]+", "", key, count=1)] for key in expected}


def random_state() -> dict[str, Any]:
    """States of python's, numpy's and torch's generators, as tensors and plain values."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = cast(tuple, np.random.get_state(legacy=True))
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set the generators back to what `random_state` noted."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
