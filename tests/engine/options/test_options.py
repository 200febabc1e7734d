"""Options of other tools that val.py and detect.py answer; test_train.py has those of train.py."""

from __future__ import annotations

import pytest

from engine.options import detect, val
from utils.errors import UserError
from utils.options import parse_argv, schema_fields

TABLES = {"val.py": (val.VAL_SCHEMAS, val.FOREIGN), "detect.py": ((detect.DetectOptions,), detect.FOREIGN)}


@pytest.mark.parametrize(("program", "name"), [(program, name) for program in TABLES for name in TABLES[program][1]])
def test_foreign_options_are_answered_and_not_guessed(program: str, name: str) -> None:
    with pytest.raises(UserError, match="there is no such option here") as caught:
        parse_argv([f"--{name}"], TABLES[program][0], program, "")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("program", TABLES)
def test_no_answer_hides_an_option(program: str) -> None:
    schemas, table = TABLES[program]
    fields = schema_fields(schemas)
    spellings = {alias.lstrip("-").replace("-", "_") for entry in fields.values() for alias in entry.aliases}
    assert not set(table) & (set(fields) | spellings)


@pytest.mark.parametrize("length", ["-1", "100001", "100000000000000000000"])
def test_a_trail_has_a_length_that_memory_has(length: str) -> None:
    with pytest.raises(UserError, match="expected a whole number from 0 to 100000"):
        parse_argv(["--trail", length], (detect.DetectOptions,), "detect.py", "")
