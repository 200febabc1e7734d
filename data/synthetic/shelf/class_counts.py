"""Which of the shelf's 40 classes stand in which image: a long tail to learn from, equal shares to measure with.

A law fixes this for a number of images at once, so that the counts are exact and not a matter of luck: in as many
scenes in a row as the law is long, each class is in exactly as many as its quota says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from data.synthetic.shelf.objects import FORMS, NAMES, SURFACES

OBJECTS = (6, 12)  # the fewest and the most objects per image is meant to have
MOST_RARE, MOST_COMMON = 10, 100  # images: LVIS's borders of its three groups
TAIL = (  # images in which the first, second, ... class is; rank against count falls as Zipf's law does, in its steep part
    *(250, 233, 218, 205, 192, 181, 171, 162, 153, 145, 137, 129, 121, 112),
    *(88, 76, 66, 57, 50, 44, 39, 34, 30, 26, 22, 19, 16, 14),
    *(9, 8, 7, 6, 5, 5, 4, 3, 3, 2, 2, 1),
)


class Law(NamedTuple):
    """In `images` scenes in a row, class c is in quotas[c]."""

    images: int
    quotas: tuple[int, ...]


def _ranked() -> tuple[int, ...]:
    """TAIL shuffled over the classes, such that every form and every surface is found among the frequent ones."""
    rng = np.random.default_rng(40)
    frequent = sum(count > MOST_COMMON for count in TAIL)
    while True:
        order = rng.permutation(len(NAMES))
        words = {word for number in order[:frequent] for word in NAMES[number].split("_")}
        if words == {*FORMS, *SURFACES}:
            return tuple(TAIL[rank] for rank in np.argsort(order))


TRAINING = Law(360, _ranked())
EVEN = Law(20, (4,) * len(NAMES))
FREQUENCY = tuple("r" if n <= MOST_RARE else "c" if n <= MOST_COMMON else "f" for n in TRAINING.quotas)
SCARCE = tuple(number for number, letter in enumerate(FREQUENCY) if letter != "f")  # classes that have extra images


@lru_cache(maxsize=4)
def _rota(law: Law) -> tuple[tuple[int, ...], ...]:
    """The classes of each image; images have room for OBJECTS objects, and fill up as far as the quotas go."""
    rng = np.random.default_rng([law.images, 41])
    room = rng.integers(OBJECTS[0], OBJECTS[1] + 1, law.images).astype(float)
    found: list[list[int]] = [[] for _ in range(law.images)]
    for number in np.argsort(law.quotas, kind="stable")[::-1]:
        keys = np.log(np.maximum(room, 0.02)) + rng.gumbel(size=law.images)  # drawn by room, none twice
        for image in np.argsort(keys)[::-1][: law.quotas[number]]:
            found[image].append(int(number))
            room[image] -= 1
    return tuple(tuple(numbers) for numbers in found)


def classes_of(law: Law, seed: int) -> Sequence[int]:
    """The classes that stand in scene number `seed`."""
    return _rota(law)[seed % law.images]
