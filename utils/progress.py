"""A progress line for whatever takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], total: int, what: str, *, delay: float = 2.0, stream: TextIO | None = None
) -> Iterator[Item]:
    """Yield the items; after `delay` seconds show on stderr how many of `total` are done and how long the rest takes.

    On a terminal one line is redrawn twice a second; in a log a line is written every 30 seconds.
    """
    stream = stream or sys.stderr
    lively = stream.isatty()
    start = time.monotonic()
    due, shown = start + delay, False
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now >= due:
            print(_line(what, done, total, now - start), end="\r" if lively else "\n", file=stream, flush=True)
            due, shown = now + (0.5 if lively else 30.0), True
    if shown and lively:
        print(_line(what, total, total, time.monotonic() - start), file=stream, flush=True)


def _line(what: str, done: int, total: int, seconds: float) -> str:
    """'what: 40 of 100, 12 s, 18 s to go'."""
    rest = seconds / done * max(total - done, 0) if done else 0.0
    return f"{what}: {done} of {total}, {seconds:.0f} s" + (f", about {rest:.0f} s to go   " if rest >= 1 else " " * 24)
