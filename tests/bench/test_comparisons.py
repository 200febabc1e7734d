"""Every comparison of bench/comparisons can be run: its options, its steps and what they lead to exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.config import task_of
from engine.comparison.api import parse_run
from engine.comparison.config import read_config
from engine.options.compare import COMPARE_SCHEMAS
from models.detector import describe
from utils.files import REPOSITORY
from utils.options import build

FOLDER = REPOSITORY / "bench" / "comparisons"
FILES = sorted(FOLDER.glob("*.yaml"))
FETCHED = {
    "weights/yolov5n_v6.1_coco.pt",
    "datasets/raccoon",
    "datasets/bccd",
    "datasets/nightcars",
}  # by the user, as the files say


def is_there(option: str, value: str, made: set[str]) -> bool:
    """Whether an option's file is in the repository, is fetched, or is made by a step before."""
    parents = map(str, Path(value).parents)
    if value in made | FETCHED or (REPOSITORY / value).exists() or (made - {"datasets"}) & set(parents):
        return True
    if option == "data":
        return bool(task_of(value))
    return option == "cfg" and bool(describe(value) if value.endswith(".yaml") else value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_options_are_known_and_files_are_there(file: Path):
    options, steps = read_config(file)  # which checks the commands and their options
    assert (REPOSITORY / options["out"]).is_dir()
    runs = [parse_run(text).own for text in options.pop("run")]
    for own in runs:
        build(COMPARE_SCHEMAS, {**options, **own})
    made: set[str] = set()
    for target, step in steps.items():
        for given in step.values():
            check_files(given, made)
        made |= {target, str(Path(target).parent), *map(str, given.values())}
    for own in runs:
        check_files({**options, **own}, made)


def check_files(options: dict[str, Any], made: set[str]) -> None:
    for option in ("data", "weights", "cfg", "hyp", "teacher", "source", "file"):
        if value := str(options.get(option, "")):
            assert is_there(option, value, made), f"{option}: {value}"


def test_there_are_comparisons_of_every_method():
    assert {file.stem.partition("-")[0] for file in FILES} == {"wiid", "rfla", "lcp", "aeris", "richsem", "weather"}
