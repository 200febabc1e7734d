"""Images that come along with a training image without belonging to it: unlabelled, unpaired, another one each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from utils.errors import UserError

Read = Callable[[Path], NDArray[np.uint8]]
PADDING = 114  # grey of the border, as of every letterbox here


class UnpairedImages:
    """A pool of images, dealt anew each epoch: every image comes once before any comes twice, in another order."""

    def __init__(self, files: Sequence[Path], imgsz: int, seed: int, read: Read) -> None:
        """imgsz: px, the side that images are fitted into; read: a file to (H, W, 3) BGR."""
        self.files, self.imgsz, self.seed, self.read = list(files), imgsz, seed, read

    def chosen(self, epoch: int, index: int) -> Path:
        """The image that goes with item `index` of an epoch."""
        deal, place = divmod(index, len(self.files))
        return self.files[_order(len(self.files), self.seed, epoch, deal)[place]]

    def __call__(self, epoch: int, index: int) -> Tensor:
        """The same, letterboxed: (3, imgsz, imgsz) uint8, RGB."""
        fitted = letterboxed(self.read(self.chosen(epoch, index)), self.imgsz)
        return torch.from_numpy(np.ascontiguousarray(fitted[..., ::-1].transpose(2, 0, 1)))


@lru_cache(maxsize=8)
def _order(count: int, *entropy: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(entropy).permutation(count).tolist())


def letterboxed(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) with its longer side scaled to `side` px, in the middle of a grey square of that side."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.full((side, side, 3), PADDING, np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return canvas


def refuse_leaks(pool: Iterable[Path], held_out: Iterable[Path], what: str) -> None:
    """Raise UserError where an image of the pool is also a held-out one: the same file, or a copy of its bytes."""
    tests = {path.resolve() for path in held_out}
    sizes = {path.stat().st_size for path in tests}
    digests = None
    for path in pool:
        if path.resolve() in tests:
            raise _leak(what, path)
        if path.stat().st_size in sizes:
            digests = digests if digests is not None else {_digest(test) for test in tests}
            if _digest(path) in digests:
                raise _leak(what, path)


def _digest(path: Path) -> bytes:
    return sha256(path.read_bytes()).digest()


def _leak(what: str, path: Path) -> UserError:
    return UserError(
        f"{what}: {path} is also an image of the test split, and training must not see it. Take it out of the folder."
    )
