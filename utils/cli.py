"""What the scripts share: from a command line to a function of the engine, and from its errors to an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from utils.errors import UserError
from utils.files import find_weights
from utils.log import LOGGER, results_on_stdout
from utils.options import Shown, parse_argv
from utils.releases.assets import official
from utils.resource_errors import shortage
from utils.signals import leave
from utils.ultralytics_env import spin_briefly

LAUNCHED = "HARDSIGHT_LAUNCHED"  # set for the ranks that a script starts
Schemas = Sequence[type] | Callable[[Sequence[str]], Sequence[type]]  # or those that a command line asks for


def load(place: str) -> Any:
    """What 'module:name' names, imported now."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def script(
    program: str, place: str, schemas: Schemas, about: str, examples: Sequence[str], shown: Shown | None = None
) -> Callable[..., int]:
    """The main function of a script: command line (None: this process's) -> exit code.

    It reads the options as `parse_argv` does, says on what machine it runs, and hands them to the function 'module:name' of
    `place`, which is imported only once they are right: --help must not wait for torch. --version says what a report of a
    defect needs.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        spin_briefly()

        def work() -> None:
            words = sys.argv[1:] if argv is None else argv
            if asks_version(words):
                return
            known = schemas(words) if callable(schemas) else schemas
            given = parse_argv(words, known, program, about, examples, shown)
            with results_on_stdout("-" in given.values()):
                check_official(given)
                name_machine(str(given.get("device") or ""))
                if getattr(load(place)(**given), "interrupted", False):
                    raise KeyboardInterrupt

        code = run_cli(work)
        return leave(code) if argv is None else code

    return main


def asks_version(words: Sequence[str]) -> bool:
    """Whether a command line is --version alone, which is then answered."""
    if list(words) != ["--version"]:
        return False
    print(load("utils.devices:version_text")())
    return True


def check_official(given: Mapping[str, Any]) -> None:
    """Raise UserError at once, before torch is imported, for an official checkpoint that is not there."""
    checkpoints = (text.partition("=")[2] for text in given.get("checkpoint") or ())
    for name in (given.get("weights"), *checkpoints):
        if name and official(name):
            find_weights(name)


def name_machine(device: str) -> None:
    """Check --device, and say which versions and which hardware are used; silent in a rank that a script started."""
    if LAUNCHED in os.environ:
        return
    load("utils.devices:check_devices")(device)
    LOGGER.info(load("utils.devices:machine_line")(device))
    if warning := load("utils.devices:unused_gpu")(device):
        LOGGER.warning(warning)


def run_cli(main: Callable[[], Any]) -> int:
    """Run a script's work and return its exit code: 0, 130 for Ctrl-C, 2 for what is said on one line of stderr.

    A result with an `exit_code` of its own decides instead of the 0. Said on stderr is a UserError, or that the machine ran
    out of disk or memory. 141 where nobody reads stdout any more (`| head`). Names that no encoding has, as file systems
    and damaged files hold them, are printed escaped, as stderr does by itself.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(getattr(main(), "exit_code", 0))
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it says nothing either
        return 141
    except Exception as problem:
        ran_out = shortage(problem)
        if ran_out is None:
            raise
        print(f"error: {ran_out}", file=sys.stderr)
        return 2
