"""Paths as other systems write them."""

from __future__ import annotations

import os
from pathlib import Path


def with_slashes(folder: Path, entry: str) -> str:
    r"""An entry below a folder with slashes for the backslashes that Windows writes, unless it exists as it stands.

    >>> with_slashes(Path("set"), r"images\train")
    'images/train'
    """
    return entry if "\\" not in entry or os.path.exists(folder / entry) else entry.replace("\\", "/")
