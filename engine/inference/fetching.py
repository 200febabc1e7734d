"""What comes from http(s) addresses: bounded in bytes, pixels and seconds, and never from an internal host by redirection."""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from PIL import Image

PATIENCE = 10.0  # seconds that an address may take to answer
IMAGE_SECONDS, VIDEO_SECONDS = 60.0, 3600.0  # that a file may take in all: each byte renews the limit above
IMAGE_BYTES, VIDEO_BYTES = 2**28, 2**34
IMAGE_PIXELS = 2**27
CHUNK = 2**18  # bytes fetched at a time
REASON = 300  # letters of what a server says
INTERNAL = "it redirects to an address of the local network, which is not followed unless you name it"


def image_bytes(where: str, clock: Callable[[], float] = time.monotonic) -> bytes:
    """The content of an image behind an http(s) address.

    clock: seconds. Raises OSError, ValueError or HTTPException where it cannot be had, or is larger than IMAGE_BYTES or
    IMAGE_PIXELS, or takes longer than IMAGE_SECONDS.
    """
    content = b"".join(chunks(where, IMAGE_BYTES, IMAGE_SECONDS, clock))
    pixels = _pixels(content)
    if pixels > IMAGE_PIXELS:
        raise OSError(f"it has {pixels:,} pixels, more than {IMAGE_PIXELS:,}; download it and name the file")
    return content


def chunks(
    where: str, most: int = VIDEO_BYTES, seconds: float = VIDEO_SECONDS, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """The content behind an http(s) address, in pieces as they arrive: at most `most` bytes, within `seconds`.

    Raises OSError, ValueError or HTTPException where it cannot be had, or is shorter than the answer said.
    """
    parts = urlsplit(where)
    user, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310 - only http(s) comes here
    if user:  # in a header, which no error message and no redirection repeats
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    late = OSError(f"it takes longer than {seconds:.0f} s; download it and name the file")
    connections, start, size = Connections(), clock(), 0
    opener = urllib.request.build_opener(_Redirects(parts.hostname), _Http(connections), _Https(connections))
    with connections.closed_after(seconds):
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                while chunk := answer.read1(CHUNK):
                    size += len(chunk)
                    if size > most:
                        raise OSError(f"it is larger than {most >> 20} MiB; download it and name the file")
                    if clock() - start > seconds:
                        raise late
                    yield chunk
                if answer.length:
                    raise OSError(f"{answer.length} bytes are missing at the end")
        except (OSError, HTTPException) as problem:
            raise (late if connections.closed else problem) from None
    if connections.closed:  # an answer without a length seems to be whole
        raise late


def reason(problem: Exception) -> str:
    """Why an address gave nothing. What the library says of an address that it cannot read repeats parts of it: never shown."""
    if isinstance(problem, InvalidURL | ValueError):
        return "it is not a valid address: escape what is special in a password, as in %2F for /"
    text = " ".join(str(problem).split())  # the server wrote part of it: no lines, no control sequences of a terminal
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:REASON]


class Connections:
    """The connections of one fetching. A redirection to a name whose address is internal by now is refused.

    closed: whether they were closed because they took too long. Only this ends a server that sends its headers, or the
    length of a piece, one byte at a time: the reader asks for a whole line.
    """

    def __init__(self) -> None:
        self.closed = False
        self._sockets: list[socket.socket] = []
        self._internal: bool | None = None  # whether the host that was named is

    def opened(self, connection: HTTPConnection) -> None:
        """Note a connection. Raises OSError where a public host redirected to an internal address."""
        internal = not _address(connection.sock.getpeername()[0]).is_global
        self._sockets.append(connection.sock)
        if self._internal is None:
            self._internal = internal
        if internal and not self._internal:
            raise OSError(INTERNAL)

    @contextmanager
    def closed_after(self, seconds: float) -> Iterator[None]:
        """Inside, they are closed after that time, whatever is being read."""
        timer = threading.Timer(seconds, self._close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _close(self) -> None:
        self.closed = True
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Noted:
    """A handler of urllib that tells of its connections."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self.connections = connections

    def do_open(self, http_class: Any, req: urllib.request.Request, **settings: Any) -> HTTPResponse:
        """As urllib's."""

        def connection(*args: Any, **more: Any) -> HTTPConnection:
            made: HTTPConnection = http_class(*args, **more)
            connect = made.connect

            def connect_and_tell() -> None:
                connect()
                self.connections.opened(made)

            made.connect = connect_and_tell  # type: ignore[method-assign]
            return made

        answer: HTTPResponse = super().do_open(connection, req, **settings)  # type: ignore[misc]
        return answer


class _Http(_Noted, urllib.request.HTTPHandler):
    """http://"""


class _Https(_Noted, urllib.request.HTTPSHandler):
    """https://"""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http(s) only, and to an internal host only where that very host was named."""

    def __init__(self, named: str | None) -> None:
        self.named = named

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        parts = urlsplit(newurl)
        if parts.scheme not in {"http", "https"}:
            raise OSError(f"it redirects to {parts.scheme}://, which is not followed")
        if parts.hostname != self.named and is_internal(parts.hostname or ""):
            raise OSError(INTERNAL)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_internal(host: str) -> bool:
    """Whether any address of a host is not a public one: loopback, private, link-local, reserved. Unknown hosts: False."""
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False  # connecting says so
    return any(not _address(str(entry[4][0])).is_global for entry in found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; one of IPv4 written as IPv6 (::ffff:127.0.0.1) as what it is."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _pixels(content: bytes) -> int:
    """Height x width by an image's header; 0 where there is none that Pillow knows."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return IMAGE_PIXELS + 1
    except Exception:  # noqa: BLE001 - decoding says what is wrong
        return 0
