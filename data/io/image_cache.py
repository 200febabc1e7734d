"""Decoded images on the disk, for sets that do not fit into memory: `--cache disk`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from utils.disk.archives import stored_arrays
from utils.disk.locks import sweep
from utils.errors import UserError
from utils.files import atomic_write

LEFT_OVER = 3600.0  # s: a half-written file of this age is that of a process that was killed
Decoded = tuple[np.ndarray, tuple[int, int]]
"""An image as the network's loader takes it, (H, W, 3) or (members, H, W, 3) uint8, and (height, width) of the file."""

FORM = 2  # of what is stored


class ImageCache:
    """One uncompressed file per image in a folder; runs that use the same folder share it.

    A file is known by the paths, sizes and times of its images and by the size they are scaled to, so that a changed
    image is decoded again. Nothing is ever deleted: the folder may be, at any time.
    """

    def __init__(self, folder: Path, imgsz: int) -> None:
        self.folder, self.imgsz = folder, imgsz

    def __call__(self, files: Sequence[Path], decode: Callable[[], Decoded]) -> Decoded:
        """The cached image that these files make together, else `decode()`, which is then kept."""
        path = self.folder / f"{self._key(files)}.npz"
        try:
            with stored_arrays(path) as stored:
                return stored["image"], (int(stored["shape"][0]), int(stored["shape"][1]))
        except (OSError, ValueError):  # not there, or cut off by a crash
            image, shape = decode()
        atomic_write(path, partial(np.savez, image=image, shape=np.array(shape)))
        return image, shape

    def _key(self, files: Sequence[Path]) -> str:
        facts = [(str(file.resolve()), stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]
        return hashlib.sha256(repr((FORM, self.imgsz, facts)).encode()).hexdigest()[:32]

    def check_room(self, needed: float) -> None:
        """Raise UserError where the disk has less room than `needed` bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep([self.folder], older=LEFT_OVER)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"--cache disk: the decoded images need {needed / 2**30:.1f} GiB, and {self.folder} has {free / 2**30:.1f} "
                "GiB free. Free some, put --project elsewhere, or use --cache none."
            )
