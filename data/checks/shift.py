"""Splits unlike train: in light, haze, blur, noise, colour, resolution or the size of the objects.

A difference is reported where a rank test sees it (Mann-Whitney, p < 1e-4), where it is large (Cliff's delta of 0.6 or
more: of an image of each split, one is the darker in four of five draws), and where the medians differ by what a detector feels
(the last column of MEASURED).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.checks.classes import object_sides
from data.checks.findings import Finding
from data.checks.survey import UNLABELLED, Split, Survey
from utils.metrics.auroc import auroc

P, DELTA = 1e-4, 0.6
Values = NDArray[np.float64]


class Measured(NamedTuple):
    """One property: the findings where a split has less and more of it, and the words for that.

    by_ratio: whether `least` is the ratio of the medians or their difference; unit: of the medians.
    """

    less: str | None
    more: str
    less_word: str
    more_word: str
    by_ratio: bool
    least: float
    unit: str = ""


MEASURED: dict[str, Measured] = {
    "light": Measured("shift-dark", "shift-bright", "darker", "brighter", True, 1.3),
    "haze": Measured("shift-clear", "shift-haze", "less hazy", "hazier", False, 0.1),
    "blur": Measured("shift-sharp", "shift-blur", "sharper", "more blurred", False, 0.06),
    "noise": Measured("shift-clean", "shift-noise", "less noisy", "noisier", False, 1.5, " levels of 255"),
    "cast": Measured(None, "shift-cast", "", "more tinted", False, 8.0),
    "resolution": Measured(
        "shift-low-resolution", "shift-high-resolution", "of lower resolution", "of higher resolution", True, 1.5, " px"
    ),
    "objects": Measured("shift-small-objects", "shift-large-objects", "smaller", "larger", True, 1.8, " px"),
}
RIVALS = {  # two readings of one difference -> the first stands where this measure rose (1) or fell (-1) along with it
    ("shift-clear", "shift-dark"): ("contrast", 1),
    ("shift-haze", "shift-bright"): ("contrast", -1),
    ("shift-clear", "shift-noise"): ("light", -1),  # noise lowers the dark channel too
    ("shift-haze", "shift-blur"): ("light", 1),  # and blur raises it
}
ALONG = 0.3  # Cliff's delta of that measure
_PIXELS = ("shift-blur", "shift-sharp", "shift-noise", "shift-clean", "shift-cast")
EXPLAINS: dict[str, tuple[str, ...]] = {  # what a difference brings along by itself is not reported beside it
    **dict.fromkeys(("shift-dark", "shift-bright", "shift-haze", "shift-clear"), _PIXELS),
    **dict.fromkeys(("shift-low-resolution", "shift-high-resolution", "shift-noise"), ("shift-sharp",)),
}


class Shift(NamedTuple):
    """A measured difference: medians of train and of the split, Cliff's delta, and the p-value of the rank test."""

    train: float
    other: float
    delta: float
    p: float


def compared(train: Values, other: Values) -> Shift | None:
    """The difference of two samples; None where one is empty."""
    train, other = train[np.isfinite(train)], other[np.isfinite(other)]
    if not len(train) or not len(other):
        return None
    both = np.concatenate([train, other])
    above = auroc(both, np.arange(len(both)) >= len(train))
    medians = float(np.median(train)), float(np.median(other))
    return Shift(*medians, 2 * above - 1, rank_p(above, both, len(train), len(other)))


def rank_p(above: float, both: Values, n: int, m: int) -> float:
    """Two-sided p-value of Mann and Whitney's test by its normal approximation, corrected for ties.

    above: the fraction of pairs in which the second is larger (AUROC); both: all values; n, m: how many there are of each.
    Source: Mann and Whitney, Annals of Mathematical Statistics 1947.
    """
    counts = np.unique(both, return_counts=True)[1].astype(float)
    total = n + m
    ties = float((counts**3 - counts).sum()) / (total * (total - 1)) if total > 1 else 0.0
    spread = math.sqrt(n * m / 12 * max(total + 1 - ties, 0.0))
    return math.erfc(abs(above - 0.5) * n * m / spread / math.sqrt(2)) if spread else 1.0


def shift_findings(survey: Survey, imgsz: int) -> Iterator[Finding]:
    """The differences of each val and test split from train."""
    train = survey.labelled.get("train")
    if train is None:
        return
    known = {name: take(train, imgsz) for name, take in SAMPLES.items()}
    for split in survey.labelled.values():
        if split.role in ("train", UNLABELLED):
            continue
        word = survey.config.conditions.get(split.name, split.name)
        named = split.name if word == split.name else f"{split.name} ({word})"
        shifts = {name: compared(known[name], take(split, imgsz)) for name, take in SAMPLES.items()}
        found = {name: kind for name, shift in shifts.items() if shift and (kind := kind_of(name, shift))}
        beside = {name: compared(take(train, imgsz), take(split, imgsz)) for name, take in BESIDE.items()}
        kept = _causes(set(found.values()), beside)
        for name, kind in found.items():
            if kind in kept:
                yield _finding(name, kind, split.name, named, shifts[name])


def _causes(kinds: set[str], beside: Mapping[str, Shift | None]) -> set[str]:
    """The findings that no other one explains."""
    for (first, second), (name, sign) in RIVALS.items():
        if {first, second} <= kinds:
            moved = beside[name]
            kinds = kinds - {second if moved is not None and moved.delta * sign > ALONG else first}
    return kinds - {other for kind in kinds for other in EXPLAINS.get(kind, ())}


def kind_of(name: str, shift: Shift) -> str | None:
    """The finding that a difference of a property is, if any."""
    rule = MEASURED[name]
    if shift.p >= P or abs(shift.delta) < DELTA or distance(rule, shift) < rule.least:
        return None
    return rule.more if shift.delta > 0 else rule.less


def distance(rule: Measured, shift: Shift) -> float:
    """How far apart the medians are: their ratio, 1 or more, or their difference."""
    low, high = sorted((shift.train, shift.other))
    return (high / low if low > 0 else math.inf) if rule.by_ratio else high - low


def _finding(name: str, kind: str, split: str, named: str, shift: Shift | None) -> Finding:
    """The sentence and the numbers."""
    assert shift is not None
    rule = MEASURED[name]
    word = rule.more_word if shift.delta > 0 else rule.less_word
    apart = distance(rule, shift)
    times = f"{apart:.1f} times " if rule.by_ratio and math.isfinite(apart) else ""
    subject = f"the objects of {named} are" if name == "objects" else f"{named} is"
    times = "" if name == "resolution" else times
    medians = f"medians {_short(shift.other)} and {_short(shift.train)}{rule.unit}, Cliff's delta {shift.delta:+.2f}"
    what = f"{subject} {times}{word} than {'those of ' if name == 'objects' else ''}train ({medians}, p {shift.p:.0e})"
    return Finding(
        kind, split, what, (), {"train": shift.train, split: shift.other, "delta": shift.delta, "p": shift.p}
    )


def _short(value: float) -> str:
    """A number in three digits, or whole.

    >>> _short(0.12345), _short(1600.0)
    ('0.123', '1,600')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _measure(name: str) -> Callable[[Split, int], Values]:
    return lambda split, imgsz: np.array([image.measures.get(name, math.nan) for image in split.usable])


def _objects(split: Split, imgsz: int) -> Values:
    """The median side of the objects of each image: the objects of one image are not independent."""
    return np.array([float(np.median(sides)) for sides in object_sides(split, imgsz) if len(sides)])


BESIDE = {name: _measure(name) for name in ("light", "contrast")}
SAMPLES: dict[str, Callable[[Split, int], Values]] = {
    **{name: _measure(name) for name in ("light", "haze", "blur", "noise", "cast")},
    "resolution": lambda split, imgsz: np.array([float(min(max(image.shape), imgsz)) for image in split.usable]),
    "objects": _objects,
}
