"""Parts of a test set: how values become groups, and what is measured of a group beside its average precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
PARTS = 5  # groups that numbers are cut into
MOST_VALUES = 30  # different texts that get a group of their own
UNKNOWN, OTHER = "(not known)", "(other values)"


@dataclass(frozen=True)
class Groups:
    """names: of the groups, in order; of: (k,) the group of each of k things."""

    names: tuple[str, ...]
    of: Ints

    def take(self, places: Ints) -> Groups:
        """The groups of things at `places`."""
        return Groups(self.names, self.of[places])

    def crossed(self, other: Groups) -> Groups:
        """Every pair of groups; both are of the same things."""
        names = tuple(f"{one}, {two}" for one in self.names for two in other.names)
        return Groups(names, self.of * len(other.names) + other.of)


def equal_parts(values: NDArray, low: str = "", high: str = "", parts: int = PARTS) -> Groups:
    """Numbers in as many groups of about the same size, from the lowest; equal numbers stay together.

    values: (k,); NaN is a group of its own. low, high: words for the first and the last group.

    >>> equal_parts(np.array([3.0, 1.0, 2.0]), "dark", "bright", parts=2)
    Groups(names=('1/2 dark, 1 to 2', '2/2 bright, 3 to 3'), of=array([1, 0, 0]))
    """
    known = np.isfinite(values)
    finite = values[known]
    last = [-(-len(finite) * number // parts) - 1 for number in range(1, parts)]  # of each group but the last
    cuts = np.sort(finite)[last] if len(finite) else np.zeros(0)
    place = np.searchsorted(cuts, values, side="left")
    there = np.unique(place[known])
    of = np.searchsorted(there, place)
    names = []
    for number in range(len(there)):
        mine = finite[of[known] == number]
        word = low if number == 0 and len(there) > 1 else high if number == len(there) - 1 and number else ""
        span = f"{_short(mine.min())} to {_short(mine.max())}"
        names.append(f"{number + 1}/{len(there)}{' ' * bool(word)}{word}, {span}")
    return _with_unknown(names, of, known)


def _short(value: float) -> str:
    """Three digits, without an exponent where it is not needed.

    >>> _short(0.12345), _short(1234567.0), _short(3.0)
    ('0.123', '1234567', '3')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


def _with_unknown(names: Sequence[str], of: Ints, known: NDArray[np.bool_]) -> Groups:
    """The groups, and one more for what is not known where there is any."""
    if known.all():
        return Groups(tuple(names), of)
    return Groups((*names, UNKNOWN), np.where(known, of, len(names)))


def ranges(values: NDArray, edges: Sequence[float], names: Sequence[str]) -> Groups:
    """Numbers in groups with fixed limits: group i holds edges[i - 1] <= value < edges[i]. names: one more than edges."""
    return Groups(tuple(names), np.searchsorted(np.asarray(edges, float), values, side="right"))


def by_value(texts: Sequence[str], most: int = MOST_VALUES) -> Groups:
    """Texts in groups of equal ones, the most frequent first; beyond `most` together, and empty ones too.

    >>> by_value(["fog", "", "rain", "fog"]).names
    ('fog', 'rain', '(not known)')
    """
    counts = Counter(text for text in texts if text)
    order = sorted(counts, key=lambda text: (-counts[text], text))
    names = order[:most]
    numbers = {name: number for number, name in enumerate(names)}
    extra = [*([OTHER] if len(order) > most else []), *([UNKNOWN] if "" in texts else [])]
    numbers |= {"": len(names) + len(extra) - 1}
    return Groups((*names, *extra), np.array([numbers.get(text, len(names)) for text in texts], np.int64))


def recall_at_precision(hit: NDArray, scores: NDArray, objects: int, precision: float) -> float:
    """The highest recall that a confidence threshold reaches with at least that precision, all classes together.

    hit: (n,) bool; scores: (n,). 0 where no threshold has the precision, NaN without objects.

    >>> recall_at_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.8]), objects=4, precision=0.9)
    0.5
    """
    if not objects:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found, ranked = hit[order].cumsum(), scores[order]
    whole = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]  # a threshold takes all of one confidence
    good = whole & (found >= precision * np.arange(1, len(found) + 1))
    return float(found[good].max(initial=0)) / objects
