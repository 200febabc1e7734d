"""The order of images is a function of seed and epoch, whoever asks."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch

from data.sampling import EarlierBatches, EpochSampler, MixedSampler, epoch_order


def test_an_order_is_a_permutation_that_changes_with_seed_and_epoch() -> None:
    orders = {tuple(epoch_order(20, seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len(orders) == 6
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_ranks_share_what_one_process_would_see() -> None:
    one = EpochSampler(10, 4, seed=3)
    two = [EpochSampler(10, 4, seed=3, rank=rank, ranks=2) for rank in (0, 1)]
    for whole, first, second in zip(one, *two, strict=True):
        assert whole == first + second


def test_the_last_batch_is_filled_from_the_front() -> None:
    """5 images in batches of 2: three batches, the sixth place goes to the first image of the order."""
    batches = list(EpochSampler(5, 2, seed=0))
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert batches[2][1] == batches[0][0]


def test_a_set_smaller_than_a_batch_repeats() -> None:
    (batch,) = list(EpochSampler(2, 5, seed=0))
    assert len(batch) == 5 and {index for _, index in batch} == {0, 1}


def test_going_on_from_a_batch() -> None:
    sampler = EpochSampler(9, 3, seed=1)
    sampler.set_epoch(4)
    whole = list(sampler)
    sampler.set_epoch(4, start=2)
    assert list(sampler) == whole[2:]
    assert all(epoch == 4 for batch in whole for epoch, _ in batch)


def test_a_batch_must_divide_among_ranks() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        EpochSampler(10, 5, seed=0, ranks=2)


def test_repeated_images_get_a_number_of_their_own() -> None:
    """Factors 1, 1, 2: four places per epoch, the second copy of image 2 has another key."""
    sampler = EpochSampler(3, 2, seed=0, factors=torch.tensor([1.0, 1.0, 2.0]))
    keys = [key for batch in sampler for key in batch]
    assert len(sampler) == 2 and sorted(keys) == [(0, 0), (0, 1), (0, 2), (0, 2, 1)]


def mixed(**options: Any) -> MixedSampler:
    """Four images in batches of 2, with 3 extra ones."""
    return MixedSampler(EpochSampler(4, 2, seed=0), length=3, **options)


def test_every_batch_has_its_share_of_extra_images() -> None:
    """Two epochs of two batches of one extra image: four places, so the three are dealt once and one a second time."""
    sampler = mixed(batch_size=1)
    seen = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [3, 3] and len(sampler) == 2
        assert all(index < 4 for batch in batches for _, index, *_ in batch[:2])
        seen += [batch[2] for batch in batches]
    assert sorted(index for _, index, deal in seen if deal == 0) == [4, 5, 6]
    assert [deal for _, _, deal in seen] == [0, 0, 0, 1] and [epoch for epoch, *_ in seen] == [0, 0, 1, 1]


def test_batches_in_turn() -> None:
    sampler = mixed(batch_size=2, alternate=True)
    kinds = [[index >= 4 for _, index, *_ in batch] for batch in sampler]
    assert kinds == [[False] * 2, [True] * 2] * 2 and len(sampler) == 4


@pytest.mark.parametrize("alternate", [False, True])
@pytest.mark.parametrize("start", [1, 2])
def test_a_mixed_epoch_goes_on_from_a_batch(alternate: bool, start: int) -> None:
    sampler = mixed(batch_size=2, alternate=alternate)
    sampler.set_epoch(3)
    whole = list(sampler)
    sampler.set_epoch(3, start)
    assert list(sampler) == whole[start:]


def test_ranks_share_extra_images_too() -> None:
    one = MixedSampler(EpochSampler(6, 4, seed=1), 5, batch_size=2)
    two = [MixedSampler(EpochSampler(6, 4, seed=1, rank=rank, ranks=2), 5, batch_size=2) for rank in (0, 1)]
    for whole, *shares in zip(one, *two, strict=True):
        assert sorted(whole) == sorted(key for share in shares for key in share)


LONG = EpochSampler(640, 8, seed=3)
"""80 batches of 8."""


@pytest.mark.parametrize(
    ("batch", "place", "batches", "places"),
    [
        (7, 3, [], ()),  # nothing was loaded eight batches before: the whole set
        (8, 0, [0], (0, 1, 2, 3)),
        (15, 7, [7], (4, 5, 6, 7)),
        (16, 4, [0, 8], (4, 5, 6, 7)),
        (70, 1, [6, 14, 22, 30, 38, 46, 54, 62], (0, 1, 2, 3)),  # eight batches, and none before
        (79, 7, [15, 23, 31, 39, 47, 55, 63, 71], (4, 5, 6, 7)),
    ],
)
def test_images_to_mix_with_by_hand(batch: int, place: int, batches: list[int], places: tuple[int, ...]) -> None:
    order = LONG.order(2)
    expected = [order[8 * earlier + near] for earlier in batches for near in places]
    assert EarlierBatches(LONG)(2, order[8 * batch + place]) == expected


def test_images_to_mix_with_are_a_function_of_the_key() -> None:
    """Whatever was asked before, in whatever epoch."""
    used, indices = EarlierBatches(LONG), range(0, 640, 7)
    [used(epoch, index) for epoch in (0, 5, 1) for index in indices]
    assert [used(4, index) for index in indices] == [EarlierBatches(LONG)(4, index) for index in indices]
    assert [used(4, index) for index in indices] != [used(5, index) for index in indices]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 6])
def test_images_to_mix_with_are_the_same_on_any_number_of_ranks(ranks: int) -> None:
    samplers = [EpochSampler(12 * 64, 12, 0, rank=rank, ranks=ranks) for rank in range(ranks)]
    one = EarlierBatches(EpochSampler(12 * 64, 12, 0))
    for sampler in samplers:
        mixed = EarlierBatches(sampler)
        assert all(mixed(*key) == one(*key) for batch in sampler for key in batch)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("start", [0, 29])
def test_a_process_has_loaded_what_it_mixes(ranks: int, workers: int, start: int) -> None:
    """PyTorch gives the first batch that is left of an epoch to the first process, the next one to the second, ..."""
    sampler = EpochSampler(16 * 100, 16, seed=1, rank=ranks - 1, ranks=ranks)
    sampler.set_epoch(1, start)
    mixed, loaded = EarlierBatches(sampler), [set[int]() for _ in range(workers)]
    for number, batch in enumerate(sampler):
        wanted = {index for key in batch for index in mixed(*key)}
        missing = wanted - loaded[number % workers]
        assert not missing or number < 64 * (start > 0)
        loaded[number % workers] |= {key[1] for key in batch}


def test_short_epochs_mix_the_whole_set() -> None:
    """63 batches, the last one begun: nothing. 64 batches: all but the first eight."""
    short, long = EpochSampler(62 * 4 + 1, 4, seed=0), EpochSampler(63 * 4 + 1, 4, seed=0)
    assert (len(short), len(long)) == (63, 64)
    assert not any(EarlierBatches(short)(0, index) for index in range(short.length))
    assert sum(bool(EarlierBatches(long)(0, index)) for index in range(long.length)) == 55 * 4 + 1


@pytest.mark.parametrize(("size", "first"), [(1, 24), (2, 16), (3, 8), (5, 8)])
def test_three_images_to_mix_with_at_least(size: int, first: int) -> None:
    """Batches of one have three earlier ones from the 25th on."""
    sampler = EpochSampler(size * 80, size, seed=0)
    found = [[len(EarlierBatches(sampler)(*key)) for key in batch] for batch in sampler]
    assert [any(lengths) for lengths in found] == [batch >= first for batch in range(80)]
    assert all(length == 0 or length >= 3 for lengths in found for length in lengths)


def test_copies_are_mixed_with_what_came_before_each() -> None:
    """Image 0 comes three times per epoch, all others once: another place, other images."""
    factors = torch.ones(400)
    factors[0] = 3
    sampler = EpochSampler(400, 4, seed=0, factors=factors)
    order = sampler.order(6)
    assert len(order) == 402 and len(sampler) == 101
    for copy, position in enumerate(position for position, index in enumerate(order) if index == 0):
        batch = position // 4
        earlier = range(max(batch % 8, batch - 64), batch, 8)
        expected = [index for number in earlier for index in order[4 * number : 4 * number + 4]]
        assert EarlierBatches(sampler)(6, 0, copy) == expected


def test_the_images_that_fill_the_last_batch_are_the_first_ones_again() -> None:
    """Their key is that of the first batch, and so is the item."""
    sampler = EpochSampler(4 * 70 - 1, 4, seed=0)
    *_, last = sampler
    assert EarlierBatches(sampler)(*last[-2]) and last[-1] == next(iter(sampler))[0]
    assert EarlierBatches(sampler)(*last[-1]) == []


def test_over_epochs_an_image_meets_as_many_others_as_in_the_whole_set() -> None:
    """Three in each of ten epochs, of 1,000 images in batches of 8; by chance hardly any comes twice."""
    sampler, generator = EpochSampler(1000, 8, seed=0), random.Random(0)
    mixed, met = EarlierBatches(sampler), [set[int]() for _ in range(1000)]
    for epoch, index in itertools.product(range(10), range(1000)):
        met[index] |= set(generator.sample(mixed(epoch, index) or range(1000), 3))
    assert 29.5 < sum(map(len, met)) / 1000 <= 30 and min(map(len, met)) >= 25
