"""The page over HTTP: who gets what, and what a slow viewer costs."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from engine.serving.access import Access, Reserved
from engine.serving.page import FILES, STATIC, Page, parse_request
from engine.streams.status import SourceMonitor
from engine.tracking.result import TrackingResult
from tests.engine.serving.test_tiles import parts

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
TOKEN = "correct-horse"


@contextmanager
def page(token: str = "", sources: int = 2, name: str = "rtsp://cam/{}") -> Iterator[Page]:
    server = socket.create_server(("127.0.0.1", 0))
    place = Reserved(server, f"http://127.0.0.1:{server.getsockname()[1]}/", Access(token))
    monitors = [SourceMonitor(order, name.format(order)) for order in range(1, sources + 1)]
    with Page(place, {0: "cat", 1: "dog"}, monitors) as shown:
        yield shown


def show(shown: Page, order: int, number: int, size: int = 64) -> None:
    image = np.full((size, size, 3), number % 256, np.uint8)
    shown.monitors[order - 1].frame(image, number)
    shown.show(order, number, image, np.array([[1, 2, 30, 40, 0.9, 1]], np.float32), TrackingResult())


def ask(shown: Page, text: str | bytes) -> tuple[int, str]:
    """(status, whole answer) of a request as it is written here; Host and the end are added."""
    given = text.encode() if isinstance(text, str) else text
    host = shown.address.split("/")[2]
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=5) as link:
        link.sendall(given.replace(b"HOST", host.encode()) + b"\r\n\r\n")
        answer = b""
        link.settimeout(2)
        while b"\r\n\r\n" not in answer or not _whole(answer):
            try:
                piece = link.recv(65536)
            except TimeoutError:
                break
            if not piece:
                break
            answer += piece
    return int(answer.split()[1]) if answer else 0, answer.decode()


def _whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return bool(lengths) and len(body) >= int(lengths[0].split()[1])


def get(shown: Page, path: str, **headers: str) -> tuple[int, str]:
    extra = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    return ask(shown, f"GET {path} HTTP/1.1\r\nHost: HOST{extra}")


def test_its_files_and_nothing_else() -> None:
    with page() as shown:
        for path in FILES:
            code, text = get(shown, path)
            assert code == 200 and "Content-Security-Policy: default-src 'none'" in text and "nosniff" in text
        for path in (
            "/page.html",
            "/static/page.js",
            "/../access.py",
            "/%2e%2e/access.py",
            "/..%2faccess.py",
            "//etc/passwd",
        ):
            code, text = get(shown, path)
            assert code == 404 and "import" not in text and "root:" not in text, path


def test_nothing_is_asked_of_anywhere_else() -> None:
    text = "".join((STATIC / name).read_text() for name, _ in FILES.values())
    assert "http:" not in text.replace('"https:"', "") and "//" not in text.replace("://${", "").replace("// ", "")
    assert "@import" not in text and "url(" not in text


@pytest.mark.parametrize(
    ("request_text", "codes"),
    [
        ("POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0", {405, 404}),
        ("POST /health HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99999999999", {413}),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5", {413}),
        ("GET /" + "a" * 20000 + " HTTP/1.1\r\nHost: HOST", {400, 414}),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: " + "a" * 20000, {400, 431}),
        ("nonsense", {400}),
        ("GET / HTTP/1.1\r\nHost: HOST" + ("\r\nX: " + "a" * 4000) * 3, {431}),
        ("GET /" + "a" * 5000 + " HTTP/1.1\r\nHost: HOST\r\nX: " + "a" * 5000, {431}),
        ("GET / HTTP/1.1\r\nHost: HOST\r\nX: " + "a" * 7000, {200}),
        ("GET /tiles HTTP/1.1\r\nHost: HOST\r\nOrigin: http://[::1", {403}),
        ("GET / HTTP/1.1\r\nHost: evil.example", {401}),
        ("GET / HTTP/1.1", {400, 401}),
    ],
)
def test_odd_and_oversized_requests_are_refused(request_text: str, codes: set[int]) -> None:
    with page() as shown:
        code, text = ask(shown, request_text)
        assert code in codes and "Traceback" not in text
        assert get(shown, "/health")[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/page.js", "/tiles", "/nothing"])
def test_without_the_token_nothing_is_said(path: str) -> None:
    with page(TOKEN) as shown:
        for headers in ({}, {"Authorization": "Bearer wrong-horse"}, {"Cookie": f"hardsight={TOKEN}"}):
            code, text = get(shown, path, **headers)
            head, _, body = text.partition("\r\n\r\n")
            assert code == 401 and body == "" and "WWW-Authenticate: Basic" in head and "Set-Cookie" not in head
            assert "Server: Hardsight" in head and "aiohttp" not in text and "Python" not in text


@pytest.mark.parametrize(
    "request_text",
    [
        f"GET / HTTP/1.1\r\nHost: HOST\r\nBad Header: {TOKEN}",
        f"GET / HTTP/1.1\r\nHost: HOST\r\nX: {TOKEN}{'a' * 20000}",
        f"GET /{TOKEN}{'a' * 20000} HTTP/1.1\r\nHost: HOST",
        f"{TOKEN} nonsense",
    ],
)
def test_what_is_no_http_is_neither_quoted_nor_logged(request_text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), page(TOKEN) as shown:
        code, text = ask(shown, request_text)
        assert code == 400 and text.endswith("\r\n\r\n") and TOKEN not in text and "aiohttp" not in text
        assert get(shown, "/health", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert TOKEN not in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "header", [b"Authorization: Bearer ", b"Authorization: Basic ", b"Cookie: hardsight=", b"Host: "]
)
@pytest.mark.parametrize("given", [b"\xed\xb2\x80abc", b"\xff", "café".encode(), b'"\\355"'])
def test_headers_that_are_not_utf8_are_no_token(header: bytes, given: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), page(TOKEN) as shown:
        code, _ = ask(shown, b"GET / HTTP/1.1\r\nX: y\r\n" + header + given)
        assert code in {400, 401}
    assert caplog.text == ""


def test_names_that_are_not_utf8_are_shown() -> None:
    with page(name="caf\udce9.mp4") as shown:
        show(shown, 1, 5)
        code, text = get(shown, "/metrics")
        assert code == 200 and r'frames_total{source="caf\\udce9.mp4",order="1"} 5' in text
        code, text = get(shown, "/health")
        assert code == 200 and json.loads(text.partition("\r\n\r\n")[2])["sources"][0]["label"] == "caf\udce9.mp4"
        ((_, state),) = asyncio.run(rounds(shown, 1))
        assert state["sources"][0]["label"] == "caf\udce9.mp4"


def test_with_the_token_a_cookie_follows_that_is_not_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), page(TOKEN) as shown:
        code, text = get(shown, "/", Authorization=f"Bearer {TOKEN}")
        (cookie,) = [line for line in text.split("\r\n") if line.startswith("Set-Cookie")]
        assert code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in text
        session = cookie.split("hardsight=")[1].split(";")[0]
        assert get(shown, "/metrics", Cookie=f"hardsight={session}")[0] == 200
    assert TOKEN not in caplog.text and session not in caplog.text


def test_health_and_metrics() -> None:
    with page() as shown:
        show(shown, 1, 5)
        code, text = get(shown, "/health")
        said = json.loads(text.partition("\r\n\r\n")[2])
        assert code == 200 and [source["state"] for source in said["sources"]] == ["live", "connecting"]
        assert 'hardsight_source_frames_total{source="rtsp://cam/1",order="1"} 5' in get(shown, "/metrics")[1]
        for monitor in shown.monitors:
            monitor.ended("lost", "gone")
        assert get(shown, "/health")[0] == 503


async def rounds(shown: Page, number: int, focus: int = 0, **headers: str) -> list[list[Any]]:
    """What a viewer gets in so many rounds: (header, image) of tiles, then the state."""
    found: list[list[Any]] = []
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{shown.address}tiles", headers=headers) as link:
        assert json.loads(await link.receive_str())["names"] == {"0": "cat", "1": "dog"}
        for _ in range(number):
            await link.send_str(json.dumps({"focus": focus}))
            found.append([])
            while (message := await link.receive(timeout=5)).type == aiohttp.WSMsgType.BINARY:
                found[-1].append(parts(message.data))
            found[-1].append(json.loads(message.data))
    return found


def test_a_viewer_gets_what_is_new() -> None:
    with page() as shown:
        show(shown, 1, 7, size=1000)
        show(shown, 2, 8)
        first, second = asyncio.run(rounds(shown, 2))
        assert [head["number"] for head, _ in first[:-1]] == [7, 8] and first[0][1].shape == (640, 640, 3)
        assert first[0][0]["boxes"] == [[0.001, 0.002, 0.03, 0.04, 0.9, 1, 0]]
        assert len(second) == 1 and [source["frames"] for source in second[0]["sources"]] == [7, 8]
        (enlarged,) = asyncio.run(rounds(shown, 1, focus=1))
        assert enlarged[0][1].shape == (1000, 1000, 3)
        assert shown.viewers == 0


def test_a_page_from_elsewhere_opens_no_socket() -> None:
    with page() as shown, pytest.raises(aiohttp.WSServerHandshakeError) as problem:
        asyncio.run(rounds(shown, 1, Origin="http://evil.example"))
    assert problem.value.status == 403


def test_a_viewer_that_does_not_ask_gets_nothing_and_costs_nothing() -> None:
    async def sleepy(shown: Page) -> float:
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{shown.address}tiles") as link:
            await link.receive_str()
            coded = shown.tiles._coded
            started = time.perf_counter()
            for number in range(1000):
                show(shown, 1, number, size=400)
            took = time.perf_counter() - started
            with pytest.raises(TimeoutError):
                await link.receive(timeout=0.3)
            assert coded == {}
            return took

    with page() as shown:
        assert asyncio.run(sleepy(shown)) < 1.0  # a thousand frames are shown; none is coded


@pytest.mark.parametrize("text", ["", "x", "[]", '{"focus": "1"}', '{"focus": true}', "{" * 900, '{"focus": 1e99}'])
def test_nonsense_from_a_viewer_is_no_wish(text: str) -> None:
    assert parse_request(text) == 0


def test_a_viewer_that_says_too_much_is_disconnected() -> None:
    async def chatter(shown: Page) -> Any:
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{shown.address}tiles") as link:
            await link.receive_str()
            await link.send_str("x" * 2000)
            return (await link.receive(timeout=5)).type

    with page() as shown:
        assert asyncio.run(chatter(shown)) in {
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        }
        assert get(shown, "/health")[0] == 200


def test_leaving_ends_it_at_once_with_viewers() -> None:
    async def leave(shown: Page) -> float:
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{shown.address}tiles") as link:
            await link.receive_str()
            started = time.monotonic()
            await asyncio.to_thread(shown.__exit__)
            return time.monotonic() - started

    server = socket.create_server(("127.0.0.1", 0))
    shown = Page(Reserved(server, f"http://127.0.0.1:{server.getsockname()[1]}/", Access()), {}, [])
    shown.__enter__()
    assert asyncio.run(leave(shown)) < 1.5
    assert not shown._thread.is_alive()
