"""Where the page listens, and who may see it."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import ipaddress
import secrets
import socket
from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from utils.errors import UserError
from utils.tables import whole

HOST = "127.0.0.1"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
SHORTEST_TOKEN = 8  # letters
COOKIE = "hardsight"


@dataclass(frozen=True)
class Access:
    """Who may see the page. token: empty where nobody else can reach it; names: of this machine, in small letters.

    Without a token only requests to one of `names` are answered, so that a page from elsewhere that gives its
    own name this address (DNS rebinding) sees nothing. With one, a request shows it as a Bearer token, as the password of
    HTTP Basic, or by the cookie that was set after one of these: a number drawn at the start, never the token.
    """

    token: str = field(default="", repr=False)
    names: frozenset[str] = LOCAL_NAMES
    session: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def allows(self, host: str, authorization: str, cookie: str) -> bool:
        """Whether a request with these headers is answered."""
        if not self.token:
            return _without_port(host) in self.names
        shown = [_same(cookie, self.session), _same(_password(authorization), self.token)]
        return any(shown)


def same_origin(host: str, origin: str) -> bool:
    """Whether a WebSocket is opened by our own page, or by a program, which sends no origin."""
    try:
        return not origin or urlsplit(origin).netloc == host
    except ValueError:  # no address at all
        return False


def _same(text: str, secret: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ, nor on their lengths."""
    coded = (part.encode(errors="surrogatepass") for part in (text, secret))  # headers need not be UTF-8
    return hmac.compare_digest(*(hashlib.sha256(part).digest() for part in coded))


def _password(header: str) -> str:
    """The token in an Authorization header; empty where there is none."""
    kind, _, rest = header.partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return b64decode(rest, validate=True).decode().partition(":")[2]
        except (NoBase64, UnicodeDecodeError, ValueError):
            return ""
    return ""


def _without_port(host: str) -> str:
    """The name in a Host header."""
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.rpartition(":")[0] or host
    return name.lower()


class Reserved(NamedTuple):
    """A place where the page will be: its listening socket, its address, and who may see it."""

    server: socket.socket
    address: str
    access: Access


def reserve(where: str, token: str) -> Reserved:
    """The place that `--serve [HOST:]PORT` and `--serve-token` name. Raises UserError for what cannot be."""
    if importlib.util.find_spec("aiohttp") is None:
        raise UserError(
            "--serve: needs a package that is not installed. Run pip install aiohttp, or leave --serve out."
        )
    token = read_token(token)
    host, port = _parse(where)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise UserError(f"--serve {where}: {host} is no address of this machine. {_EXPECTED}") from None
    if not ipaddress.ip_address(str(found[4][0]).partition("%")[0]).is_loopback and not token:
        raise UserError(
            f"--serve {where}: everybody who reaches {host} could watch. Add --serve-token with a secret of "
            f"{SHORTEST_TOKEN} letters or more, or serve on {HOST}, which only this machine reaches."
        )
    server = socket.socket(found[0], found[1])
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(found[4])
        server.listen(64)
    except OSError as problem:
        server.close()
        raise UserError(
            f"--serve {where}: cannot be served there ({problem.strerror}). Another program may use the port: choose "
            "another, such as --serve 8080."
        ) from None
    shown, bound = (f"[{name}]" if ":" in name else name for name in (host, str(found[4][0])))
    names = LOCAL_NAMES | {shown.lower(), bound}
    return Reserved(server, f"http://{shown}:{server.getsockname()[1]}/", Access(token, names))


def read_token(given: str) -> str:
    """The token, or that in the first line of a file, given as @FILE, where no list of processes shows it."""
    if not given:
        return ""
    token = given
    if given.startswith("@"):
        try:
            token = (Path(given[1:]).read_text("utf-8").splitlines() or [""])[0].strip()
        except (OSError, UnicodeDecodeError):
            raise UserError(
                f"--serve-token {given}: cannot be read. Expected a text file that holds the token."
            ) from None
    if len(token) < SHORTEST_TOKEN:
        raise UserError(f"--serve-token: is too short. Expected {SHORTEST_TOKEN} letters or more.")
    return token


_EXPECTED = "Expected [HOST:]PORT, such as 8000, 0.0.0.0:8000 or [::]:8000."


def _parse(where: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = where.strip().rpartition(":")
    number = whole(port) or 0
    if not 0 < number < 65536 or (":" in host and not host.startswith("[")):
        raise UserError(f"--serve {where}: is no port. {_EXPECTED}")
    return host.strip("[]") or HOST, number
