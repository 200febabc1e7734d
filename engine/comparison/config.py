"""`compare.py --config FILE`: a comparison as YAML, with what must exist before its runs can start.

    data: demo-codan                    # every option of compare.py and train.py
    weights: runs/compare/day/weights/last.safetensors
    runs: [none, wiid byol_weight=0]    # or a mapping: name -> methods and options
    prepare:                            # file or folder -> what makes it
      runs/compare/day/weights/last.safetensors: {train: {data: demo-codan, epochs: 30}}
      datasets/dark: {darken: {source: datasets/bright}}
      datasets/dark.yaml: {"bench.sets:copy_set": {source: datasets/bright}}

A step is `train`, a command of prepare.py, or a function of bench/sets.py; all get the path they make. A file names no other
code, does not turn on --trust, and sends nothing to a service: only the command line may. An existing file is not made again,
a folder is completed. `{seed}` in a weights path or a step stands for each seed of the comparison.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import engine
from engine.loggers import LOCAL
from engine.options.train import TRAIN_SCHEMAS
from engine.preparation import command_options, prepare
from utils.cli import load
from utils.errors import UserError
from utils.files import load_yaml
from utils.log import LOGGER
from utils.options import build, canonical

Step = dict[str, dict[str, Any]]
SEED = "{seed}"
FUNCTIONS = ("bench.sets:", "engine.comparison.auto:write_paired")  # what a file may call: all of a module, or one


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Step]]:
    """The options of a comparison file and its steps by target. Raises UserError for steps that cannot be understood."""
    options = load_yaml(path)
    runs, steps = options.pop("runs", []), options.pop("prepare", None) or {}
    if runs:
        options["run"] = [f"{name}: {text}" for name, text in runs.items()] if isinstance(runs, dict) else runs
    options.setdefault("name", path.stem)
    if not isinstance(steps, dict):
        raise UserError(
            f"{path}: 'prepare' must map files or folders to steps, such as 'a.pt: {{train: {{epochs: 30}}}}'."
        )
    for target, step in steps.items():
        try:
            check_step(step)
        except UserError as problem:
            raise UserError(f"{path}: prepare: {target}: {problem}") from None
    return options, steps


def refuse_unsafe(options: Mapping[str, Any]) -> None:
    """Raise UserError for options of a file that run code or send data elsewhere: only the command line may turn those on.

    options: by their own names, typed.
    """
    beyond = [name for name in options.get("logger") or () if name not in LOCAL]
    asked = {
        "--trust": options.get("trust"),
        f"--run {options.get('method')}": ":" in str(options.get("method")),
        f"--logger {','.join(beyond)}": beyond,
    }
    wanted = next((words for words, found in asked.items() if found), None)
    if wanted is not None:
        raise UserError(
            f"it asks for what would run code or send data elsewhere, which no file turns on. Remove it there, and give "
            f"{wanted} on the command line."
        )


def check_step(step: Any) -> None:
    """Raise UserError for a step that is not one known command with known options."""
    if not isinstance(step, dict) or len(step) != 1 or not isinstance(next(iter(step.values())), dict):
        raise UserError("expected one command and its options, such as {darken: {source: datasets/bright}}.")
    ((command, options),) = step.items()
    command = str(command)
    if command == "train":
        refuse_unsafe(canonical(options, TRAIN_SCHEMAS))
        build(TRAIN_SCHEMAS, options)
    elif ":" not in command:
        refuse_unsafe(canonical(options, [command_options(command)]))
        build([command_options(command)], options)
    else:
        try:
            inspect.signature(_function(command)).bind(Path(), **options)
        except (ImportError, AttributeError, TypeError) as problem:
            raise UserError(f"{command}: {problem}. Expected a function (out: Path, **options).") from None


def _function(command: str) -> Callable[..., Any]:
    """The function behind `module:name`. Raises UserError for any that a file may not call."""
    module, _, name = command.partition(":")
    found = load(command) if command.startswith(FUNCTIONS) and not name.startswith("_") else None
    if not inspect.isroutine(found) or found.__module__ != module:  # nor what the module imports
        raise UserError(f"{command}: a file may call functions of bench.sets alone. Make it beforehand instead.")
    return found


def make_all(steps: Mapping[str, Step], seeds: Iterable[int]) -> None:
    """Carry out the steps whose file is not there yet, in their order."""
    for target, step in steps.items():
        texts = seeds if SEED in target else [0]
        for seed in texts:
            path = Path(fill(target, seed))
            if path.is_file():
                continue
            ((command, options),) = step.items()
            LOGGER.info(f"preparing {path}: {command}")
            _make(path, command, {key: fill(value, seed) for key, value in options.items()})
            if not path.exists():
                raise UserError(f"{path}: {command} ran, but did not write it. Correct the step's target.")


def fill(value: Any, seed: int) -> Any:
    """A value with the seed put in: `runs/clear-{seed}` -> `runs/clear-3`."""
    return type(value)(str(value).replace(SEED, str(seed))) if isinstance(value, (str, Path)) else value


def _make(path: Path, command: str, options: dict[str, Any]) -> None:
    if ":" in command:
        _function(command)(path, **options)
    elif command == "train":  # path: PROJECT/NAME/weights/FILE
        project, name = path.parents[2], path.parents[1].name
        if engine.train(**options, project=project, name=name, exist_ok=True).interrupted:
            raise KeyboardInterrupt
    else:
        prepare(command, **{"out": path, **options})
