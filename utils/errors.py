"""The error that only the user can mend, and the nearest name to suggest in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

MOST = 1500  # letters of a message
LONGEST = 300  # letters of a word that a message repeats whole


class UserError(Exception):
    """Something only the user can put right. One paragraph: the file or option, what was expected, the next step.

    Words of more than 300 letters, as a damaged file may hold, are cut, and so is the middle of what is longer than MOST.
    """

    def __init__(self, message: str) -> None:
        if message.startswith("Caught UserError in "):  # torch put a loader process' traceback around it
            message = message.rpartition("UserError: ")[2].strip()
        message = re.sub(rf"\S{{{LONGEST + 1},}}", lambda word: f"{word[0][: LONGEST // 2]}...", message)
        if len(message) > MOST:  # the beginning names the file, the end the next step
            message = f"{message[: MOST - LONGEST]} ... {message[-LONGEST:]}"
        super().__init__(message)


def nearest(word: str, choices: Iterable[str], least: float = 0.6) -> str | None:
    """Return the choice most like `word` (case does not count), or None where none is that like it. least: from 0 to 1.

    >>> nearest("epoch", ["epochs", "imgsz"])
    'epochs'
    """
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=least)
    return by_lower[close[0]] if close else None


def suggestion(word: str, choices: Iterable[str]) -> str:
    """Return ' Did you mean X?' for an error message, or an empty string where nothing is near."""
    near = nearest(word, choices)
    return f" Did you mean {near!r}?" if near else ""
