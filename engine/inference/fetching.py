"""What comes from http(s) addresses: bounded in bytes, pixels and seconds, and never from an internal host by redirection."""

from __future__ import annotations

import io
import ipaddress
import socket
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.client import HTTPMessage, InvalidURL
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from PIL import Image

PATIENCE = 10.0  # seconds that an address may take to answer
IMAGE_SECONDS = 60.0  # that an image may take in all: each byte renews the limit above
IMAGE_BYTES = 2**28
IMAGE_PIXELS = 2**27
CHUNK = 2**18  # bytes fetched at a time


def image_bytes(where: str, clock: Callable[[], float] = time.monotonic) -> bytes:
    """The content of an image behind an http(s) address.

    clock: seconds. Raises OSError, ValueError or HTTPException where it cannot be had, or is larger than IMAGE_BYTES or
    IMAGE_PIXELS, or takes longer than IMAGE_SECONDS.
    """
    start, content = clock(), bytearray()
    for chunk in chunks(where):
        content += chunk
        if len(content) > IMAGE_BYTES:
            raise OSError(f"it is larger than {IMAGE_BYTES >> 20} MiB; download it and name the file")
        if clock() - start > IMAGE_SECONDS:
            raise OSError(f"it takes longer than {IMAGE_SECONDS:.0f} s; download it and name the file")
    pixels = _pixels(bytes(content))
    if pixels > IMAGE_PIXELS:
        raise OSError(f"it has {pixels:,} pixels, more than {IMAGE_PIXELS:,}; download it and name the file")
    return bytes(content)


def chunks(where: str) -> Iterator[bytes]:
    """The content behind an http(s) address, in pieces as they arrive. An answer shorter than it said is an OSError."""
    parts = urlsplit(where)
    user, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310 - only http(s) comes here
    if user:  # in a header, which no error message and no redirection repeats
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    opener = urllib.request.build_opener(_Redirects(parts.hostname))
    with opener.open(request, timeout=PATIENCE) as answer:
        while chunk := answer.read1(CHUNK):
            yield chunk
        if answer.length:
            raise OSError(f"{answer.length} bytes are missing at the end")


def reason(problem: Exception) -> str:
    """Why an address gave nothing. What the library says of an address that it cannot read repeats parts of it: never shown."""
    if isinstance(problem, InvalidURL | ValueError):
        return "it is not a valid address: escape what is special in a password, as in %2F for /"
    return str(problem)


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
            raise OSError("it redirects to an address of the local network, which is not followed unless you name it")
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
