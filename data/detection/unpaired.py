"""Images that come along with a training image without belonging to it: unlabelled, unpaired, another one each time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import file_digest


class UnpairedImages:
    """A pool of images, reshuffled every epoch: every image comes once before any comes twice, in another order.

    skipped: images that are not in it, each with the reason.
    """

    def __init__(self, files: Sequence[Path], seed: int, skipped: Sequence[tuple[Path, str]] = ()) -> None:
        self.files, self.seed, self.skipped = list(files), seed, list(skipped)

    def place(self, epoch: int, index: int) -> int:
        """Which of the images goes with item `index` of an epoch."""
        deal, place = divmod(index, len(self.files))
        return _order(len(self.files), self.seed, epoch, deal)[place]

    def chosen(self, epoch: int, index: int) -> Path:
        """The same image itself."""
        return self.files[self.place(epoch, index)]


@lru_cache(maxsize=8)
def _order(count: int, *entropy: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(entropy).permutation(count).tolist())


def refuse_leaks(pool: Iterable[Path], held_out: Iterable[Path], what: str) -> None:
    """Raise UserError where an image of the pool is also a held-out one: the same file, or a copy of its bytes.

    What is listed but does not exist is passed over: readers list it as skipped.
    """
    tests = {path.resolve() for path in held_out if path.is_file()}
    sizes = {path.stat().st_size for path in tests}
    digests: set[str] = set()
    for path in filter(Path.is_file, pool):
        if (same_size := path.stat().st_size in sizes) and not digests:
            digests = {file_digest(test) for test in tests}
        if path.resolve() in tests or (same_size and file_digest(path) in digests):
            raise UserError(
                f"{what}: {path} is also an image of the test split, and training must not see it. Take it out of the "
                "folder."
            )
