"""What a stranger can hold open, and what it costs the run."""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.serving import page as module
from engine.serving.connections import FRACTION, AcceptErrors, most_connections
from engine.serving.page import Page
from tests.engine.serving.test_page import TOKEN, get, page

pytest.importorskip("aiohttp", reason="aiohttp is not installed")
resource = pytest.importorskip("resource", reason="this system limits no open files")


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """This process may open so many files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connect(shown: Page, sent: bytes = b"") -> socket.socket:
    link = socket.create_connection(shown.server.getsockname(), timeout=5)
    link.sendall(sent)
    return link


def is_open(link: socket.socket) -> bool:
    """Whether the page holds a connection that was asked for nothing."""
    link.setblocking(False)
    try:
        return link.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def takes(link: socket.socket) -> bool:
    """Whether the page takes another byte, which is sent a moment later."""
    time.sleep(0.05)
    try:
        link.sendall(b"a")
    except OSError:
        return False
    return True


def answered(shown: Page) -> bool:
    try:
        return get(shown, "/health", Authorization=f"Bearer {TOKEN}")[0] == 200
    except OSError:
        return False


def wait_until(there: Callable[[], bool], seconds: float = 5.0) -> bool:
    ends = time.monotonic() + seconds
    while not there() and time.monotonic() < ends:
        time.sleep(0.02)
    return there()


def test_a_quarter_of_the_open_files_at_most() -> None:
    with open_files(400):
        assert most_connections(128) == 400 // FRACTION == 100
    with open_files(1024):
        assert most_connections(128) == 128


def test_no_more_connections_than_that_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 10)
    with page(TOKEN) as shown, ExitStack() as links:
        held = [links.enter_context(connect(shown, b"GET / HTTP/1.1\r\nHo")) for _ in range(40)]
        assert wait_until(lambda: sum(map(is_open, held)) == 10)
        held[0].close()
        assert wait_until(lambda: sum(map(is_open, held[1:])) == 9)
        for link in held[1:]:
            link.close()
        assert wait_until(lambda: answered(shown))


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"])
def test_a_connection_without_a_whole_request_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    with page() as shown, connect(shown, sent) as link:
        link.settimeout(5)
        started = time.monotonic()
        while link.recv(65536):
            pass
        assert time.monotonic() - started < 4


def test_a_slow_request_is_no_longer_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not prolong it, neither of the first nor of the second request of a connection."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with page() as shown, connect(shown) as first, connect(shown) as second:
        second.sendall(f"GET /health HTTP/1.1\r\nHost: {shown.address.split('/')[2]}\r\n\r\n".encode())
        assert second.recv(65536).startswith(b"HTTP/1.1 200")
        assert wait_until(lambda: not takes(first) and not takes(second))


def test_a_refused_request_ends_its_connection() -> None:
    """A stranger that asks again and again, and reads no answer, holds nothing."""
    with page(TOKEN) as shown, connect(shown, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50) as link:
        answers = b""
        while piece := link.recv(65536):
            answers += piece
        assert answers.count(b"HTTP/1.1 401") == 1


def test_a_run_keeps_its_files_whoever_connects(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """60 more files may be open, and a stranger opens 120 connections: the run can still open its own."""
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 20)
    with caplog.at_level(logging.WARNING), ExitStack() as stack:
        theirs = [stack.enter_context(socket.socket()) for _ in range(120)]  # in this process too, for want of another
        stack.enter_context(open_files(max(link.fileno() for link in theirs) + 60))
        shown = stack.enter_context(page(TOKEN))
        for link in theirs:
            link.settimeout(5)
            link.connect(shown.server.getsockname())
            Path(os.devnull).read_bytes()
        assert wait_until(lambda: sum(map(is_open, theirs)) == 20)
    assert caplog.text == ""


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_said_once(number: int) -> None:
    said: list[str] = []
    passed: list[Any] = []

    class Loop:
        default_exception_handler = staticmethod(passed.append)

    handle = AcceptErrors(said.append)
    for _ in range(3):
        handle(Loop(), {"message": "socket.accept() out of system resource", "exception": OSError(number, "x")})  # type: ignore[arg-type]
    assert len(said) == 1 and "too many files are open" in said[0] and passed == []
    handle(Loop(), {"message": "another"})  # type: ignore[arg-type]
    assert passed == [{"message": "another"}]
