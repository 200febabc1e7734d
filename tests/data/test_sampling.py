"""The order of images is a function of seed and epoch, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from data.sampling import EpochSampler, MixedSampler, epoch_order


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
