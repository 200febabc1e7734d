"""`prepare.py explain-assignment`: which feature points train which object, stock beside RFLA, on one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.config import load_data
from data.detection.dataset import ViewDataset, build_dataset
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_detector
from engine.options.prepare_explain import ExplainOptions
from engine.training.module import TrainingModel
from methods.base import Batch, Detector
from methods.options.rfla import RFLAOptions
from methods.registry import create
from methods.rfla_assigner import MODES, Assigned, RFLAssigner
from models.detector import build
from models.graph import evaluating
from utils.draw import colour
from utils.errors import UserError
from utils.plots import plot_images
from utils.tables import text_table

Image = NDArray[np.uint8]
GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)
FORMATS = (".jpg", ".pdf", ".png", ".svg", ".webp")  # that it can be drawn in
FAINT = (150, 150, 150)  # of points that train nothing


@dataclass(frozen=True)
class Explained:
    """One rule's assignment of one image. objects (n, 4) px; places (A, 2) px and sides (A,) px of the points' fields;
    owner (A,) 1-based object or 0; target (A,) class target."""

    rule: str
    objects: NDArray[np.float32]
    places: NDArray[np.float32]
    sides: NDArray[np.float32]
    owner: NDArray[np.int64]
    target: NDArray[np.float32]


def explain(options: ExplainOptions) -> Path:
    """Draw the image; returns the file. Raises UserError for data, an image or a detector that is not there."""
    if options.out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {options.out}: expected a name that ends in one of {', '.join(FORMATS)}.")
    config = load_data(options.data, make_demo=make_synthetic, need=[options.split])
    detector = _detector(options, config.names)
    dataset = build_dataset(config, options.split, imgsz=options.imgsz, stride=int(max(detector.stride)))
    batch = ViewDataset.collate_fn([dataset[_chosen(dataset, options.image)]])
    if not len(batch["bboxes"]):
        raise UserError(f"--image {options.image}: has no object. Choose one that has.")
    image = np.ascontiguousarray(batch["img"][0].permute(1, 2, 0).numpy())
    batch["img"] = batch["img"].float() / 255
    found = assignments(detector, batch, RFLAOptions(rf=options.rf))
    part = densest(found[0].objects, image.shape[:2], options.window)
    cells = [(title(each), draw(image, each, part, options.zoom)) for each in found]
    plot_images(cells, options.out, across=len(cells))
    print(text_table([row(each) for each in found]))
    print(
        f"{options.out} is ready: lines join each point to its object; the larger the dot, the higher the class target."
    )
    return options.out


def assignments(detector: Detector, batch: Batch, options: RFLAOptions) -> list[Explained]:
    """What the stock rule and each mode of RFLA make of the first image of a batch, from one and the same forward."""
    model = TrainingModel(detector, create("rfla", {RFLAOptions: options}), GAINS)
    model.build_criterion()
    branch = model.criterion.branches[0]
    wrapped: RFLAssigner = branch.assigner
    noted: list[tuple[Any, ...]] = []

    def note(*arguments: Any) -> Assigned:
        noted.append(arguments)
        return wrapped(*arguments)

    branch.assigner = note
    with evaluating(model):
        model(batch)
    rules = {"stock": wrapped.stock}
    rules |= {mode: RFLAssigner(mode=mode, fields=wrapped.fields, stock=wrapped.stock) for mode in MODES}
    points = wrapped._points(noted[0][2])
    return [_explained(name, Assigned(*rule(*noted[0])), noted[0][4], points) for name, rule in rules.items()]


def _explained(name: str, assigned: Assigned, objects: Tensor, points: Any) -> Explained:
    owner = torch.where(assigned.positive.bool(), assigned.owners.long() + 1, 0)[0]
    arrays = (objects[0], points.places, points.sides, owner, assigned.scores[0].sum(-1))
    return Explained(name, *(array.cpu().numpy() for array in arrays))


def _detector(options: ExplainOptions, names: dict[int, str]) -> Detector:
    if options.weights is not None:
        return load_detector(options.weights, trust=options.trust)[0]
    torch.manual_seed(0)
    return build(options.cfg, names)


def _chosen(dataset: ViewDataset, name: str) -> int:
    """Index of the image with this name or stem, or of the one with the most objects."""
    counts = [len(label.boxes) for label in dataset.source]
    if not name:
        return int(np.argmax(counts))
    for index, label in enumerate(dataset.source):
        if name in {label.image.name, label.image.stem}:
            return index
    raise UserError(
        f"--image {name}: this split has no image of that name; it has, for one, {dataset.source[0].image.name}."
    )


def densest(objects: NDArray[np.float32], shape: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) px of the window of `side` px that holds the most middles of objects (n, 4)."""
    height, width = shape
    side = min(side or max(shape), height, width)
    middle = (objects[:, :2] + objects[:, 2:]) / 2
    corners = np.clip(np.round(middle - side / 2), 0, [width - side, height - side]).astype(int)  # (n, 2)
    inside = (middle[None] >= corners[:, None]) & (middle[None] < corners[:, None] + side)
    left, top = corners[inside.all(2).sum(1).argmax()]
    return int(left), int(top), int(left) + side, int(top) + side


def draw(image: Image, found: Explained, part: tuple[int, int, int, int], zoom: int) -> Image:
    """A part of the image (H, W, 3) RGB, enlarged: objects, points, and one field (that of the central object)."""
    left, top, right, bottom = part
    canvas = cv2.resize(image[top:bottom, left:right], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST).astype(
        np.uint8
    )

    def dots(values: NDArray[np.float32]) -> list[int]:
        return [round(float(value)) for value in (values - np.tile([left, top], len(values) // 2)) * zoom]

    for place in found.places[found.owner == 0]:
        cv2.circle(canvas, dots(place), max(1, zoom // 8), FAINT, -1, cv2.LINE_AA)  # type: ignore[call-overload]
    middle = (found.objects[:, :2] + found.objects[:, 2:]) / 2
    central = 1 + np.abs(middle - [(left + right) / 2, (top + bottom) / 2]).sum(1).argmin()
    for number, box in enumerate(found.objects, 1):
        paint = colour(number - 1)
        cv2.rectangle(canvas, dots(box)[:2], dots(box)[2:], paint, max(1, zoom // 6))  # type: ignore[call-overload]
        mine = np.flatnonzero(found.owner == number)
        for point in mine:
            end, size = dots(found.places[point]), zoom * (0.2 + 0.45 * float(found.target[point]) ** 0.5)
            cv2.line(canvas, dots((box[:2] + box[2:]) / 2), end, paint, max(1, zoom // 10), cv2.LINE_AA)  # type: ignore[call-overload]
            cv2.circle(canvas, end, round(size), paint, -1, cv2.LINE_AA)  # type: ignore[call-overload]
        if len(mine) and number == central:  # the fields of all would hide the image
            best = mine[found.target[mine].argmax()]
            half = found.sides[best] / 2
            field = dots(np.concatenate([found.places[best] - half, found.places[best] + half]))
            cv2.rectangle(canvas, field[:2], field[2:], paint, 1, cv2.LINE_AA)
    return canvas


def row(found: Explained) -> dict[str, Any]:
    """Numbers of one assignment: points per object, objects without one, best target and sum of targets per object."""
    objects = range(1, len(found.objects) + 1)
    best = [float(found.target[found.owner == number].max(initial=0)) for number in objects]
    return {
        "rule": found.rule,
        "objects": len(best),
        "points per object": float((found.owner > 0).sum() / len(best)),
        "objects without": sum(not (found.owner == number).any() for number in objects),
        "median best target": f"{np.median(best):.2g}",
        "targets per object": f"{found.target.sum() / len(best):.2g}",
    }


def title(found: Explained) -> str:
    """The heading of a drawing."""
    facts = row(found)
    return f"{found.rule}: {facts['points per object']:.1f} points per object, median best target {facts['median best target']}"
