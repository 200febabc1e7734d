"""Average precision by the COCO, AI-TOD and LVIS protocols, over COCO-style JSON.

The matching runs in faster-coco-eval (pycocotools' numbers, an order of magnitude faster); the protocols are tables
here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from utils.disk.reading import read_json
from utils.errors import UserError, suggestion

ANY_SIZE = 1e5**2  # square pixels
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}  # LVIS's letters


@dataclass(frozen=True)
class Protocol:
    """What one protocol counts.

    sizes: name -> smallest and largest area in square pixels, both included; most: detections scored of one class in
    one image (COCO's maxDets counts so, and AI-TOD's tool with it); most_in_image: detections scored of all classes
    together; long_tail: federated labels, classes by frequency.
    """

    sizes: Mapping[str, tuple[float, float]]
    most: int
    most_in_image: int | None = None
    long_tail: bool = False


_COCO_SIZES = {"s": (0, 32**2), "m": (32**2, 96**2), "l": (96**2, ANY_SIZE)}
_AITOD_SIZES = {"vt": (0, 8**2), "t": (8**2, 16**2), "s": (16**2, 32**2), "m": (32**2, ANY_SIZE)}

PROTOCOLS: dict[str, Protocol] = {
    "coco": Protocol(_COCO_SIZES, most=100),
    "aitod": Protocol(_AITOD_SIZES, most=1500),
    "lvis": Protocol({"": (0, ANY_SIZE)}, most=300, most_in_image=300, long_tail=True),  # by frequency, not by size
}


def evaluate(
    ground_truth: Path | dict[str, Any],
    predictions: Path | list[dict[str, Any]],
    protocol: Literal["coco", "aitod", "lvis"] = "coco",
) -> dict[str, float]:
    """Average precision of detections against COCO (or LVIS) labels; boxes are [left, top, width, height] in pixels.

    Returns fractions of 1: AP (mean over IoU 0.50:0.05:0.95), AP50, AP75 and, by protocol, "coco": APs, APm, APl (areas
    below 32^2, to 96^2, above); "aitod": APvt, APt, APs, APm (below 8^2, to 16^2, to 32^2, above; an area on a border
    counts on both sides); "lvis": APr, APc, APf (rare, common, frequent classes). A size without objects is nan, a
    frequency without objects is not there at all. LVIS scores the best 300 detections of an image, drops those of
    classes that were not looked for in it, and ignores surplus ones of classes that were not labelled exhaustively.
    Inputs are not changed. Raises UserError for an unreadable file, a missing column, a detection of an unknown
    image, or an unknown protocol.
    Source: Lin et al., Microsoft COCO (2014); Wang et al., AI-TOD (2020); Gupta et al., LVIS (2019).
    """
    rules = PROTOCOLS.get(protocol)
    if rules is None:
        raise UserError(
            f"protocol {protocol!r}: expected one of {', '.join(PROTOCOLS)}.{suggestion(protocol, PROTOCOLS)}"
        )
    truth, found = _labels(ground_truth, rules), _detections(predictions)
    known = {image["id"] for image in truth["images"]}
    stranger = next((row["image_id"] for row in found if row["image_id"] not in known), None)
    if stranger is not None:
        raise UserError(f"detections: image_id {stranger!r} is not in the labels. Do both belong to the same images?")
    if rules.most_in_image is not None:
        found = best_of_each_image(found, rules.most_in_image)
    precision, columns = _match(truth, found, rules)
    return summarise(precision, columns, rules)


def best_of_each_image(found: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The `most` highest-scored detections of each image; ties keep their order."""
    images: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for detection in found:
        images[detection["image_id"]].append(detection)
    ranked = (sorted(rows, key=lambda row: -row["score"])[:most] for rows in images.values())
    return [row for rows in ranked for row in rows]


def _read(source: Path | Any, what: str) -> Any:
    """The content of a JSON file, or the object itself."""
    if not isinstance(source, (str, Path)):
        return source
    try:
        return read_json(Path(source))
    except (OSError, ValueError) as problem:
        raise UserError(f"{source}: cannot be read as {what} ({problem}). Expected a COCO-style JSON file.") from None


def _labels(source: Path | dict[str, Any], rules: Protocol) -> dict[str, Any]:
    """Labels with everything that matching needs; a copy."""
    truth = _read(source, "labels")
    there = truth if isinstance(truth, dict) else {}
    missing = ", ".join(key for key in ("images", "annotations", "categories") if key not in there)
    if missing:
        raise UserError(f"{_called(source)}: the labels lack {missing}. Expected a COCO-style instances file.")
    if rules.long_tail and not all("frequency" in category for category in truth["categories"]):
        raise UserError(f"{_called(source)}: categories lack 'frequency' (r, c or f), which the LVIS protocol needs.")
    images = [{"neg_category_ids": [], "not_exhaustive_category_ids": [], **image} for image in truth["images"]]
    annotations = [{"area": row["bbox"][2] * row["bbox"][3], **row} for row in truth["annotations"]]
    return {**truth, "images": images, "annotations": annotations}


def _detections(source: Path | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Detections, box only: stored outlines would change nothing but the time. A copy."""
    found = _read(source, "detections")
    columns = ("image_id", "category_id", "bbox", "score")
    if not isinstance(found, list) or any(column not in row for row in found for column in columns):
        raise UserError(f"{_called(source)}: expected a list of detections, each with {', '.join(columns)}.")
    return [{column: row[column] for column in columns} for row in found]


def _called(source: Any) -> str:
    """How an error message names a source."""
    return str(source) if isinstance(source, (str, Path)) else "the given object"


def _match(truth: dict[str, Any], found: list[Any], rules: Protocol) -> tuple[np.ndarray, dict[str, list[int]]]:
    """Precision (IoU level, recall step, class, size range), -1 without objects; columns of classes by frequency."""
    from faster_coco_eval import COCO, COCOeval_faster

    labels = COCO(truth, use_deepcopy=True)
    ranges = {name: list(limits) for name, limits in rules.sizes.items()}
    matcher = COCOeval_faster(labels, labels.loadRes(found), "bbox", ranges=ranges, lvis_style=rules.long_tail)
    matcher.params.maxDets = [rules.most]
    matcher.evaluate()
    matcher.accumulate()
    frequency = {category["id"]: category.get("frequency") for category in truth["categories"]}
    columns: dict[str, list[int]] = defaultdict(list)
    for column, category in enumerate(matcher.params.catIds):
        columns[str(frequency[category])].append(column)
    return matcher.eval["precision"][..., -1], columns


def summarise(precision: np.ndarray, columns: Mapping[str, Sequence[int]], rules: Protocol) -> dict[str, float]:
    """Mean precision over IoU levels, recall steps and classes; nan where there is no object.

    precision: (10 IoU levels, 101 recall steps, classes, size ranges), -1 without objects; the first size range is all
    sizes. columns: the classes of each frequency (long-tailed protocols only); one without objects gets no entry.
    """
    everything = precision[..., 0]
    summary = {"AP": _mean(everything), "AP50": _mean(everything[0]), "AP75": _mean(everything[5])}
    summary |= {f"AP{name}": _mean(precision[..., place]) for place, name in enumerate(rules.sizes, 1) if name}
    if rules.long_tail:
        groups = {f"AP{letter}": _mean(everything[:, :, columns.get(letter, [])]) for letter in FREQUENCIES}
        summary |= {name: value for name, value in groups.items() if not math.isnan(value)}
    return summary


def _mean(precision: np.ndarray) -> float:
    """The mean over entries that have objects; nan where none has."""
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else float("nan")
