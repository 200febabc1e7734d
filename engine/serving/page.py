"""The server behind `--serve`: a page, a WebSocket for its tiles, /health and /metrics. It runs in a thread of its own.

aiohttp, because one maintained package with few dependencies is server, WebSocket and limits in one.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.serving.access import COOKIE, Reserved, same_origin
from engine.serving.connections import AcceptErrors, connections, most_connections
from engine.serving.metrics import counted, health, prometheus
from engine.serving.tiles import FOCUSED, Tile, Tiles
from engine.streams.status import SourceMonitor
from engine.tracking.result import TrackingResult
from utils.log import LOGGER

if TYPE_CHECKING:
    from aiohttp import web

STATIC = Path(__file__).with_name("static")
FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
MOST_VIEWERS = 32
MOST_CONNECTIONS = 4 * MOST_VIEWERS  # a browser opens several
ACCEPTED = 8  # connections that are taken at once, before those above the limit are closed
WAITING = 64  # connections that the system keeps until they are taken
FASTEST = 0.1  # seconds between two rounds of tiles to a viewer, at least
SLOWEST = 1.0  # seconds after which a round goes out even if nothing is new
PATIENCE = 20.0  # seconds that a viewer may take for one round, and a connection for a request
LARGEST = 1024  # bytes of a viewer's message
LARGEST_HEAD = 8192  # bytes of a request: its address and headers
HEADERS = {
    "Server": "Hardsight",  # no versions
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Page:
    """Shows what `show` is given to whoever looks. A slow viewer gets fewer frames, and slows nothing down.

    place: where; its socket is closed in the end. names: class number -> name; monitors: of all sources, in order.
    """

    def __init__(self, place: Reserved, names: Mapping[int, str], monitors: Sequence[SourceMonitor]) -> None:
        self.server, self.address, self.access = place
        self.names, self.monitors = dict(names), monitors
        self.tiles = Tiles(len(monitors))
        self.viewers = 0
        self._texts = {path: (STATIC / name).read_text("utf-8") for path, (name, _) in FILES.items()}
        self._stated = float("-inf"), ""  # when, and what was said of the sources
        self._loop = asyncio.new_event_loop()
        self._coder = ThreadPoolExecutor(1, "page")
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="page")

    def __enter__(self) -> Page:
        self._thread.start()
        self._ready.wait(10)
        LOGGER.info(f"page: {self.address}")
        return self

    def __exit__(self, *problem: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(0.5)
        self._coder.shutdown(wait=False, cancel_futures=True)

    def show(self, order: int, number: int, image: np.ndarray, boxes: np.ndarray, seen: TrackingResult) -> None:
        """A detected frame of source `order`: image (H, W, 3) uint8, which must not change any more; boxes (n, 6)."""
        self.tiles.put(Tile(order, number, image, boxes, seen))

    def _run(self) -> None:
        """The thread's work."""
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        """Answer requests until the end."""
        from aiohttp import web

        app = web.Application(middlewares=[self._guard()], client_max_size=LARGEST)
        for path in FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/tiles", self._viewer)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.3)
        await runner.setup()
        assert runner.server is not None
        connection = connections(runner.server, most_connections(MOST_CONNECTIONS), PATIENCE, HEADERS)
        self._loop.set_exception_handler(AcceptErrors())
        listening = await self._loop.create_server(connection, sock=self.server, backlog=ACCEPTED)
        self.server.listen(WAITING)  # asyncio takes one number for both
        self._ready.set()
        await self._end.wait()
        listening.close()
        await runner.cleanup()

    def _guard(self) -> Any:
        """The middleware that answers only who may see, refuses what is large, and adds the headers of every answer."""
        from aiohttp import web

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            connection: Any = request.protocol
            connection.asked()
            host, authorization = (request.headers.get(name, "") for name in ("Host", "Authorization"))
            if not self.access.allows(host, authorization, request.cookies.get(COOKIE, "")):
                asks = {"WWW-Authenticate": 'Basic realm="hardsight", charset="UTF-8"'} if self.access.token else {}
                return _refusal(401, asks)
            if request.can_read_body:
                return _refusal(413)
            if head_size(request) > LARGEST_HEAD:
                return _refusal(431)
            try:
                answer: web.StreamResponse = await handler(request)
            except web.HTTPException as problem:
                return web.Response(status=problem.status, headers=HEADERS)
            if not answer.prepared:
                answer.headers.update(HEADERS)
                if self.access.token:
                    answer.set_cookie(COOKIE, self.access.session, httponly=True, samesite="Strict")
            return answer

        return guard

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """One of FILES; no path of a request ever reaches the disk."""
        from aiohttp import web

        text, (_, kind) = self._texts[request.path], FILES[request.path]
        return web.Response(text=text, content_type=kind, charset="utf-8")

    async def _health(self, _: web.Request) -> web.StreamResponse:
        """See metrics.health; 503 where every source is lost."""
        from aiohttp import web

        said = health([monitor.status() for monitor in self.monitors], self.tiles.counts, self.viewers)
        return web.json_response(said, status=503 if said["status"] == "failed" else 200)

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        """See metrics.prometheus."""
        from aiohttp import web

        text = prometheus([monitor.status() for monitor in self.monitors], self.tiles.counts, self.viewers)
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _viewer(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket. In rounds: tiles that are new (binary), then the state (text); the next when the viewer asks for it."""
        from aiohttp import web

        if not same_origin(request.headers.get("Host", ""), request.headers.get("Origin", "")):
            return web.Response(status=403)
        if self.viewers >= MOST_VIEWERS:
            return web.Response(status=503)
        link = web.WebSocketResponse(max_msg_size=LARGEST, compress=False, heartbeat=PATIENCE, timeout=0.2)
        await link.prepare(request)
        self.viewers += 1
        ending = asyncio.ensure_future(self._end.wait())
        rounds = asyncio.ensure_future(self._rounds(link))
        try:
            await asyncio.wait({ending, rounds}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.viewers -= 1
            ending.cancel()
            rounds.cancel()
            await asyncio.gather(rounds, return_exceptions=True)  # a viewer that leaves is no failure
            await link.close()
        return link

    async def _rounds(self, link: web.WebSocketResponse) -> None:
        """Serve one viewer until it leaves, or takes too long."""
        sent: dict[int, int] = {}  # source -> version that the viewer has
        focus = 0
        await link.send_str(json.dumps({"type": "hello", "names": self.names}))
        while True:
            asked = parse_request(await link.receive_str(timeout=PATIENCE))
            if asked != focus:
                sent.pop(asked, None)  # a larger one is wanted
                focus = asked
            for order in await self._news(sent):
                wanted = order, FOCUSED if order == focus else self.tiles.width
                found = self.tiles.coded(*wanted)
                if found is None:  # else another viewer has it: no other thread is asked
                    found = await self._loop.run_in_executor(self._coder, self.tiles.message, *wanted)
                sent[order], message = found
                async with asyncio.timeout(PATIENCE):
                    await link.send_bytes(message)
            async with asyncio.timeout(PATIENCE):
                await link.send_str(self._state())

    async def _news(self, sent: Mapping[int, int]) -> list[int]:
        """Sources with a tile that is not `sent` yet; waits for one, SLOWEST seconds at most."""
        await asyncio.sleep(FASTEST)
        waited = FASTEST
        while True:
            new = [order for order, version in self.tiles.versions().items() if sent.get(order) != version]
            if new or waited >= SLOWEST:
                return new
            await asyncio.sleep(FASTEST / 2)
            waited += FASTEST / 2

    def _state(self) -> str:
        """The state of all sources, as JSON; the same for all who ask within FASTEST."""
        now = self._loop.time()
        if now >= self._stated[0] + FASTEST:
            sources = [
                monitor.status().as_json() | counted(self.tiles.counts.get(monitor.order)) for monitor in self.monitors
            ]
            self._stated = now, json.dumps({"type": "state", "sources": sources})
        return self._stated[1]


def _refusal(status: int, more: Mapping[str, str] | None = None) -> web.StreamResponse:
    """An empty answer that ends its connection: who is refused cannot hold one by asking again."""
    from aiohttp import web

    answer = web.Response(status=status, headers=HEADERS | dict(more or {}))
    answer.force_close()
    return answer


def head_size(request: web.Request) -> int:
    """Bytes of a request's address and headers."""
    return len(request.raw_path) + sum(len(name) + len(value) for name, value in request.raw_headers)


def parse_request(text: str) -> int:
    """A viewer's `{"focus": N}`: the source that it wants larger, 0 for none; anything else is 0 too."""
    try:
        focus = json.loads(text).get("focus")
    except (ValueError, AttributeError, RecursionError):
        return 0
    return focus if isinstance(focus, int) and not isinstance(focus, bool) else 0
