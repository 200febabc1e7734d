"""`--save-jsonl`: one JSON object per line, to a file or to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from utils.errors import UserError
from utils.files import typed_path

STDOUT = "-"


def to_json(message: Mapping[str, Any]) -> str:
    """A message on one line. Half letters, as file names that are not UTF-8 have, are escaped as JSON does it."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="backslashreplace").decode()


class JsonLines:
    """Writes messages to a file, or to standard output for "-". Each line is handed to the system at once.

    Raises UserError for a file that exists, unless `append`, and for one that cannot be written.
    """

    def __init__(self, target: str, *, append: bool = False) -> None:
        self._file: TextIO | None = None
        if target == STDOUT:
            return
        path = typed_path(target)
        try:
            if path.is_file() and not append:
                raise UserError(f"--save-jsonl {path}: exists. Choose another name, or append to it with --exist-ok.")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as problem:
            raise UserError(
                f"--save-jsonl {path}: cannot be written ({problem.strerror}). Choose another place."
            ) from None

    def write(self, message: Mapping[str, Any]) -> None:
        """Write one line."""
        print(to_json(message), file=self._file or sys.stdout, flush=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
