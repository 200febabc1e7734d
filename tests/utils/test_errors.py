"""utils.errors: the user's error, and names to suggest."""

from __future__ import annotations

import pytest

from utils import errors
from utils.errors import UserError


@pytest.mark.parametrize(
    ("word", "expected"),
    [("epoch", "epochs"), ("EPOCHS", "epochs"), ("imgsize", "imgsz"), ("zzz", None), ("", None)],
)
def test_nearest(word, expected):
    assert errors.nearest(word, ["epochs", "imgsz", "batch_size"]) == expected


def test_suggestion_is_empty_where_nothing_is_near():
    assert errors.suggestion("wiidd", ["wiid", "none"]) == " Did you mean 'wiid'?"
    assert errors.suggestion("qqqq", ["wiid", "none"]) == ""


def test_what_a_loader_s_process_says_is_said_without_its_traceback():
    wrapped = (
        "Caught UserError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File ...\n"
    )
    assert (
        str(UserError(wrapped + "utils.errors.UserError: a.png: is gone. Restore it.\n"))
        == "a.png: is gone. Restore it."
    )
    assert str(UserError("Caught in the rain.")) == "Caught in the rain."


def test_a_word_without_end_is_cut() -> None:
    assert str(UserError(f"a {300 * 'b'} c")) == f"a {300 * 'b'} c"
    assert str(UserError(f"a {301 * 'b'} c")) == f"a {150 * 'b'}... c"
