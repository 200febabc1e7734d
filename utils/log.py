"""One logger for notes and progress; tables are printed. Silence it: `logging.getLogger("hardsight").setLevel("ERROR")`."""

from __future__ import annotations

import logging
import sys


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
