"""The order of pictures is a function of seed and epoch, whoever asks."""

from __future__ import annotations

import pytest

from data.sampling import EpochSampler, epoch_order


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
    """5 pictures in batches of 2: three batches, the sixth place goes to the first picture of the order."""
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
