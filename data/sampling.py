"""In which order pictures are seen: a pure function of (seed, epoch), the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator

import torch

Key = tuple[int, int]


def epoch_order(length: int, seed: int, epoch: int) -> list[int]:
    """A permutation of `length` pictures that depends on seed and epoch alone."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
    return torch.randperm(length, generator=generator).tolist()


class EpochSampler:
    """Batches of (epoch, index) keys. Rank r of R takes its share of every batch, so that R ranks see what one would.

    All batches are full: the last one is filled from the front of the same order. `start` skips batches after a resume.
    Raises ValueError when the batch does not divide among the ranks.

    >>> sampler = EpochSampler(length=3, batch_size=2, seed=0)
    >>> len(sampler), [len(batch) for batch in sampler]
    (2, [2, 2])
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        if batch_size % ranks:
            raise ValueError(f"a batch of {batch_size} does not divide among {ranks} ranks")
        self.length, self.batch_size, self.seed, self.rank, self.ranks = length, batch_size, seed, rank, ranks
        self.epoch, self.start = 0, 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and the batch of it to begin with."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        """The batches from `start` on."""
        order = epoch_order(self.length, self.seed, self.epoch)
        share = self.batch_size // self.ranks
        for batch in range(self.start, len(self)):
            first = batch * self.batch_size + self.rank * share
            yield [(self.epoch, order[position % self.length]) for position in range(first, first + share)]
