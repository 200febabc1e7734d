"""Work done in order beside the main thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class WorkerThread:
    """Calls `work` with what `put` hands over, in order, in a thread of its own; leaving the `with` block waits for it.

    An error in `work` is raised from the next `put`, or on leaving; nothing is worked on after it.
    """

    def __init__(self, work: Callable[..., None], ahead: int = 8) -> None:
        self.work = work
        self._queue: queue.Queue[tuple[Any, ...] | None] = queue.Queue(ahead)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> WorkerThread:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._check()

    def put(self, *arguments: Any) -> None:
        """Hand over one piece of work; waits when too much is under way."""
        self._check()
        self._queue.put(arguments)

    def _check(self) -> None:
        """Raise what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        """The thread's loop. After an error it keeps emptying the queue, so that nobody waits forever."""
        while (arguments := self._queue.get()) is not None:
            if self._failure is None:
                try:
                    self.work(*arguments)
                except BaseException as problem:  # noqa: B036 - raised again where the work was handed over
                    self._failure = problem
