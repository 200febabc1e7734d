"""Optional outputs of a validation: label files, COCO JSON, sample images."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.io.images import read_image
from engine.evaluation.class_frequency import LVISLabels
from engine.evaluation.evaluator import label_areas
from engine.results import ImageResult
from utils.draw import FALSE_ALARM, HIT, MISS, confident_boxes, draw_boxes, enlarge_small
from utils.files import atomic_write
from utils.metrics import evaluate
from utils.metrics.streaming_ap import box_iou
from utils.plots import plot_images

SAMPLES = 8  # images on the contact sheet
HIT_IOU = 0.5  # at which a detection is one of an object


class TextWriter:
    """Detections as YOLO label files, one per image: class, centre x, centre y, width, height (fractions), confidence.

    Files are named by the image's path below the images' common folder, so equal names in two folders stay apart: see
    `label_names`.
    """

    def __init__(self, folder: Path, confidence: bool) -> None:
        self.folder, self.confidence = folder, confidence
        self.texts: dict[str, str] = {}

    def __call__(self, result: ImageResult) -> None:
        """Add one image's detections."""
        height, width = result.shape
        x1, y1, x2, y2 = result.boxes.T.reshape(4, -1) / np.array([width, height, width, height])[:, None]
        columns = [result.classes, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        columns += [result.scores] if self.confidence else []
        lines = (" ".join([str(int(row[0])), *(f"{value:.6g}" for value in row[1:])]) for row in np.stack(columns, 1))
        self.texts[result.file] = "".join(line + "\n" for line in lines)

    def close(self) -> None:
        """Write the files; images without a detection get none."""
        for name, text in zip(label_names(list(self.texts)), self.texts.values(), strict=True):
            if text:
                atomic_write(self.folder / f"{name}.txt", text.encode())


def label_names(files: Sequence[str]) -> list[str]:
    """A name for each image: the parts of its path below their common folder, joined; where two are equal, numbered.

    >>> label_names(["/set/day/1.jpg", "/set/night/1.jpg"]), label_names(["/a/b/1.jpg", "/a/b_1.jpg", "/a/b_1.png"])
    (['day_1', 'night_1'], ['b_1', 'b_1.2', 'b_1.3'])
    """
    folder = os.path.commonpath([os.path.dirname(file) for file in files]) if files else ""
    names: dict[str, None] = {}
    for file in files:
        name = "_".join(Path(file).relative_to(folder).with_suffix("").parts)
        numbered = (f"{name}.{number}" for number in itertools.count(2))
        names[next(free for free in itertools.chain([name], numbered) if free not in names)] = None
    return list(names)


class JsonWriter:
    """`predictions.json` and `labels.json` in COCO's form, and the COCO protocol's numbers over the two.

    An image is numbered by its file name where that is a number (as COCO's are) and no other image has it, else by
    its place. Classes are numbered from 1, in the data YAML's order. With `lvis`, the labels hold all that LVIS's
    protocol needs.
    """

    def __init__(
        self, folder: Path, names: Mapping[int, str], resolution: str = "upsampled", lvis: LVISLabels | None = None
    ) -> None:
        self.folder, self.resolution = folder, resolution
        categories: list[dict[str, Any]] = [{"id": number + 1, "name": name} for number, name in names.items()]
        if lvis is not None:
            for category, letter in zip(categories, lvis.frequency, strict=True):
                category["frequency"] = letter
        self.lvis = lvis
        self.labels: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": categories}
        self.predictions: list[dict[str, Any]] = []
        self.results: list[ImageResult] = []

    def __call__(self, result: ImageResult) -> None:
        """Add one image."""
        self.results.append(result)

    def close(self) -> dict[str, float]:
        """Write both files. Returns AP, AP50, AP75, APs, APm, APl, fractions of 1."""
        for number, result in zip(self._numbers(), self.results, strict=True):
            self._add(number, result)
        info = {"description": f"detected at {self.resolution} resolution"}
        for name, content in (("labels.json", {"info": info, **self.labels}), ("predictions.json", self.predictions)):
            atomic_write(self.folder / name, json.dumps(content).encode())
        return evaluate({**self.labels}, self.predictions)

    def _numbers(self) -> list[int]:
        """One number per image, none twice."""
        stems = [Path(result.file).stem for result in self.results]
        if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
            return [int(stem) for stem in stems]
        return list(range(1, len(stems) + 1))

    def _add(self, number: int, result: ImageResult) -> None:
        """The entries of one image."""
        height, width = result.shape
        image = {"id": number, "file_name": Path(result.file).name, "height": height, "width": width}
        self.labels["images"].append(image | self._federated(result))
        areas = label_areas(result.targets).tolist()
        for box, area, kind in zip(_corner_size(result.targets), areas, result.target_classes, strict=True):
            ids = {"id": len(self.labels["annotations"]) + 1, "image_id": number, "category_id": int(kind) + 1}
            self.labels["annotations"].append({**ids, "bbox": box, "area": area, "iscrowd": 0})
        for box, kind, score in zip(_corner_size(result.boxes), result.classes, result.scores, strict=True):
            entry: dict[str, Any] = {"image_id": number, "file_name": image["file_name"], "category_id": int(kind) + 1}
            self.predictions.append({**entry, "bbox": [round(side, 3) for side in box], "score": float(f"{score:.6g}")})

    def _federated(self, result: ImageResult) -> dict[str, list[int]]:
        """LVIS's lists of an image: negative classes (all others, in a data set without such lists)."""
        if self.lvis is None:
            return {}
        known = self.lvis.of(result.file)
        others = set(range(len(self.labels["categories"]))) - set(result.target_classes.astype(int).tolist())
        absent, partial = (known.absent, known.partial) if known else (sorted(others), ())
        lists = {"neg_category_ids": absent, "not_exhaustive_category_ids": partial}
        return {key: [kind + 1 for kind in kinds] for key, kinds in lists.items()}


def _corner_size(boxes: np.ndarray) -> list[list[float]]:
    """xyxy (n, 4) -> [left, top, width, height] rows, pixels."""
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1).tolist()


def hits_and_misses(result: ImageResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confident detections that hit an object, objects that are missed, false alarms: (k, 6) xyxy, confidence, class each.

    A detection hits the free object of its class that it overlaps most, at IoU 0.5 or more; the most confident chooses first.
    """
    found = confident_boxes(result.boxes, result.scores, result.classes)
    found = found[np.argsort(-found[:, 4], kind="stable")]
    objects = np.column_stack((result.targets, np.ones(len(result.targets)), result.target_classes))
    iou = box_iou(found[:, :4], result.targets) * (found[:, 5:] == result.target_classes)  # (n, m)
    hit, free = np.zeros(len(found), bool), np.ones(len(objects), bool)
    for row, overlaps in enumerate(iou):
        best = int((overlaps * free).argmax()) if free.any() else 0
        if free.any() and overlaps[best] * free[best] >= HIT_IOU:
            hit[row], free[best] = True, False
    return found[hit], objects[free], found[~hit]


def draw_judged(
    result: ImageResult, names: Mapping[int, str], image: np.ndarray | None = None
) -> tuple[np.ndarray, str]:
    """The image (H, W, 3) uint8 blue-green-red, enlarged if it is small, with hits green, misses red and false alarms blue; and
    their numbers in words. image: the decoded file, where it is at hand.
    """
    hits, missed, false = hits_and_misses(result)
    judged, scale = enlarge_small(read_image(Path(result.file)) if image is None else image)
    for boxes, paint, conf in ((false, FALSE_ALARM, True), (missed, MISS, False), (hits, HIT, True)):
        scaled = np.column_stack((scale * boxes[:, :4], boxes[:, 4:]))
        judged = draw_boxes(judged, scaled, names, conf=conf, paint=paint)
    return judged, f"{len(hits)} hit (green), {len(missed)} missed (red), {len(false)} false (blue)"


class SampleSheet:
    """A contact sheet: the first images with their labels and, beside them, with hits green, misses red, false alarms blue."""

    def __init__(self, target: Path, names: Mapping[int, str]) -> None:
        self.target, self.names = target, names
        self.cells: list[tuple[str, np.ndarray]] = []

    def __call__(self, result: ImageResult) -> None:
        """Draw one image, while there is room."""
        if len(self.cells) >= 2 * SAMPLES:
            return
        (image, scale), name = enlarge_small(read_image(Path(result.file))), Path(result.file).name
        labels = np.column_stack((scale * result.targets, np.ones(len(result.targets)), result.target_classes))
        self.cells.append((f"{name}: labels", draw_boxes(image, labels, self.names, conf=False)[..., ::-1]))
        judged, title = draw_judged(result, self.names)
        self.cells.append((title, judged[..., ::-1]))

    def close(self) -> None:
        """Write the sheet."""
        plot_images(self.cells, self.target)
