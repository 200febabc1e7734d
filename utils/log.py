"""One logger for notes and progress; tables are printed. Silence it: `logging.getLogger("hardsight").setLevel("ERROR")`."""

from __future__ import annotations

import logging
import sys
from urllib.parse import urlsplit, urlunsplit


class Console(logging.Handler):
    """Writes bare messages: warnings to stderr, others to stdout, whatever these are at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        print(self.format(record), file=stream, flush=True)


LOGGER = logging.getLogger("hardsight")
LOGGER.addHandler(Console())
if LOGGER.level == logging.NOTSET:  # a level that the caller chose stays
    LOGGER.setLevel(logging.INFO)


def redact(text: str) -> str:
    """An address as it may be printed and stored: without user name, password and query, which may hold a token.

    >>> redact("rtsp://me:secret@10.0.0.2/cam?token=1")
    'rtsp://10.0.0.2/cam'
    """
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:  # nobody knows which part of it is the password
        return f"{text.partition('://')[0]}://..."
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
