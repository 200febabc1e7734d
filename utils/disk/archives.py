"""Zip archives that hold no more than their own size: what PyTorch and numpy write, and nothing that unfolds."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from utils.errors import UserError

MOST_MEMBERS = 200_000


@contextmanager
def stored_arrays(path: Path, packed: int = 0) -> Iterator[Any]:
    """The arrays of a file of `numpy.savez`, by name, for reading inside; none of Python objects, which could run code.

    packed: bytes up to which they may also be compressed. Raises ValueError for whatever is wrong with them, here or inside,
    and OSError where the file cannot be opened.
    """
    import numpy as np

    try:
        with path.open("rb") as file:  # once: another process may put a new file in its place
            check_stored(file, packed)
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                yield content
    except (OSError, UserError, ValueError):
        raise
    except Exception as problem:  # of a damaged member, zipfile, zlib and numpy raise many kinds
        raise ValueError(f"{type(problem).__name__}: {problem!s:.200}") from None


def check_stored(path: Path | BinaryIO, most: int = 0) -> None:
    """Raise ValueError where a zip archive has compressed members, or they are together larger than the file.

    Up to `most` bytes they may. Only its list of members is read. Raises also what zipfile raises for a damaged one.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        held = archive.fp.seek(0, os.SEEK_END) if archive.fp else 0
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"{len(members)} members, more than {MOST_MEMBERS}")
    size = sum(member.file_size for member in members)
    if size <= most:
        return
    packed = next((member.filename for member in members if member.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise ValueError(f"its member {packed[:80]!r} is compressed, which PyTorch and numpy do not write here")
    if size > held:
        raise ValueError(f"its members claim {size:,} bytes, more than the file has")
