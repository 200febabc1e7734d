"""What a task looks at, before anything is loaded. The rest of it is seen through val.py: test_validator.py."""

from __future__ import annotations

import pytest

from data.config import TESTS, VALS
from engine.evaluation.session import splits_of


@pytest.mark.parametrize(("task", "expected"), [("train", ("train",)), ("speed", VALS), ("test", TESTS)])
def test_splits_of_a_task(task, expected):
    assert splits_of(task) == expected
