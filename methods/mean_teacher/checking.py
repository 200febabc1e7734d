"""How good the teacher's labels are, where target images happen to have labels. These are never learnt from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from data.config import TESTS, DataConfig
from data.io.images import read_image
from data.io.labels import label_path, scan
from methods.mean_teacher.lookalikes import copies
from methods.mean_teacher.pseudo_labels import Detections, box_ious, decode, suppress
from methods.mean_teacher.thresholds import ClassThresholds
from utils.errors import UserError
from utils.files import list_images

MOST = 48  # labelled target images that are looked at
SIDE = 640  # px, at most, until the run's own is known
STRIDE = 32
IOU = 0.5


class LabelCheck:
    """Precision and recall of the labels on up to 48 target images that have label files; {} where none has."""

    def __init__(self, data: DataConfig) -> None:
        places = data.splits.get("target", ())
        self.file, self.classes = data.file, len(data.names)
        self.images = _there(data, places)
        self.held_out = _there(
            data, [place for split in TESTS for place in data.splits.get(split, ()) if place.exists()]
        )
        self.side = SIDE
        self.labelled = [image for image in self.images if label_path(image).is_file()]

    def refuse(self, training: Collection[Path]) -> None:
        """Raise UserError where a target image is a labelled training image, or a test image coded or sized anew.

        training: resolved paths. The loader refuses test images themselves and copies of their bytes.
        """
        both = next((image for image in self.images if image.resolve() in training), None)
        if both is not None:
            raise UserError(
                f"{self.file}: 'target': {both} is a labelled training image. Target images are learnt from the teacher's "
                "labels; name a folder of other images."
            )
        copied = list(copies(self.images, self.held_out))
        if copied:
            more = f" and {len(copied) - 1} other target images like it show" if len(copied) > 1 else " shows"
            raise UserError(
                f"{self.file}: 'target': {copied[0][0]}{more} the same as {copied[0][1]} of the test split, coded or sized "
                "anew, and training must not see that. Take it out of the folder, and whatever else comes from the same "
                "recording."
            )

    def notes(self) -> list[str]:
        """That labels of target images are there, and what for."""
        if not self.labelled:
            return []
        return [
            f"mean-teacher: {len(self.labelled)} of {len(self.images)} target images have labels, which check the teacher's "
            "(target/precision, target/recall) and are not learnt from"
        ]

    def __call__(self, teacher: Any, thresholds: ClassThresholds, single_cls: bool = False) -> dict[str, float]:
        """What the teacher's labels of these images are worth, at IoU 0.5, above the possible thresholds.

        single_cls: the teacher knows class 0 alone, which objects of every class are.
        """
        if not self.labelled:
            return {}
        step = max(1, len(self.labelled) // MOST)
        scanned = scan(self.labelled[::step][:MOST], self.classes, what="target").labels
        right = found = there = 0
        for label in scanned:
            detections, truth, classes = self._detect(teacher, label)
            kept = detections.scores[0] >= thresholds(1.0)[detections.classes[0]]
            boxes, own = detections.boxes[0][kept], detections.classes[0][kept]
            right += hits(boxes, own, truth, torch.zeros_like(classes) if single_cls else classes)
            found, there = found + len(own), there + len(classes)
        return {
            "target/precision": round(right / found, 4) if found else 0.0,
            "target/recall": round(right / there, 4) if there else 0.0,
        }

    def _detect(self, teacher: Any, label: Any) -> tuple[Detections, Tensor, Tensor]:
        """What the teacher finds in one image, and its true boxes (n, 4) x1 y1 x2 y2 px and classes (n,)."""
        weight = next(teacher.parameters())
        image = read_image(label.image)
        scale = min(1.0, self.side / max(image.shape[:2]))
        size = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in image.shape[:2]]
        pixels = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        view = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1)))[None].to(weight.device)
        with torch.no_grad():
            found = suppress(decode(teacher(view.to(weight.dtype) / 255)))
        boxes = torch.from_numpy(label.boxes).to(weight.device) * torch.tensor(
            [size[1], size[0]] * 2, device=weight.device
        )
        corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
        return found, corners, torch.from_numpy(label.classes).to(weight.device).view(-1).long()


def _there(data: DataConfig, places: Iterable[Path]) -> list[Path]:
    """The images of folders and lists, without listed ones that do not exist: the loader names those."""
    return [image for place in places for image in list_images(place, data.root) if image.is_file()]


def hits(boxes: Tensor, classes: Tensor, truth: Tensor, true_classes: Tensor) -> int:
    """How many detections, the most confident first, match an object of their class that none before matched.

    boxes, truth: (n, 4) and (m, 4), x1 y1 x2 y2; classes (n,), true_classes (m,).
    """
    if not len(boxes) or not len(truth):
        return 0
    overlap = box_ious(boxes[None], truth[None])[0] * (classes[:, None] == true_classes)  # (n, m)
    free = torch.ones(len(truth), dtype=torch.bool, device=truth.device)
    right = 0
    for row in overlap:
        best, place = (row * free).max(0)
        if best >= IOU:
            free[place] = False
            right += 1
    return right
