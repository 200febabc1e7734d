"""Connections to the page: how many, how long without a request, and what is said where something is wrong with one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from utils.files import out_of_files
from utils.log import LOGGER

if TYPE_CHECKING:
    from aiohttp import web

FRACTION = 4  # of the files that this process may open, one in so many may be a connection


def most_connections(wanted: int) -> int:
    """`wanted`, or fewer where this process may open few files, so that sources and recordings keep theirs."""
    try:
        import resource
    except ImportError:  # Windows, which limits no sockets
        return wanted
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if files == resource.RLIM_INFINITY else min(wanted, files // FRACTION)


def connections(server: web.Server, most: int, patience: float, headers: Mapping[str, str]) -> Callable[[], Any]:
    """What makes a connection, for `create_server`.

    One above `most` is closed at once, one that is `patience` seconds without a whole request then. One that sends no
    HTTP gets an empty answer with `headers`, and nothing that it sent is logged.
    """
    from aiohttp import web

    loop = asyncio.get_running_loop()

    class Connection(web.RequestHandler):
        __slots__ = ("_late",)

        def connection_made(self, transport: Any) -> None:
            """It is open."""
            super().connection_made(transport)
            self._late = loop.call_later(patience, transport.abort)  # before 3.14.5, aiohttp limits later requests only
            if len(server.connections) > most:
                transport.abort()

        def connection_lost(self, problem: BaseException | None) -> None:
            """It is closed."""
            self._late.cancel()
            super().connection_lost(problem)

        def asked(self) -> None:
            """Its first request is there as a whole."""
            self._late.cancel()

        def handle_error(self, request: Any, status: int = 500, *problem: Any) -> web.StreamResponse:
            """aiohttp's own answer and log line quote the request, which may hold a token."""
            if status == 500:  # our mistake
                return super().handle_error(request, status, *problem)
            answer = web.Response(status=status, headers=headers)
            answer.force_close()
            return answer

    made: Any = Connection  # aiohttp's types do not know that access_log may be None
    return partial(made, server, loop=loop, access_log=None, keepalive_timeout=patience)


class AcceptErrors:
    """An exception handler of an event loop: that no file can be opened is said once, not in a traceback a try."""

    def __init__(self, log: Callable[[str], None] = LOGGER.warning) -> None:
        self.log, self.told = log, False

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """See asyncio's `set_exception_handler`."""
        if not out_of_files(context.get("exception")):
            loop.default_exception_handler(context)
        elif not self.told:
            self.told = True
            self.log("warning: page: too many files are open; nobody can connect until some are closed (see ulimit -n)")
