"""Is one run better than another? Paired bootstrap over seeds, and over seeds and test images together.

Paired: the same seed, and the same resample of images, for both runs. What both share (an easy image, a lucky
initialisation) cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Values = Sequence[float] | np.ndarray
BLOCK = 128  # resamples per block: bounds the memory
RECALL_STEPS = np.linspace(0, 1, 101)  # the COCO interpolation


@dataclass(frozen=True)
class Interval:
    """A difference with its interval: `low` <= truth <= `high` at the level asked for, as far as resampling can say."""

    mean: float
    low: float
    high: float

    @property
    def contains_zero(self) -> bool:
        """Whether no difference is a possible answer."""
        return not (self.low > 0 or self.high < 0)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `no difference shown` if the interval contains zero."""
        if self.contains_zero:
            return "no difference shown"
        return "better" if self.low > 0 else "worse"


def paired_bootstrap(a: Values, b: Values, *, samples: int = 10000, seed: int = 0, level: float = 0.95) -> Interval:
    """Percentile interval of the mean of `a - b` over pairs (one per seed, or one per image).

    One pair has no spread, so its interval is everything. With n pairs the widest possible interval reaches from the
    smallest to the largest difference: three seeds that all differ in one direction always leave zero out, which chance
    alone does one time in four. Raises ValueError for unequal or empty sequences.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    >>> paired_bootstrap([0.5, 0.5, 0.5], [0.4, 0.4, 0.4]).verdict
    'better'
    """
    if np.shape(a) != np.shape(b) or np.ndim(a) != 1 or not len(a):
        raise ValueError(f"expected two equal, non-empty sequences, got shapes {np.shape(a)} and {np.shape(b)}")
    differences = np.asarray(a, float) - np.asarray(b, float)  # (pairs,)
    drawn = np.random.default_rng(seed).integers(0, len(differences), (samples, len(differences)))
    return _interval(float(differences.mean()), differences[drawn].mean(1), len(differences), level)


def crossed_bootstrap(
    a: np.ndarray, b: np.ndarray, mean: float, *, seed: int = 0, level: float = 0.95, seeds_too: bool = True
) -> Interval:
    """Percentile interval of the mean of `a - b`, where column r holds both runs' metric on the r-th resample of
    images.

    a, b: (seeds, resamples). The seeds are resampled as well, once for each column; all seeds saw the same images, so
    seeds and images are crossed, not nested. mean: the difference on the images as they are. With `seeds_too` off,
    the seeds stay as they are: the interval then speaks of these trained detectors only.
    Source: Owen, The pigeonhole bootstrap (2007).
    """
    if np.shape(a) != np.shape(b) or np.ndim(a) != 2 or 0 in np.shape(a):
        raise ValueError(f"expected two equal (seeds, resamples) tables, got {np.shape(a)} and {np.shape(b)}")
    differences = np.asarray(a, float) - np.asarray(b, float)  # (seeds, resamples)
    if not seeds_too:
        return _interval(mean, differences.mean(0), len(differences) + 1, level)
    drawn = np.random.default_rng(seed).integers(0, len(differences), differences.shape)
    return _interval(mean, np.take_along_axis(differences, drawn, 0).mean(0), len(differences), level)


def image_interval(matches: Matches, mean: float, *, samples: int = 1000, level: float = 0.95) -> Interval:
    """Percentile interval of the mean average precision over test images; everything where there is one image only.

    mean: the value on the images as they are.
    """
    images = len(matches.objects)
    resampled = resampled_map(matches, resample_weights(images, samples)) if images > 1 else np.zeros(0)
    return _interval(mean, resampled, images, level)


def _interval(mean: float, resampled: np.ndarray, units: int, level: float) -> Interval:
    """The middle `level` of the resampled means; everything where there was one unit to draw from."""
    if units < 2:
        return Interval(mean, -np.inf, np.inf)
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return Interval(mean, float(low), float(high))


@dataclass(frozen=True)
class Matches:
    """The detections of a test set at one IoU level, images numbered from 0.

    true_positive: (n,) bool; conf: (n,); cls: (n,); image: (n,) ints; objects: (images, classes) counts of labels.
    """

    true_positive: np.ndarray
    conf: np.ndarray
    cls: np.ndarray
    image: np.ndarray
    objects: np.ndarray


def resampled_map(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """Mean average precision when image p counts weights[r, p] times: (resamples, images) -> (resamples,).

    Classes without an object in a resample are left out of its mean. Weights of one give the ordinary mAP.
    """
    order = np.argsort(-matches.conf, kind="stable")
    true_positive, cls, image = matches.true_positive[order], matches.cls[order], matches.image[order]
    objects = weights @ matches.objects  # (resamples, classes)
    precision = np.zeros(objects.shape)
    for number in np.flatnonzero(matches.objects.any(0)):
        mine = cls == number
        for block in np.array_split(np.arange(len(weights)), 1 + len(weights) // BLOCK):
            counts = weights[np.ix_(block, image[mine])]  # how often each detection of this class appears
            precision[block, number] = average_precision(true_positive[mine], counts, objects[block, number])
    present = objects > 0
    return precision.sum(1) / np.maximum(present.sum(1), 1)


def average_precision(true_positive: np.ndarray, counts: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve (COCO's 101 points) of each resample: (resamples,).

    true_positive: (n,) bool, detections in descending confidence; counts: (resamples, n) how often each appears; objects:
    (resamples,) how many there are to find; the area is 0 where there are none.
    """
    corners = true_positive | np.append(true_positive[1:], False)  # the curve bends at these and just before
    if not corners.any():
        return np.zeros(len(counts))
    total = counts.cumsum(1)[:, corners]  # (resamples, corners)
    found = (counts * true_positive).cumsum(1)[:, corners]
    precision = found / np.maximum(total, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = found / np.maximum(objects, 1)[:, None]
    ends = np.ones(len(counts))[:, None]
    recall = np.concatenate((0 * ends, recall, recall[:, -1:], ends), 1)
    envelope = np.concatenate((ends, envelope, 0 * ends, 0 * ends), 1)
    curves = [np.interp(RECALL_STEPS, x, y) for x, y in zip(recall, envelope, strict=True)]
    return np.trapezoid(curves, RECALL_STEPS, axis=1)


def resample_weights(images: int, samples: int, seed: int = 0) -> np.ndarray:
    """How often each image is drawn in each resample: (samples, images) ints, each row summing to `images`."""
    drawn = np.random.default_rng(seed).integers(0, images, (samples, images))
    return np.stack([np.bincount(row, minlength=images) for row in drawn])
