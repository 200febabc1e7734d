"""`--save-jsonl`: one JSON object per line, to a file or to standard output."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from utils.errors import UserError
from utils.files import typed_path
from utils.log import LOGGER

STDOUT = "-"
AGAIN = 60.0  # seconds after which a file that could not be written is tried again


def to_json(message: Mapping[str, Any]) -> str:
    """A message on one line. Half letters, as file names that are not UTF-8 have, are escaped as JSON does it."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="backslashreplace").decode()


class JsonLines:
    """Writes messages to a file, or to standard output for "-". Each line is handed to the system at once, whole or not at all.

    Raises UserError for a file that exists, unless `append`, and for one that cannot be written. clock: seconds.
    """

    def __init__(self, target: str, *, append: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._file: BinaryIO | None = None
        self._clock, self._pause_ends = clock, float("-inf")
        if target == STDOUT:
            return
        self._path = path = typed_path(target)
        try:
            if path.is_file() and not append:
                raise UserError(f"--save-jsonl {path}: exists. Choose another name, or append to it with --exist-ok.")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as problem:
            raise _cannot_be_written(path, problem) from None

    def write(self, message: Mapping[str, Any], go_on: bool = False) -> None:
        """Write one line. go_on: where the file cannot be written, say it, and drop lines until it is tried again."""
        text = to_json(message)
        if self._file is None:
            print(text, flush=True)
        elif self._clock() >= self._pause_ends:
            self._try(self._file, f"{text}\n".encode(), go_on)

    def _try(self, file: BinaryIO, line: bytes, go_on: bool) -> None:
        try:
            _append(file, line)
        except BrokenPipeError:
            raise
        except OSError as problem:
            if not go_on:
                raise _cannot_be_written(self._path, problem) from None
            if self._pause_ends == float("-inf"):
                LOGGER.warning(
                    f"warning: --save-jsonl {self._path}: cannot be written ({problem.strerror}); detection continues "
                    f"without it, tried again every {AGAIN:.0f} s"
                )
            self._pause_ends = self._clock() + AGAIN
        else:
            if self._pause_ends > float("-inf"):
                self._pause_ends = float("-inf")
                LOGGER.warning(f"--save-jsonl {self._path}: goes on")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _append(file: BinaryIO, line: bytes) -> None:
    """Add a whole line; where the disk fills up in it, what was written of it is removed."""
    before = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
    except OSError:
        with suppress(OSError):  # a pipe or a device has no end to cut off
            file.truncate(before)
        raise


def _cannot_be_written(path: Path, problem: OSError) -> UserError:
    return UserError(
        f"--save-jsonl {path}: cannot be written ({problem.strerror}). Free space there, or choose another place."
    )
