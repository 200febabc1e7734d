"""Work done in order beside the main thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from utils.signals import abandon

GRACE = 1.0  # seconds
MOST_BYTES = 1 << 29  # under way, unless one piece alone has more


class WorkerThread:
    """Calls `work` with what `put` hands over, in order, in a thread of its own; leaving the `with` block waits for it.

    An error in `work` is raised from the next `put`, or on leaving; nothing is worked on after it. Who leaves by an error
    or Ctrl-C waits as long as the work gets on, and GRACE seconds for a piece of it that hangs.
    """

    def __init__(self, work: Callable[..., None], ahead: int = 8) -> None:
        self.work = work
        self._queue: queue.Queue[tuple[int, tuple[Any, ...]] | None] = queue.Queue(ahead)
        self._room = threading.Condition()
        self._size = 0  # bytes under way
        self._failure: BaseException | None = None
        self._done = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> WorkerThread:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: object) -> None:
        if kind is None:
            self._queue.put(None)
            self._thread.join()
            self._check()
        elif not self._finished():
            abandon(self._thread)

    def put(self, *arguments: Any, size: int = 0) -> None:
        """Hand over one piece of work; waits when too much is under way. size: bytes that it holds."""
        self._check()
        with self._room:
            self._room.wait_for(lambda: not self._size or self._size + size <= MOST_BYTES)
            self._size += size
        self._queue.put((size, arguments))

    def _finished(self) -> bool:
        """Wait for the rest of the work; whether it came to its end, and does not hang."""
        told = False
        while True:
            before = self._done
            if not told:
                with suppress(queue.Full):
                    self._queue.put(None, timeout=GRACE)
                    told = True
            self._thread.join(GRACE if told else 0.0)
            if not self._thread.is_alive():
                return True
            if self._done == before:
                return False

    def _check(self) -> None:
        """Raise what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        """The thread's loop. After an error it keeps emptying the queue, so that nobody waits forever."""
        while (piece := self._queue.get()) is not None:
            size, arguments = piece
            if self._failure is None:
                try:
                    self.work(*arguments)
                except BaseException as problem:  # noqa: B036 - raised again where the work was handed over
                    self._failure = problem
            self._done += 1
            with self._room:
                self._size -= size
                self._room.notify()
