"""Average precision as COCO, AI-TOD and LVIS define it, written slowly and from the definition: a yardstick for the tests."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import accumulate, product
from typing import Any

import numpy as np

IOU_LEVELS = np.linspace(0.5, 0.95, 10).tolist()
RECALL_STEPS = np.linspace(0, 1, 101).tolist()  # 0.7 is 0.7000000000000001 here, and a recall of 7 / 10 falls short
SIZES = {
    "coco": {"all": (0, 1e10), "s": (0, 1024), "m": (1024, 9216), "l": (9216, 1e10)},
    "aitod": {"all": (0, 1e10), "vt": (0, 64), "t": (64, 256), "s": (256, 1024), "m": (1024, 1e10)},
    "lvis": {"all": (0, 1e10)},
}
MOST = {"coco": 100, "aitod": 1500, "lvis": 300}


def reference(truth: dict[str, Any], found: list[dict[str, Any]], protocol: str) -> dict[str, float]:
    """The numbers of a protocol, one class, size range and IoU level after the other."""
    if protocol == "lvis":
        found = looked_for(truth, found)
    images = sorted(image["id"] for image in truth["images"])
    partial = {image["id"]: image.get("not_exhaustive_category_ids", ()) for image in truth["images"]}
    values: dict[Any, list[float | None]] = defaultdict(list)
    for kind in (category["id"] for category in truth["categories"]):
        triples = [
            (*(of(rows, img, kind) for rows in (truth["annotations"], found)), kind in partial[img]) for img in images
        ]
        triples = [
            (mine, sorted(hers, key=lambda row: -row["score"])[: MOST[protocol]], some) for mine, hers, some in triples
        ]
        for (size, limits), (level, threshold) in product(SIZES[protocol].items(), enumerate(IOU_LEVELS)):
            values[size, level].append(average_precision(triples, limits, threshold))
    numbers = {"AP": mean(values, "all"), "AP50": mean(values, "all", [0]), "AP75": mean(values, "all", [5])}
    if protocol == "lvis":
        return numbers | by_frequency(truth, values)
    return numbers | {f"AP{size}": mean(values, size) for size in SIZES[protocol] if size != "all"}


def looked_for(truth: dict[str, Any], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the most confident 300 of each image, those of classes that were looked for in it."""
    kept = []
    for image in truth["images"]:
        there = {row["category_id"] for row in truth["annotations"] if row["image_id"] == image["id"]}
        best = sorted((row for row in found if row["image_id"] == image["id"]), key=lambda row: -row["score"])[:300]
        kept += [row for row in best if row["category_id"] in there | set(image["neg_category_ids"])]
    return kept


def by_frequency(truth: dict[str, Any], values: dict[Any, list[float | None]]) -> dict[str, float]:
    """AP of the rare, common and frequent classes; none of those without objects."""
    letters = [category["frequency"] for category in truth["categories"]]
    groups = {}
    for group in "rcf":
        mine = {
            key: [v for v, letter in zip(row, letters, strict=True) if letter == group] for key, row in values.items()
        }
        groups[f"AP{group}"] = mean(mine, "all")
    return {name: value for name, value in groups.items() if not math.isnan(value)}


def of(rows: list[dict[str, Any]], image: int, kind: int) -> list[dict[str, Any]]:
    """The rows of a class in an image."""
    return [row for row in rows if row["image_id"] == image and row["category_id"] == kind]


def mean(values: dict[Any, list[float | None]], size: str, levels: Any = range(10)) -> float:
    """The mean over IoU levels and over the classes that have objects of the size."""
    known = [value for level in levels for value in values[size, level] if value is not None]
    return sum(known) / len(known) if known else math.nan


def average_precision(triples, limits, threshold) -> float | None:
    """Of one class, from each image's objects, detections, and whether only some objects are labelled; None without

    objects that count.
    """
    objects = sum(counts(row, limits) for mine, _, _ in triples for row in mine)
    verdicts = [verdict for triple in triples for verdict in judge(*triple, limits, threshold)]
    if not objects:
        return None
    verdicts = [right for _, right in sorted(verdicts, key=lambda pair: -pair[0]) if right is not None]
    hits = list(accumulate(verdicts))
    points = [(hit / objects, hit / place) for place, hit in enumerate(hits, 1)]  # recall, precision
    best = list(accumulate((precision for _, precision in reversed(points)), max))[::-1]
    total, place = 0.0, 0
    for step in RECALL_STEPS:
        while place < len(points) and points[place][0] < step:
            place += 1
        total += best[place] if place < len(points) else 0.0
    return total / 101


def judge(mine, hers, partial, limits, threshold) -> list[tuple[float, bool | None]]:
    """(score, right) of each detection of a class in an image, by descending confidence; right is None where it is ignored.

    An object is taken once, a crowd as often as it comes. Objects that count go before those that do not.
    """
    verdicts, taken = [], set()
    for row in hers:
        inside = limits[0] <= row["bbox"][2] * row["bbox"][3] <= limits[1]
        right: bool | None = False if inside and not partial else None
        for counted in (True, False):
            free = [
                n
                for n, other in enumerate(mine)
                if counts(other, limits) == counted and (n not in taken or other.get("iscrowd"))
            ]
            near = [n for n in free if overlap(row["bbox"], mine[n]) >= threshold]
            if near:
                number = max(near, key=lambda n: (overlap(row["bbox"], mine[n]), n))  # of equal ones the last
                taken.add(number)
                right = True if counted else None
                break
        verdicts.append((row["score"], right))
    return verdicts


def counts(row: dict[str, Any], limits: tuple[float, float]) -> bool:
    """Whether an object belongs to the size range: both ends do, crowds never."""
    return not row.get("iscrowd") and limits[0] <= row["area"] <= limits[1]


def overlap(box: list[float], other: dict[str, Any]) -> float:
    """Intersection over union; over the box itself where the other is a crowd."""
    (x, y, w, h), (u, v, s, t) = box, other["bbox"]
    both = max(0.0, min(x + w, u + s) - max(x, u)) * max(0.0, min(y + h, v + t) - max(y, v))
    return both / (w * h if other.get("iscrowd") else w * h + s * t - both)
