"""Which feature points train which object of one image: by Ultralytics' assigner, RFLA's hybrid and RFLA as published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.speed.assigner import GAINS, assigner_inputs
from data.config import load_data
from data.detection.dataset import ViewDataset, build_dataset
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_detector
from engine.training.module import TrainingModel
from methods.base import Batch, Detector
from methods.options.rfla import RFLAOptions
from methods.registry import create
from methods.rfla_assigner import MODES, Assignment, RFLAssigner
from models.detector import build
from models.graph import evaluating
from utils.draw import colour
from utils.errors import UserError
from utils.options import option
from utils.plots import plot_images
from utils.tables import text_table

Image = NDArray[np.uint8]
GREY = (150, 150, 150)  # of points without an object


@dataclass(frozen=True)
class AssignmentOptions:
    """Which image and detector are drawn, and where the drawing goes."""

    data: str = option("demo-tiny", "data YAML, or the name of one in data/")
    split: str = option("train", "split of the image")
    image: str = option("", "file name of the image", shown="the one with the most objects")
    cfg: str = option("yolov8n", "model YAML, freshly initialised as at the start of training")
    weights: Path | None = option(None, "trained checkpoint, instead of --cfg")
    imgsz: int = option(160, "training image size (longer side), px", low=32, aliases=("img",))
    rf: str = option("", "effective receptive fields by stride, px, such as 8:45.5,16:133.5", shown="traced")
    window: int = option(64, "size of the crop, px, around the densest objects; 0: whole image", low=0)
    zoom: int = option(10, "output pixels per image pixel", low=1, high=40)
    out: Path = option(Path("docs/images/assignment.png"), "output image")


@dataclass(frozen=True)
class RuleAssignment:
    """One rule's assignment of one image. objects (n, 4) px; centres (A, 2) and sides (A,) of the points' receptive
    fields, px; owner (A,) 1-based object or 0; target (A,) class target."""

    rule: str
    objects: NDArray[np.float32]
    centres: NDArray[np.float32]
    sides: NDArray[np.float32]
    owner: NDArray[np.int64]
    target: NDArray[np.float32]


def draw_assignment(options: AssignmentOptions) -> None:
    """Write the drawing and print its numbers. Raises UserError for missing data, images or detectors."""
    config = load_data(options.data, make_demo=make_synthetic, need=[options.split])
    torch.manual_seed(0)
    detector = load_detector(options.weights)[0] if options.weights else build(options.cfg, config.names)
    dataset = build_dataset(config, options.split, imgsz=options.imgsz, stride=int(max(detector.stride)))
    batch = ViewDataset.collate_fn([dataset[_chosen(dataset, options.image)]])
    if not len(batch["bboxes"]):
        raise UserError(f"--image {options.image}: has no object. Choose one that has.")
    image = np.ascontiguousarray(batch["img"][0].permute(1, 2, 0).numpy())
    batch["img"] = batch["img"].float() / 255
    made = assignments(detector, batch, RFLAOptions(rf=options.rf))
    part = densest(made[0].objects, image.shape[:2], options.window)
    cells = [(title(each), draw(image, each, part, options.zoom)) for each in made]
    plot_images(cells, options.out, across=len(cells))
    print(text_table([row(each) for each in made]))
    print(f"{options.out}: a line joins a point to its object; the larger the dot, the higher the class target")


def assignments(detector: Detector, batch: Batch, options: RFLAOptions) -> list[RuleAssignment]:
    """What Ultralytics' assigner and each mode of RFLA assign on the first image of a batch, in the same forward."""
    model = TrainingModel(detector, create("rfla", {RFLAOptions: options}), GAINS)
    model.build_criterion()
    with evaluating(model):
        inputs = assigner_inputs(model, batch)
    rfla: RFLAssigner = model.criterion.branches[0].assigner
    rules = {"Ultralytics": rfla.tal} | {
        mode: RFLAssigner(mode=mode, fields=rfla.fields, tal=rfla.tal) for mode in MODES
    }
    points = rfla._points(inputs[2])
    return [_assignment(name, Assignment(*rule(*inputs)), inputs[4], points) for name, rule in rules.items()]


def _assignment(name: str, assigned: Assignment, objects: Tensor, points: Any) -> RuleAssignment:
    owner = torch.where(assigned.positive.bool(), assigned.owners.long() + 1, 0)[0]
    arrays = (objects[0], points.places, points.sides, owner, assigned.scores[0].sum(-1))
    return RuleAssignment(name, *(array.cpu().numpy() for array in arrays))


def _chosen(dataset: ViewDataset, name: str) -> int:
    """Index of the image with this name or stem, or of the one with the most objects."""
    if not name:
        return int(np.argmax([len(label.boxes) for label in dataset.source]))
    files = [label.image for label in dataset.source]
    found = next((index for index, file in enumerate(files) if name in {file.name, file.stem}), None)
    if found is None:
        raise UserError(f"--image {name}: this split has no image of that name; it has, for one, {files[0].name}.")
    return found


def densest(objects: NDArray[np.float32], shape: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) px of the window of `side` px that contains the most centres of objects (n, 4)."""
    height, width = shape
    side = min(side or max(shape), height, width)
    middle = (objects[:, :2] + objects[:, 2:]) / 2
    corners = np.clip(np.round(middle - side / 2), 0, [width - side, height - side]).astype(int)  # (n, 2)
    inside = (middle[None] >= corners[:, None]) & (middle[None] < corners[:, None] + side)
    left, top = corners[inside.all(2).sum(1).argmax()]
    return int(left), int(top), int(left) + side, int(top) + side


def draw(image: Image, assignment: RuleAssignment, part: tuple[int, int, int, int], zoom: int) -> Image:
    """A part of the image (H, W, 3) RGB, enlarged: objects, points, and one field (that of the central object)."""
    left, top, right, bottom = part
    canvas: Any = np.kron(image[top:bottom, left:right], np.ones((zoom, zoom, 1), np.uint8))

    def dots(values: NDArray[np.float32]) -> list[int]:
        return [round(float(value)) for value in (values - np.tile([left, top], len(values) // 2)) * zoom]

    for centre in assignment.centres[assignment.owner == 0]:
        cv2.circle(canvas, dots(centre), max(1, zoom // 8), GREY, -1, cv2.LINE_AA)
    middle = (assignment.objects[:, :2] + assignment.objects[:, 2:]) / 2
    central = 1 + np.abs(middle - [(left + right) / 2, (top + bottom) / 2]).sum(1).argmin()
    for number, box in enumerate(assignment.objects, 1):
        paint = colour(number - 1)
        cv2.rectangle(canvas, dots(box)[:2], dots(box)[2:], paint, max(1, zoom // 6))
        points = np.flatnonzero(assignment.owner == number)
        for point in points:
            end, size = dots(assignment.centres[point]), zoom * (0.2 + 0.45 * float(assignment.target[point]) ** 0.5)
            cv2.line(canvas, dots((box[:2] + box[2:]) / 2), end, paint, max(1, zoom // 10), cv2.LINE_AA)
            cv2.circle(canvas, end, round(size), paint, -1, cv2.LINE_AA)
        if len(points) and number == central:  # all fields would hide the image
            best = points[assignment.target[points].argmax()]
            half = assignment.sides[best] / 2
            field = dots(np.concatenate([assignment.centres[best] - half, assignment.centres[best] + half]))
            cv2.rectangle(canvas, field[:2], field[2:], paint, 1, cv2.LINE_AA)
    return canvas


def row(assignment: RuleAssignment) -> dict[str, Any]:
    """Numbers of one assignment: points per object, objects without one, best target and sum of targets per object."""
    objects = range(1, len(assignment.objects) + 1)
    best = [float(assignment.target[assignment.owner == number].max(initial=0)) for number in objects]
    return {
        "rule": assignment.rule,
        "objects": len(best),
        "points per object": float((assignment.owner > 0).sum() / len(best)),
        "objects without": sum(not (assignment.owner == number).any() for number in objects),
        "median best target": f"{np.median(best):.2g}",
        "targets per object": f"{assignment.target.sum() / len(best):.2g}",
    }


def title(assignment: RuleAssignment) -> str:
    """The heading of a drawing."""
    facts = row(assignment)
    points, best = facts["points per object"], facts["median best target"]
    return f"{assignment.rule}: {points:.1f} points per object, median best target {best}"
