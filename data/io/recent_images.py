"""The images that a process decoded last, kept in memory because they are soon needed again."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils.data import get_worker_info

from data.io.image_cache import Decoded


class RecentImages:
    """What the loader's processes decoded last: `images` of them in all processes together, and one more batch in each.

    What it returns never depends on what it holds. batch_size: images per batch of this rank.
    """

    def __init__(self, images: int, batch_size: int) -> None:
        self.images, self.batch_size = images, batch_size
        self.kept: dict[int, Decoded] = {}  # oldest first

    @property
    def most(self) -> int:
        """Images that this process keeps."""
        worker = get_worker_info()
        return self.images // (worker.num_workers if worker else 1) + self.batch_size

    def __call__(self, index: int, decode: Callable[[], Decoded], keep: bool = True) -> Decoded:
        """The image of this index, else `decode()`. keep: it then takes the place of the oldest one."""
        found = self.kept.get(index) or decode()
        if keep and index not in self.kept:
            self.kept[index] = found
            while len(self.kept) > self.most:
                del self.kept[next(iter(self.kept))]
        return found
