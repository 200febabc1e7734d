"""Reading small files that others wrote: regular ones only, of a size that a file of this kind may have.

A named pipe blocks whoever opens it, and a device such as /dev/zero never ends.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from utils.errors import UserError

MOST_BYTES = 1 << 26  # of a text that is read whole
HEAD_BYTES = 4096
FILE_LIST = b"ffconcat"  # what follows need not be ASCII
JSON_BYTES = 1 << 30  # of annotations of a whole data set


def is_regular(path: Path) -> bool:
    """Whether a path is a file, or a link to one, and no pipe, socket or device. Raises OSError where there is nothing."""
    return stat.S_ISREG(os.stat(path).st_mode)


def is_text(path: Path) -> bool:
    """Whether a file begins with ASCII text, or as a list of other files, which FFmpeg takes by any name: no video does."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False  # opening it says why
    return head.startswith(FILE_LIST) or (bool(head) and head.isascii() and b"\0" not in head)


def read_whole(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a file. Raises UserError for a pipe, a device, or more than `most` bytes, and OSError as `open` does."""
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: is a pipe or a device, not a file. Save its content in a file and name that.")
    if found.st_size > most:
        raise UserError(
            f"{path}: has {found.st_size:,} bytes; a file of this kind has at most {most:,}. Is it the right one?"
        )
    return path.read_bytes()


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a UTF-8 file without a byte order mark. Raises as `read_whole` does, and UnicodeDecodeError."""
    return read_whole(path, most).decode("utf-8-sig")


def read_json(path: Path, most: int = JSON_BYTES) -> Any:
    """The content of a JSON file. Raises as `read_whole` does, and ValueError where it is none."""
    try:
        return json.loads(read_whole(path, most))
    except RecursionError:
        raise ValueError("it nests too deeply") from None
