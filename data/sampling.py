"""In which order images are seen: a pure function of (seed, epoch), the same on any number of ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

STEP, REACH = 8, 64  # batches: every eighth of the last 64
NEIGHBOURS = 4  # images of each
FEWEST = 3  # images that a mosaic adds
Key = tuple[int, ...]  # (epoch, index), or (epoch, index, copy) from the second copy of an image in an epoch on


def _generator(seed: int, epoch: int) -> torch.Generator:
    """What everything that an epoch draws comes from."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))


def epoch_order(length: int, seed: int, epoch: int) -> list[int]:
    """A permutation of `length` images that depends on seed and epoch alone."""
    return torch.randperm(length, generator=_generator(seed, epoch)).tolist()


def repeat_factors(classes_per_image: Sequence[Collection[int]], threshold: float = 0.001) -> Tensor:
    """How often each image should be seen in an epoch, so that rare classes are seen more often: (images,), >= 1.

    A class in a fraction f of the images asks for max(1, sqrt(threshold / f)); an image gets the most that one of its
    classes asks for, and 1 without objects. A class counts once in an image. Raises ValueError for a threshold that is
    no fraction of images.
    Source: Gupta et al., LVIS (2019), appendix B.2.

    >>> repeat_factors([{0}, {0}, {0}, {0, 1}], threshold=1.0)  # class 1 in a quarter of the images: sqrt(4)
    tensor([1., 1., 1., 2.])
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"a threshold of {threshold}: expected a fraction of the images, from 0 to 1")
    images = [set(classes) for classes in classes_per_image]
    counts = Counter(number for classes in images for number in classes)
    asked = {number: max(1.0, (threshold * len(images) / count) ** 0.5) for number, count in counts.items()}
    return torch.tensor([max((asked[number] for number in classes), default=1.0) for classes in images])


def repeated_order(factors: Tensor, seed: int, epoch: int) -> list[int]:
    """Images in the order of an epoch, each as often as its factor (images,) says on average over epochs.

    A factor of 2.3 is two copies in seven epochs of ten, three in the others. Fractions are drawn together, so that an
    epoch has the sum of the factors, rounded down or up, and its length hardly varies.
    """
    generator = _generator(seed, epoch)
    around = torch.randperm(len(factors), generator=generator)
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    steps = (factors[around].double().cumsum(0) + offset).floor().long()  # copies given out so far
    order = around.repeat_interleave(steps.diff(prepend=steps.new_zeros(1)))
    return order[torch.randperm(len(order), generator=generator)].tolist()


class EpochSampler:
    """Batches of (epoch, index) keys. Rank r of R takes its part of every batch, so that R ranks see what one would.

    All batches are full: the last one is filled from the front of the same order. `start` skips batches after a resume.
    With `factors` (length,), images come as often as these say, and the second copy of an image in an epoch has the
    key (epoch, index, 1), the third 2, and so on, so that each can be drawn differently; every epoch has as many
    batches. Raises ValueError when the batch does not divide among the ranks, or for factors that cannot be used.

    >>> sampler = EpochSampler(length=3, batch_size=2, seed=0)
    >>> len(sampler), [len(batch) for batch in sampler]
    (2, [2, 2])
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1, factors: Tensor | None = None
    ) -> None:
        if batch_size % ranks:
            raise ValueError(f"a batch of {batch_size} does not divide among {ranks} ranks")
        self.length, self.batch_size, self.seed, self.rank, self.ranks = length, batch_size, seed, rank, ranks
        self.factors = None if factors is None else _usable(factors, length)
        self.epoch, self.start = 0, 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and the batch of it to begin with."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        images = self.length if self.factors is None else int(self.factors.sum().ceil())
        return -(-images // self.batch_size)

    def order(self, epoch: int) -> list[int]:
        """Images of an epoch, one after another."""
        if self.factors is None:
            return epoch_order(self.length, self.seed, epoch)
        return repeated_order(self.factors, self.seed, epoch)

    def __iter__(self) -> Iterator[list[Key]]:
        """The batches from `start` on."""
        keys = numbered(self.order(self.epoch), self.epoch)
        part = self.batch_size // self.ranks
        for batch in range(self.start, len(self)):
            first = batch * self.batch_size + self.rank * part
            yield [keys[position % len(keys)] for position in range(first, first + part)]


def numbered(order: Sequence[int], epoch: int) -> list[Key]:
    """Keys in which no two copies of an image are the same.

    >>> numbered([4, 7, 4], epoch=2)
    [(2, 4), (2, 7), (2, 4, 1)]
    """
    seen: Counter[int] = Counter()
    keys: list[Key] = []
    for index in order:
        keys.append((epoch, index, seen[index]) if seen[index] else (epoch, index))
        seen[index] += 1
    return keys


def _usable(factors: Tensor, length: int) -> Tensor:
    """The factors in float64. Raises ValueError where they are not one finite number >= 0 per image, and some more."""
    factors = factors.detach().cpu().double()
    if factors.shape != (length,):
        raise ValueError(f"{tuple(factors.shape)} factors for {length} images; expected one per image")
    if not bool(factors.isfinite().all()) or bool((factors < 0).any()) or float(factors.sum()) < 1:
        raise ValueError("the factors must be finite and at least 0, and their sum at least 1")
    return factors


class EarlierBatches:
    """The images that an item of a long epoch is mixed with (mosaic, mixup, cutmix): some of those that were loaded lately.

    An item of batch b draws from batches b - 8, b - 16, ..., b - 64 of its epoch, from its own place in the batch and the
    neighbouring ones (places 0 to 3, 4 to 7, ...): 32 images. That is a function of the order alone, the same for any
    number of ranks and loader processes. PyTorch deals batches to its processes in turn, so that each of 1, 2, 4 or 8 has
    decoded these images itself; and so has each rank, if its part of a batch is a multiple of four.

    >>> sampler = EpochSampler(length=640, batch_size=8, seed=0)
    >>> order = sampler.order(0)  # batch 17 begins at position 136, batches 9 and 1 at 72 and 8
    >>> EarlierBatches(sampler)(0, order[17 * 8 + 5]) == order[8 + 4 : 8 + 8] + order[72 + 4 : 72 + 8]
    True
    """

    def __init__(self, sampler: EpochSampler) -> None:
        self.sampler = sampler
        self.epoch = -1
        self.order = self.places = self.first = np.zeros(0, np.int64)

    def __call__(self, epoch: int, index: int, copy: int = 0) -> list[int]:
        """Indices of the images that the item of this key may be mixed with.

        Empty, which stands for the whole set, where there are fewer than three: in the first eight batches of an epoch,
        and in epochs of fewer than 64 batches.
        """
        if len(self.sampler) < REACH:
            return []
        self._set_epoch(epoch)
        size = self.sampler.batch_size
        batch, place = divmod(int(self.places[self.first[index] + copy]), size)
        batches = np.arange(max(batch % STEP, batch - REACH), batch, STEP)  # (at most 8,)
        near = place - place % NEIGHBOURS
        places = np.arange(near, min(near + NEIGHBOURS, size))  # (at most 4,)
        images: list[int] = self.order[batches[:, None] * size + places].ravel().tolist()
        return images if len(images) >= FEWEST else []

    def _set_epoch(self, epoch: int) -> None:
        """Know where each image comes: copy c of image i at places[first[i] + c] of the order."""
        if epoch == self.epoch:
            return
        self.epoch, self.order = epoch, np.array(self.sampler.order(epoch))  # (n,)
        self.places = np.argsort(self.order, kind="stable")  # (n,)
        counts = np.bincount(self.order, minlength=self.sampler.length)
        self.first = counts.cumsum() - counts  # (images,)


class MixedSampler:
    """Batches of a set and of an extra one beside it, whose indices follow those of the first.

    main: gives the batches of an epoch and their number. length: images of the other set, of which `batch_size` go with
    each batch; they are dealt on from epoch to epoch, each once before any comes twice. Their keys are
    (epoch, main.length + index, deal). With `alternate`, a batch of extra images follows each ordinary one; else each
    batch has both. The rank takes its part of both. Raises ValueError where the extra fraction does not divide among ranks.
    """

    def __init__(self, main: EpochSampler, length: int, batch_size: int, alternate: bool = False) -> None:
        if batch_size % main.ranks or batch_size < 1 or length < 1:
            raise ValueError(f"{batch_size} of {length} extra images do not divide among {main.ranks} ranks")
        self.main, self.length, self.batch_size, self.alternate = main, length, batch_size, alternate
        self.start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and the batch of it to begin with."""
        self.start = start
        self.main.set_epoch(epoch, start // 2 if self.alternate else start)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.main) * (2 if self.alternate else 1)

    def __iter__(self) -> Iterator[list[Key]]:
        """The batches from `start` on."""
        for number, batch in enumerate(self.main, self.main.start):
            extra = self._extra(self.main.epoch * len(self.main) + number)
            if not self.alternate:
                yield [*batch, *extra]
                continue
            if 2 * number >= self.start:
                yield batch
            yield extra

    def _extra(self, number: int) -> list[Key]:
        """This rank's keys of the extra images that go with batch `number` of the run."""
        part = self.batch_size // self.main.ranks
        first = number * self.batch_size + self.main.rank * part
        keys: list[Key] = []
        for deal, place in (divmod(position, self.length) for position in range(first, first + part)):
            keys.append(
                (self.main.epoch, self.main.length + _permutation(self.length, self.main.seed + 1, deal)[place], deal)
            )
        return keys


@lru_cache(maxsize=4)
def _permutation(length: int, seed: int, deal: int) -> tuple[int, ...]:
    return tuple(epoch_order(length, seed, deal))
