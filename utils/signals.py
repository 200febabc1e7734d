"""Being asked to end."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ABANDONED: list[threading.Thread] = []
_SCRATCH: set[str] = set()


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM ends a run as Ctrl-C does, so that what was begun is completed. Only the main thread can see to it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        """What a Ctrl-C would do."""
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def abandon(thread: threading.Thread) -> None:
    """Note a daemon thread that hangs in foreign code, such as FFmpeg waiting for a silent camera."""
    _ABANDONED.append(thread)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, which is removed also where `leave` ends the process."""
    with tempfile.TemporaryDirectory(prefix="hardsight-") as folder:
        _SCRATCH.add(folder)
        try:
            yield Path(folder)
        finally:
            _SCRATCH.discard(folder)


def leave(code: int) -> int:
    """The exit code of a script, on its way out. Ends the process here where an abandoned thread still hangs.

    The interpreter would wait for it, or abort (exit code 134) when it wakes up in the middle of the shutdown.
    """
    if not any(thread.is_alive() for thread in _ABANDONED):
        return code
    for folder in tuple(_SCRATCH):
        shutil.rmtree(folder, ignore_errors=True)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


class _SignalStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]  # noqa: RUF012


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Inside, a library may give this thread another stack for signals; afterwards it has its own again.

    OpenVINO does when it compiles a network, and frees that stack with the network: with Python's faulthandler on, the next
    signal, such as a Ctrl-C, would end the process.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    library, before = ctypes.CDLL(None), _SignalStack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(before), None)
