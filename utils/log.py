"""One logger for notes and progress; tables are printed. Silence it: `logging.getLogger("hardsight").setLevel("ERROR")`."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Console(logging.Handler):
    """Writes bare messages: warnings to stderr, others to stdout, whatever these are at the time.

    lowest: level from which messages go to stderr.
    """

    lowest = logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        stream = sys.stderr if record.levelno >= self.lowest else sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = self.format(record).encode(encoding, "backslashreplace").decode(encoding)  # names may hold half a letter
        print(text, file=stream, flush=True)


LOGGER = logging.getLogger("hardsight")
CONSOLE = Console()
LOGGER.addHandler(CONSOLE)
if LOGGER.level == logging.NOTSET:  # a level that the caller chose stays
    LOGGER.setLevel(logging.INFO)


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_MISTYPED = re.compile(r"\s*(https?|rtsps?|rtmps?|tcp|udp)\s*[:;/]", re.IGNORECASE)  # `rtsp:/host`, `rtsp;//host`


@contextmanager
def results_on_stdout(wanted: bool = True) -> Iterator[None]:
    """All messages go to stderr while this lasts, since results go to stdout. wanted: False changes nothing."""
    before = CONSOLE.lowest
    CONSOLE.lowest = logging.NOTSET if wanted else before
    try:
        yield
    finally:
        CONSOLE.lowest = before


def redact(text: str) -> str:
    """An address as it may be printed and stored: without user name, password and query, which may hold a token.

    Whatever may be part of a password is cut too: one with `/`, `?` or `#` that was not escaped, one behind a mistyped
    scheme. A path stays as it is.

    >>> redact("rtsp://me:secret@10.0.0.2/cam?token=1")
    'rtsp://10.0.0.2/cam'
    >>> redact("rtsp:/me:se#cret@10.0.0.2/cam")
    '...@10.0.0.2/cam'
    """
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return _redact_mistyped(text)
    scheme = scheme.lower()
    before, at, place = rest.rpartition("@")
    if at and "?" in before:  # nobody knows whether a password or a token follows the question mark
        return f"{scheme}://..."
    shown = re.split(r"[?#]", place)[0]
    try:
        urlsplit(f"{scheme}://{shown}")
    except ValueError:
        return f"{scheme}://..."
    return f"{scheme}://{shown}"


def unescaped_password(address: str) -> bool:
    """Whether an address seems to have a password with `/`, `?` or `#`, which must be written as %2F, %3F or %23."""
    rest = address.partition("://")[2]
    host = re.split(r"[/?#]", rest)[0]
    return "@" not in host and ":" in host and "@" in rest


def _redact_mistyped(text: str) -> str:
    """A text that is no address: unchanged, unless it looks like one that was mistyped."""
    before, at, place = text.rpartition("@")
    hidden = bool(at) and (":" in before or "//" in before)
    if not hidden and not _MISTYPED.match(text):
        return text
    if hidden and "?" in before:
        return "..."
    shown = re.split(r"[?#]", place)[0]
    return f"...@{shown}" if at else shown
