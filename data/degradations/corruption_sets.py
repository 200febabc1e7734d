"""Which corruptions a robustness table is made of, and how they come upon a batch of letterboxed images.

A corruption belongs to a set: `coco-c`, the fifteen published ones, or `physical`, the models of `data/degrade.py`.
Names follow `prepare.py degrade`: a name that both sets have is the physical one, and `coco-c:NAME` the other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from data.degrade import COCO_C, DEGRADATIONS, to_bytes
from utils.errors import UserError, suggestion

Area = tuple[int, int, int, int]  # top, left, height, width of an image within its padding, px
SEVERITIES = range(1, 6)
WEATHER = ("fog", "low_light", "rain", "snow")  # the four conditions of ACDC (Sakaridis et al., ICCV 2021)


@dataclass(frozen=True)
class Corrupter:
    """One corruption of a table. `work`: images (B, 3, H, W) uint8, seeds, severity 1 to 5 -> float in [0, 1]."""

    family: str
    name: str
    work: Callable[[Tensor, Sequence[int], int], Tensor]

    @property
    def full_name(self) -> str:
        """As it can be asked for, whatever other corruptions there are."""
        return f"{self.family}:{self.name}"

    def __call__(self, images: Tensor, areas: Sequence[Area], seeds: Sequence[int], severity: int) -> Tensor:
        """New images (B, 3, H, W) uint8, rounded; padding stays what it is, and no corruption sees it.

        images: uint8, never written to. areas: where each image lies. seeds: one per image. Images of one shape are
        corrupted together.
        """
        result = images.clone()
        together: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, (_, _, height, width) in enumerate(areas):
            together[height, width].append(place)
        for places in together.values():
            inside = torch.stack([_cut(images[place], areas[place]) for place in places])  # (k, 3, h, w)
            degraded = to_bytes(self.work(inside, [seeds[place] for place in places], severity))
            for place, image in zip(places, degraded, strict=True):
                _cut(result[place], areas[place]).copy_(image)
        return result


def _cut(image: Tensor, area: Area) -> Tensor:
    """The part (3, h, w) of an image (3, H, W), as a view."""
    top, left, height, width = area
    return image[:, top : top + height, left : left + width]


def _published(images: Tensor, seeds: Sequence[int], severity: int, name: str) -> Tensor:
    return COCO_C[name](images, seeds, severity)[0]


def _physical(images: Tensor, seeds: Sequence[int], severity: int, name: str) -> Tensor:
    """Severity 1, 2 ... 5 is 0.2, 0.4 ... 1 of what the model calls severity."""
    return DEGRADATIONS[name](images, seeds, severity / max(SEVERITIES))[0]


_COCO_C = [Corrupter("coco-c", name, partial(_published, name=name)) for name in COCO_C]
_PHYSICAL = [Corrupter("physical", name, partial(_physical, name=name)) for name in DEGRADATIONS]
GROUPS: dict[str, list[Corrupter]] = {
    "all": _COCO_C + _PHYSICAL,
    "coco-c": _COCO_C,
    "physical": _PHYSICAL,
    "weather": [one for one in _PHYSICAL if one.name in WEATHER],
}
KNOWN: dict[str, Corrupter] = {
    **{one.name: one for one in _COCO_C + _PHYSICAL},  # physical last: a name of both is theirs
    **{one.full_name: one for one in _COCO_C + _PHYSICAL},
}


def choose_corruptions(text: str) -> list[Corrupter]:
    """Those that a text such as `weather` or `fog,coco-c:fog,jpeg` asks for, none twice.

    Raises UserError with the nearest name for one that is not known.
    """
    words = [word for word in re.split(r"[\s,]+", text.strip().lower()) if word]
    if not words:
        raise UserError(f"--corruptions: no name given; expected {', '.join(GROUPS)}, or names such as fog,jpeg.")
    chosen = [one for word in words for one in _named(word)]
    return list({one.full_name: one for one in chosen}.values())


def _named(word: str) -> list[Corrupter]:
    if word in GROUPS:
        return GROUPS[word]
    if word not in KNOWN:
        plain = ", ".join(sorted(name for name in KNOWN if ":" not in name))
        raise UserError(
            f"--corruptions {word}: there is no such corruption.{suggestion(word, [*GROUPS, *KNOWN])} Expected "
            f"{', '.join(GROUPS)}, or names joined by commas: {plain}; coco-c:NAME where COCO-C's is meant."
        )
    return [KNOWN[word]]


def choose_severities(text: str) -> list[int]:
    """1 to 5 from `1-5`, `3`, or `1,3,5`, in rising order, none twice. Raises UserError for anything else."""
    steps: set[int] = set()
    for word in re.split(r"[\s,]+", text.strip()):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", word, re.ASCII)
        low, high = (int(ends[1]), int(ends[2] or ends[1])) if ends else (0, 0)
        if low > high or low not in SEVERITIES or high not in SEVERITIES:
            raise UserError(f"--severities {text}: expected whole numbers from 1 to 5, such as 1-5, 3 or 1,3,5.")
        steps.update(range(low, high + 1))
    return sorted(steps)


def labels_of(corrupters: Iterable[Corrupter]) -> dict[Corrupter, str]:
    """A label for each: its name, with its set before it where a set has to be told from another."""
    ones = list(corrupters)
    mixed = len({one.family for one in ones}) > 1
    return {one: one.full_name if mixed else one.name for one in ones}
