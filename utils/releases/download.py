"""Fetch one file over HTTPS: resumed where it broke off, checked before it gets its name, all of it or nothing.

What has arrived is kept in `.NAME.part`; `.NAME.part.json` says of which address, size and version (ETag or date) it is a
part. Of an address, neither name, password nor query is printed or stored: they may hold a secret.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from utils.errors import UserError
from utils.files import atomic_write, disk_full, file_digest
from utils.log import redact
from utils.progress import progress

SMALLEST, LARGEST = 100_000, 1_000_000_000  # bytes of a file whose size is not known
CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte
HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")


@dataclass(frozen=True)
class Wanted:
    """What is fetched. size in bytes and sha256 in hexadecimal: None where not known. typed: the user wrote the address."""

    url: str
    size: int | None = None
    sha256: str | None = None
    typed: bool = False

    @property
    def shown(self) -> str:
        """The address as it may be printed and stored."""
        return redact(self.url)


class Interrupted(Exception):
    """The connection ended before the file did."""


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only, or also to http where the address itself was typed as http."""

    def __init__(self, plain_http: bool) -> None:
        self.schemes = ("https", "http") if plain_http else ("https",)

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the new address."""
        if scheme_of(newurl) not in self.schemes:
            raise UserError(
                f"{redact(req.full_url)}: redirects to {redact(newurl)}, which is not https. Nothing was kept; fetch the file "
                "with a browser."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(wanted: Wanted, target: Path, check: Callable[[Path], Any]) -> str:
    """Fetch a file to `target`; returns its SHA-256. check: reads the file before it gets its name, or raises UserError.

    A download that broke off stays as `.NAME.part` and is resumed by the next call. Raises UserError for an address that
    is not https (unless typed), a server that cannot be reached or sends something else, and a wrong size or checksum.
    """
    check_address(wanted)
    part, facts = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch(wanted, part, facts)
        try:
            digest = check_file(wanted, part)
            check(part)
        except UserError:
            forget(part, facts)
            raise
        os.replace(part, target)
        forget(part, facts)
    except OSError as problem:
        full = " Free space there; the same command resumes." if disk_full(problem) else ""
        raise UserError(f"{target}: cannot be written ({problem.strerror or problem}).{full}") from None
    return digest


def check_address(wanted: Wanted) -> None:
    """Raise UserError unless the address is https, or http that the user typed."""
    schemes = ("https", "http") if wanted.typed else ("https",)
    try:
        parts = urlsplit(wanted.url)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0 and re.fullmatch(r"[!-~]+", wanted.url)
    except ValueError:  # an open bracket, a port that is no number
        good = None
    if not good:
        raise UserError(
            f"{wanted.shown}: expected an address that begins with https://, such as https://host/path/yolov5m.pt, without "
            "spaces and with letters beyond ASCII as %XX."
        )
    if parts.username is not None:
        raise UserError(
            f"{wanted.shown}: addresses with a user name or password are not taken. Fetch the file with a program that keeps "
            "them, and put it into the folder for weights."
        )


def fetch(wanted: Wanted, part: Path, facts: Path) -> None:
    """Bring `part` to its full length. Raises UserError where that fails; what has arrived stays."""
    start, whole, version = kept(wanted, part, facts)
    request = urllib.request.Request(wanted.url, headers={"User-Agent": "hardsight", "Accept-Encoding": "identity"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", version)
    try:
        with opener(wanted).open(request, timeout=TIMEOUT) as response:
            partial = response.status == 206
            start = start if partial else 0
            if not partial and is_page(beginning(response)):
                raise page(wanted)
            total = total_of(wanted, response.headers, start)
            if partial and (starts_at(response.headers), total) != (start, whole):
                raise UserError(
                    f"{wanted.shown}: the server sent another part than was asked for. The same command starts anew."
                )
            described = {"url": wanted.shown, "size": total, "version": version_of(response.headers)}
            atomic_write(facts, json.dumps(described).encode())
            receive(response, part, start, total or LARGEST)
    except UserError:
        forget(part, facts)
        raise
    except HTTPError as problem:
        if problem.code == 416:  # what was kept is no part of what the server has now
            forget(part, facts)
        raise UserError(
            f"{wanted.shown}: the server answered {problem.code} {problem.reason}. Try again, or fetch it by hand."
        ) from None
    except (Interrupted, URLError, TimeoutError, ConnectionError, HTTPException) as problem:
        reason = getattr(problem, "reason", None) or problem
        so_far = f"What has arrived is kept. {again(facts)} " if part.exists() else ""
        raise UserError(
            f"{wanted.shown}: cannot be fetched ({reason}). {so_far}Without a connection, fetch it elsewhere and put it into "
            f"{part.parent}."
        ) from None
    arrived = part.stat().st_size
    if total is not None and arrived < total:
        raise UserError(
            f"{wanted.shown}: broke off after {arrived:,} of {total:,} bytes, which are kept. {again(facts)}"
        )


def again(facts: Path) -> str:
    """What the same command will do with the bytes that are kept."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        described = json.loads(facts.read_text(encoding="utf-8"))
        if described["version"] and described["size"]:
            return "The same command resumes."
    return "The same command starts anew: this server does not say which version of the file it sends."


def opener(wanted: Wanted) -> urllib.request.OpenerDirector:
    """Opens http and https, through the proxies of the environment, and nothing else (no file:, no ftp:)."""
    director = urllib.request.OpenerDirector()
    plain_http = wanted.typed and urlsplit(wanted.url).scheme == "http"
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
        SafeRedirects(plain_http), urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        director.add_handler(handler)
    return director


def kept(wanted: Wanted, part: Path, facts: Path) -> tuple[int, int, str]:
    """(bytes already there, bytes of the whole file, version) of an earlier download of this address; (0, 0, "") if none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        described = json.loads(facts.read_text(encoding="utf-8"))
        size, whole = part.stat().st_size, described["size"]
        usable = described["url"] == wanted.shown and described["version"] and whole and 0 < size < whole
        if usable and wanted.size in (None, whole):
            return size, whole, str(described["version"])
    return 0, 0, ""


def version_of(headers: HTTPMessage) -> str:
    """What `If-Range` may name: a strong ETag, else the date of the file; empty where the server sends neither."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def starts_at(headers: HTTPMessage) -> int:
    """The first byte of a part, from `Content-Range: bytes 100-199/200`; -1 where it is not said."""
    first = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else -1


def total_of(wanted: Wanted, headers: HTTPMessage, start: int) -> int | None:
    """The size of the whole file by the server's word. Raises UserError where it cannot be what is wanted."""
    if headers.get_content_type() == "text/html":
        raise page(wanted)
    length = headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    if total is None:
        return wanted.size
    if wanted.size is not None and total != wanted.size:
        raise UserError(
            f"{wanted.shown}: expected {wanted.size:,} bytes, but the server has {total:,}. Nothing was kept. If you know that "
            f"the release has changed, give --url {wanted.shown}, which then prints the new checksum."
        )
    if wanted.size is None and not SMALLEST <= total <= LARGEST:
        raise UserError(f"{wanted.shown}: {total:,} bytes are no checkpoint of a detector. Nothing was kept.")
    return total


def receive(response: Any, part: Path, start: int, most: int) -> None:
    """Append what the server sends from byte `start` on, at most up to `most` bytes in all."""
    with part.open("r+b" if start else "wb") as file:
        file.truncate(start)
        file.seek(start)
        chunks = math.ceil((most - start) / CHUNK)
        for chunk in progress(pieces(response, most - start), chunks, f"{part.name[1:-5]}, MiB"):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def pieces(response: Any, most: int) -> Iterator[bytes]:
    """The body in chunks, until its end or `most` bytes."""
    while most > 0:
        try:
            chunk = response.read(min(CHUNK, most))
        except OSError as problem:  # no route, an error of TLS: of the connection, not of the disk
            raise Interrupted(problem.strerror or problem) from None
        if not chunk:
            return
        most -= len(chunk)
        yield chunk


def check_file(wanted: Wanted, part: Path) -> str:
    """The SHA-256 of what arrived. Raises UserError for a web page, a wrong size or a wrong checksum."""
    with part.open("rb") as file:
        head = file.read(512)
    if is_page(head):
        raise page(wanted)
    size = part.stat().st_size
    if not (size == wanted.size if wanted.size is not None else SMALLEST <= size <= LARGEST):
        raise UserError(
            f"{wanted.shown}: {size:,} bytes arrived, expected {wanted.size or SMALLEST:,}. Nothing was kept."
        )
    digest = file_digest(part)
    if wanted.sha256 is not None and digest != wanted.sha256.lower():
        raise UserError(
            f"{wanted.shown}: its SHA-256 is {digest}, expected {wanted.sha256.lower()}. Nothing was kept. If you know that the "
            f"release has changed, give --sha256 {digest}."
        )
    return digest


def beginning(response: Any) -> bytes:
    """The first bytes of the body, which stay to be read."""
    try:
        return bytes(response.peek(512))
    except OSError as problem:
        raise Interrupted(problem.strerror or problem) from None


def is_page(head: bytes) -> bool:
    """Whether a file that begins like this is a web page."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(HTML)


def page(wanted: Wanted) -> UserError:
    """The error of a web page in place of the file."""
    return UserError(
        f"{wanted.shown}: the server sent a web page (HTML), not the file. A proxy or a login may stand between; open the "
        "address in a browser. Nothing was kept."
    )


def scheme_of(url: str) -> str:
    """https, http, ...; empty where it is no address."""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def forget(*files: Path) -> None:
    """Remove files, where they are."""
    for file in files:
        file.unlink(missing_ok=True)
