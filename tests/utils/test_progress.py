"""utils.progress: silence for quick work, one line for slow work."""

from __future__ import annotations

import io

import pytest

from utils.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_quick_work_is_silent():
    stream = io.StringIO()
    assert list(progress(range(5), 5, "work", stream=stream)) == [0, 1, 2, 3, 4]
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("stream", "ends"), [(io.StringIO(), "\n"), (Terminal(), "\r")])
def test_slow_work_says_how_much_is_done(stream, ends):
    list(progress(range(4), 4, "work", delay=0.0, stream=stream))
    first = stream.getvalue().split(ends)[0]
    assert first.startswith("work: 1 of 4, 0 s")


def test_a_terminal_gets_the_end_too():
    stream = Terminal()
    list(progress(range(4), 4, "work", delay=0.0, stream=stream))
    assert stream.getvalue().splitlines()[-1].startswith("work: 4 of 4")


def test_nothing_to_do():
    assert list(progress([], 0, "work", delay=0.0)) == []
