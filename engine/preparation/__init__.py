"""prepare.py's commands in one table. A new command is a row here, its options in engine/options/prepare.py.

Methods bring commands of their own along (methods/spec.py).

>>> from engine.preparation import prepare
>>> prepare("darken", source="photos", out="photos-dark")  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from methods import registry
from methods.spec import Command
from utils.cli import asks_version, load, name_machine
from utils.errors import UserError, suggestion
from utils.log import LOGGER
from utils.options import build, parse_argv, schema_fields

_OPTIONS = "engine.options.prepare"
COMMANDS: dict[str, Command] = {
    "darken": Command(
        "Darken images: by a physical low-light model or a learned translator.",
        f"{_OPTIONS}:DarkenOptions", "engine.preparation.darken:darken",
    ),
    "train-translator": Command(
        "Train the day-to-night translator (CUT) on unpaired day and night images.",
        f"{_OPTIONS}:TrainTranslatorOptions", "engine.darkening.train_cut:train_translator", formerly="train-darkener",
    ),
    "degrade": Command(
        "Write a degraded copy of a labelled data set: COCO-d, noise, blur, fog, night, ...",
        f"{_OPTIONS}:DegradeOptions", "engine.preparation.degrade:degrade", first="recipe",
    ),
    "enhance": Command(
        "Brighten dark images: by Zero-DCE, CLAHE or gamma.",
        f"{_OPTIONS}:EnhanceOptions", "engine.preparation.enhance:enhance",
    ),
    "train-enhancer": Command(
        "Train Zero-DCE on dark images; needs no labels or pairs.",
        f"{_OPTIONS}:TrainEnhancerOptions", "engine.enhancement.train:train_enhancer",
    ),
    "synthetic": Command(
        "Render a synthetic data set, such as demo-night: labelled images without a download.",
        f"{_OPTIONS}:SyntheticOptions", "engine.preparation.datasets:synthetic", first="name", formerly="world",
    ),
    "clip": Command(
        "Render a synthetic night video of a street.",
        f"{_OPTIONS}:ClipOptions", "engine.preparation.datasets:clip",
    ),
    "check": Command(
        "Check a data set: damaged files, wrong labels, leaks, splits unlike train; and what would help.",
        "engine.options.check:CheckOptions", "engine.diagnosis.api:check", first="data", quiet=True,
    ),
    "convert": Command(
        "Convert a published data set (VOC, COCO, Cityscapes, URPC2020, ...) to the YOLO layout.",
        f"{_OPTIONS}:ConvertOptions", "engine.preparation.datasets:convert", first="name",
    ),
    "weights": Command(
        "Fetch official checkpoints (YOLOv5, v8, 11, 26) from their release: the only command that uses the network.",
        f"{_OPTIONS}:WeightsOptions", "engine.preparation.weights:weights", first="names",
    ),
    "slice": Command(
        "Slice a labelled data set of large images into tiles.",
        f"{_OPTIONS}:SliceOptions", "engine.preparation.slice:slice_set", first="data",
    ),
}  # fmt: skip

EXAMPLES = (
    "python prepare.py check --data my.yaml",
    "python prepare.py synthetic demo-fog",
    "python prepare.py convert voc --source VOCdevkit --out datasets/voc",
    "python prepare.py darken --source datasets/voc/images/train --out datasets/voc/images/train_night",
)


def all_commands() -> dict[str, Command]:
    """The commands of the project and of its methods. Raises UserError where two claim one name."""
    brought = registry.commands()
    twice = next((name for name in brought if name in COMMANDS), None)
    if twice is not None:
        raise UserError(f"prepare.py {twice}: both the project and a method have this command. Rename the method's.")
    return {**COMMANDS, **brought}


def prepare(command: str, **options: Any) -> Any:
    """Run a command of prepare.py with the options of its flags. Returns what the command's own function returns.

    Raises UserError for an unknown command or option, and whatever the command raises.
    """
    _, chosen = _find(command)
    (given,) = build([load(chosen.options)], options)
    return load(chosen.run)(given)


def command_options(command: str) -> type:
    """The options of a command, as a dataclass. Raises UserError for an unknown command."""
    options: type = load(_find(command)[1].options)
    return options


def prepare_argv(argv: Sequence[str] | None = None) -> Any:
    """The same from a command line: COMMAND [NAME] --option value ... Prints the commands for --help."""
    words = list(sys.argv[1:] if argv is None else argv)
    if asks_version(words):
        return None
    if words and words[0].partition("=")[0] in {"--method", "method"}:
        first, equals, composition = words.pop(0).partition("=")
        registry.split_names(composition if equals or not words else words.pop(0))  # brings its commands along
    if not words or words[0] in {"-h", "--help"}:
        print(overview())
        raise SystemExit(0 if words else 2)
    name, *rest = words
    name, chosen = _find(name)
    if chosen.first and rest and not rest[0].startswith("-") and "=" not in rest[0]:
        rest.insert(0, f"--{chosen.first}")
    schema = load(chosen.options)
    given = parse_argv(rest, [schema], f"prepare.py {name}", chosen.about)
    if "device" in schema_fields([schema]) and not chosen.quiet:
        name_machine(str(given.get("device") or schema().device))
    return prepare(name, **given)


def overview() -> str:
    """What `prepare.py --help` says."""
    commands = all_commands()
    width = max(map(len, commands)) + 2
    rows = "\n".join(f"  {name:<{width}}{command.about}" for name, command in commands.items())
    usage = "usage: prepare.py [--method package.module:Class] COMMAND [--option value | option=value ...]"
    examples = "\n".join(f"  {line}" for line in EXAMPLES)
    return f"{usage}\n\n{rows}\n\nExamples:\n{examples}\n\nprepare.py COMMAND --help lists a command's options."


def _find(name: str) -> tuple[str, Command]:
    """A command and the name that it has today."""
    commands = all_commands()
    former = {command.formerly: new for new, command in commands.items()}
    if name in former:
        LOGGER.warning(f"note: prepare.py {name} is now called {former[name]}")
        name = former[name]
    if name not in commands:
        raise UserError(
            f"prepare.py {name}: there is no such command; known are {', '.join(commands)}.{suggestion(name, commands)}"
        )
    return name, commands[name]
