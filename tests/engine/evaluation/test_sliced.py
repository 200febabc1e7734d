"""Measuring through tiles: a stub that finds what it sees, real aerial images, and an image no larger than a tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.config import load_data
from data.detection.dataset import build_dataset
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.settings import EvalSettings, Slicing
from engine.evaluation.sliced import TiledImages
from engine.results import Report
from models.detector import build


class Painted(nn.Module):
    """Finds rectangles that do not touch by their colour: green are cats, yellow are dogs."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names, self.model = names, nn.ModuleList([nn.Identity()])
        self.batches: list[int] = []

    def forward(self, images: Tensor, augment: bool = False) -> tuple[Tensor, None]:
        """(B, 3, H, W) in [0, 1] -> (B, 4 + classes, 50): centre boxes in network pixels, then scores."""
        self.batches.append(len(images))
        out = torch.zeros(len(images), 4 + len(self.names), 50)
        for image, (red, green, blue) in zip(out, images.numpy(), strict=True):
            solid = ((green > 0.5) & (blue < 0.2)).astype(np.uint8)  # not the grey of the padding
            _, marks, stats, _ = cv2.connectedComponentsWithStats(solid)
            for place, (left, top, width, height, _) in enumerate(stats[1:].tolist()):
                box = (left + width / 2, top + height / 2, width, height)
                image[:4, place] = torch.tensor(box)
                image[4 + int(red[marks == place + 1].max() > 0.5), place] = 0.9
        return out, None


def paint(path: Path, shape: tuple[int, int], boxes: list[tuple[int, int, int, int, int]]) -> None:
    """A black image with rectangles (class, x1, y1, x2, y2), and its label file."""
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    lines = []
    for kind, x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = (0, 255, 255 * kind)  # blue, green, red
        sides = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        lines.append(f"{kind} " + " ".join(f"{side:.8f}" for side in sides))
    label = Path(str(path).replace("images", "labels")).with_suffix(".txt")
    for file in (path, label):
        file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    label.write_text("\n".join(lines))


@pytest.fixture
def painted(tmp_path: Path) -> Any:
    """Three images of different sizes: wide, tall, and one no larger than a tile of 64."""
    folder = tmp_path / "images" / "val"
    paint(folder / "a.png", (100, 230), [(0, 10, 10, 18, 18), (1, 50, 40, 62, 50), (0, 200, 80, 220, 95)])
    paint(folder / "b.png", (150, 90), [(1, 58, 58, 70, 68), (1, 0, 140, 12, 150)])  # the first is cut by tiles
    paint(folder / "c.png", (40, 64), [(0, 20, 20, 30, 28)])
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/val\nval: images/val\nnames: {0: cat, 1: dog}\n")
    config = load_data(tmp_path / "data.yaml")
    return config, lambda imgsz: build_dataset(config, "val", imgsz=imgsz, batch_size=2, stride=32)


def measure(model: Any, dataset: Any, slicing: Slicing | None, *listeners: Any, **options: Any) -> Report:
    settings = EvalSettings(batch_size=2, progress=False, slicing=slicing, **options)
    return evaluate_detector(model, dataset, settings, device="cpu", listeners=listeners)


@pytest.mark.parametrize("merge", ["nmm", "nms"])
@pytest.mark.parametrize(("size", "imgsz"), [(64, 64), (64, 128), (96, 96)])
def test_every_object_is_found_once_in_its_own_pixels(painted, merge, size, imgsz):
    """A detector that sees only what is painted is right at every level, through tiles scaled one to one and doubled."""
    config, dataset_of = painted
    dataset = dataset_of(imgsz)
    seen: list[Any] = []
    model = Painted(config.names)
    report = measure(model, dataset, Slicing(size, 0.3, merge, imgsz), seen.append, protocol="coco")
    assert report.metrics["AP"] == pytest.approx(1.0)
    assert (report.images, report.instances) == (3, 6)
    for result in seen:
        assert sorted(result.boxes.round().tolist()) == sorted(result.targets.round().tolist())
    assert max(len(found.scores) for found in seen) == 3
    assert max(model.batches) == 2


def test_tiles_cover_images_of_any_size(painted):
    """100 x 230 in tiles of 64 that share 20 % (13 px, steps of 51): 2 rows and 5 columns."""
    dataset = painted[1](64)
    tiled = TiledImages(dataset, Slicing(64, 0.2, imgsz=64))
    counts = {label.image.name: tiled[place] for place, label in enumerate(tiled.labels)}
    assert len(counts["a.png"].windows) == 10 and counts["a.png"].images.shape == (10, 3, 64, 64)
    assert len(counts["c.png"].windows) == 1
    for tiles in counts.values():
        assert len(tiles.images) == len(tiles.windows) and tiles.images.dtype == torch.uint8


def test_a_tile_larger_than_the_images_changes_nothing(painted):
    """The same network sees the same pixels; a batch of one may round otherwise than a batch of two."""
    config, dataset_of = painted
    dataset = dataset_of(64)
    torch.manual_seed(0)
    model = build("yolov5n.yaml", config.names)
    usual, tiled = (measure(model, dataset, slicing, conf=1e-6) for slicing in (None, Slicing(1000, imgsz=64)))
    assert tiled.metrics == pytest.approx(usual.metrics, abs=1e-6)
    for one, other in zip(usual.per_image, tiled.per_image, strict=True):
        assert one.file == other.file and one.conf == pytest.approx(other.conf, abs=1e-6)
        assert (one.target_cls == other.target_cls).all()


class Knowing(nn.Module):
    """Finds the labels in each tile, cut at its border, in the order in which the tiles come."""

    def __init__(self, names: dict[int, str], dataset: Any, slicing: Slicing) -> None:
        super().__init__()
        self.names, self.model = names, nn.ModuleList([nn.Identity()])
        tiled = TiledImages(dataset, slicing)
        self.waiting = [
            (label, window)
            for label, tiles in zip(tiled.labels, map(tiled.__getitem__, range(len(tiled))), strict=True)
            for window in tiles.windows
        ]

    def forward(self, images: Tensor, augment: bool = False) -> tuple[Tensor, None]:
        """(B, 3, S, S) -> (B, 5, n), tiles one to one."""
        out = torch.zeros(len(images), 4 + len(self.names), 400)
        for image in out:
            label, window = self.waiting.pop(0)
            height, width = label.shape
            centre, sides = np.split(label.boxes * [width, height, width, height], 2, axis=1)
            low = np.maximum(centre - sides / 2, window[:2]) - window[:2]
            high = np.minimum(centre + sides / 2, window[2:]) - window[:2]
            inside = ((high - low) > 1).all(1)
            boxes = np.concatenate(((low + high) / 2, high - low), 1)[inside]  # (k, 4)
            image[:4, : len(boxes)] = torch.as_tensor(boxes.T, dtype=torch.float32)
            image[4, : len(boxes)] = 0.9
        return out, None


@pytest.mark.parametrize("merge", ["nmm", "nms"])
def test_real_aerial_images(shared, merge):
    """377 tree crowns in three images of 400 to 1249 px; the detector knows them, tile by tile, cut as tiles cut."""
    config = load_data(shared / "data" / "deepforest" / "data.yaml")
    dataset = build_dataset(config, "val", imgsz=320, batch_size=1, stride=32)
    slicing = Slicing(320, 0.3, merge, imgsz=320)
    found: list[Any] = []
    report = measure(Knowing(config.names, dataset, slicing), dataset, slicing, found.append, iou=0.95)
    assert report.instances == 377
    assert report.metrics["mAP50"] > 0.97
    assert sum(len(result.scores) for result in found) == pytest.approx(377, rel=0.03)
