"""Fetched images are bounded, and redirections lead to no internal host."""

from __future__ import annotations

import io
import ipaddress
import itertools
import time
from typing import Any

import cv2
import pytest
from PIL import Image

from engine.inference import fetching
from engine.inference.fetching import chunks, image_bytes, is_internal, reason
from tests.engine.inference.live import plain_image, send, serve


def endless(handler: Any) -> None:
    """An answer without a length that goes on until the reader leaves."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(2**16))


def drip(handler: Any) -> None:
    """One byte every 20 ms: a limit on each read alone is never reached."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(500):
        handler.wfile.write(b"x")
        time.sleep(0.02)


def redirect(target: str) -> Any:
    def answer(handler: Any) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    return answer


def write_slowly(head: bytes, piece: bytes) -> Any:
    """An answer by hand: the head at once, then the piece again and again, 100 times a second, for at most 10 s."""

    def answer(handler: Any) -> None:
        handler.wfile.write(head)
        for _ in range(1000):
            handler.wfile.write(piece)
            time.sleep(0.01)

    return answer


def test_a_whole_image_comes_as_it_is() -> None:
    data = cv2.imencode(".png", plain_image(3))[1].tobytes()
    with serve(pic=send(data)) as address:
        assert image_bytes(f"{address}/pic.png") == data


def test_an_endless_answer_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "IMAGE_BYTES", 2**20)
    with serve(pic=endless) as address, pytest.raises(OSError, match="larger than 1 MiB"):
        image_bytes(f"{address}/pic.png")


def test_a_drip_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "IMAGE_SECONDS", 0.3)
    start = time.monotonic()
    with serve(pic=drip) as address, pytest.raises(OSError, match="takes longer"):
        image_bytes(f"{address}/pic.png")
    assert time.monotonic() - start < 5  # of the 10 s that the answer takes


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),  # a header that does not end
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),  # the answer before the answer, for ever
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),  # the length of a piece that does not come
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234567", b""),  # silence before the end
    ],
)
def test_a_drip_of_what_is_no_content_ends_at_the_limit(
    monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(fetching, "IMAGE_SECONDS", 0.3)
    start = time.monotonic()
    with serve(pic=write_slowly(head, piece)) as address, pytest.raises(OSError, match="takes longer"):
        image_bytes(f"{address}/pic.png")
    assert time.monotonic() - start < 5


def test_words_of_the_server_are_one_short_line() -> None:
    with (
        serve(pic=write_slowly(b"HTTP/1.1 404 \x1b[2J" + b"no " * 999 + b"\r\n\r\n", b"")) as address,
        pytest.raises(OSError, match="404") as problem,
    ):
        image_bytes(f"{address}/pic.png")
    text = reason(problem.value)
    assert text.startswith("HTTP Error 404: ?[2Jno no") and len(text) == 300


def test_a_name_that_becomes_internal_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection seems to lead to a public host; its redirection to the same name leads to 127.0.0.1."""
    answers = itertools.chain([ipaddress.ip_address("8.8.8.8")], itertools.repeat(ipaddress.ip_address("127.0.0.1")))
    monkeypatch.setattr(fetching, "_address", lambda _: next(answers))
    with (
        serve(pic=redirect("/there.png"), there=send(b"abc")) as address,
        pytest.raises(OSError, match="local network"),
    ):
        list(chunks(f"{address}/pic.png"))


def test_the_clock_is_read_after_every_piece() -> None:
    """Start at 0, then 61 s: over the 60 s after the first piece."""
    clock = itertools.chain([0.0], itertools.repeat(61.0))
    with serve(pic=send(b"x")) as address, pytest.raises(OSError, match="longer than 60 s"):
        image_bytes(f"{address}/pic.png", lambda: next(clock))


def test_pixels_are_counted_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "IMAGE_PIXELS", 99)
    file = io.BytesIO()
    Image.new("L", (10, 10)).save(file, "PNG")
    with serve(pic=send(file.getvalue())) as address, pytest.raises(OSError, match="100 pixels, more than 99"):
        image_bytes(f"{address}/pic.png")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://169.254.169.254/latest/meta-data", "local network"),  # where clouds keep credentials
        ("http://10.0.0.1/x.png", "local network"),
        ("http://[::1]/x.png", "local network"),
        ("http://localhost/x.png", "local network"),
        ("ftp://127.0.0.1/x.png", "ftp://, which is not followed"),
        ("file:///etc/hostname", "not followed|not allowed"),
    ],
)
def test_redirections_that_are_not_followed(target: str, words: str) -> None:
    with serve(pic=redirect(target)) as address, pytest.raises(OSError, match=words):
        list(chunks(f"{address}/pic.png"))


def test_a_redirection_within_the_named_host_is_followed() -> None:
    with serve(pic=redirect("/there.png"), there=send(b"abc")) as address:
        assert b"".join(chunks(f"{address}/pic.png")) == b"abc"


@pytest.mark.parametrize(
    ("host", "internal"),
    [("127.0.0.1", True), ("192.168.1.9", True), ("169.254.0.1", True), ("::ffff:10.0.0.1", True), ("8.8.8.8", False)],
)
def test_internal_addresses(host: str, internal: bool) -> None:
    assert is_internal(host) is internal
