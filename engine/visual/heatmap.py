"""The map of a detector's layer, painted over images (`--show-map`): which regions LCP pushes, for instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data.io.images import read_image
from data.io.letterbox import Letterbox, to_tensor
from engine.results import ImageResult
from models.graph import heat_map, mapped_layer
from utils.draw import confident_boxes, draw_boxes, enlarge_small, paint_heat
from utils.errors import UserError
from utils.plots import plot_images

Image = NDArray[np.uint8]
SHOWN = 16  # images on a sheet


@dataclass(frozen=True)
class MapView:
    """Paints the map of a model's layer over images, in the images' own pixels.

    heat: images (B, 3, H, W) in [0, 1] to maps (B, 1, h, w); like: a tensor on its device, of its type.
    letterbox, preprocess: how an image becomes what the network sees; the map is of that, without the padding.
    """

    heat: Callable[[Tensor], Tensor]
    like: Tensor
    letterbox: Letterbox
    preprocess: Callable[[np.ndarray], np.ndarray] | None = None

    @torch.inference_mode()
    def map_of(self, image: Image) -> NDArray[np.float32]:
        """image (H, W, 3) uint8, blue-green-red -> its map (H, W) in [0, 1]."""
        height, width = image.shape[:2]
        pixels = to_tensor(self.letterbox(self.preprocess(image) if self.preprocess else image))[None]  # (1, 3, H', W')
        heat = self.heat(pixels.to(self.like.device, self.like.dtype) / 255).float()
        if heat.shape[2:] != pixels.shape[2:]:
            heat = functional.interpolate(heat, pixels.shape[2:], mode="bilinear", align_corners=False)
        (new_height, new_width), (top, left), _ = self.letterbox.plan(height, width)
        inner = heat[0, 0, top : top + new_height, left : left + new_width].cpu().numpy()
        return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    def __call__(self, image: Image) -> Image:
        """A new image: `image` (H, W, 3) uint8, blue-green-red, below the colours of its map."""
        return paint_heat(image, self.map_of(image))


def view(model: Any, letterbox: Letterbox, preprocess: Callable[[np.ndarray], np.ndarray] | None = None) -> MapView:
    """The view of a model. Raises UserError for one without a layer that has a map."""
    if mapped_layer(model) is None:
        raise UserError(
            "--show-map: no layer of this detector has a map to show. Train a model with such a layer, for "
            "instance --cfg models/yolov8n-crux.yaml."
        )
    return MapView(partial(heat_map, model), next(model.parameters()), letterbox, preprocess)


def view_of(detector: Any) -> MapView:
    """The view for a detector of the detection loop. Raises UserError where it has no map for a whole image."""
    if hasattr(detector, "tiling"):
        raise UserError("--show-map: every tile of --slice has a map of its own. Leave one of the two options out.")
    model = getattr(getattr(detector, "network", None), "model", None)
    if model is None:
        raise UserError(
            "--show-map: an exported network does not expose its map. Name the PyTorch checkpoint (.pt or "
            ".safetensors) with --weights."
        )
    return view(model, detector.letterbox, detector.preprocess)


def view_at(model: Any, imgsz: int) -> MapView:
    """The view for a model that sees images fitted into imgsz px. Raises UserError for one without a map."""
    return view(model, Letterbox((imgsz, imgsz), int(max(model.stride))))


class MapSheet:
    """A contact sheet of a validation: the first images below their maps, with what was detected."""

    def __init__(self, target: Path, view: MapView, names: Mapping[int, str]) -> None:
        self.target, self.view, self.names = target, view, names
        self.cells: list[tuple[str, np.ndarray]] = []

    def __call__(self, result: ImageResult) -> None:
        """Draw one image, as long as there is room."""
        if len(self.cells) >= SHOWN:
            return
        image = read_image(Path(result.file))
        heat = self.view.map_of(image)
        painted, scale = enlarge_small(paint_heat(image, heat))
        drawn = draw_boxes(painted, confident_boxes(scale * result.boxes, result.scores, result.classes), self.names)
        self.cells.append((_title(Path(result.file), heat), drawn[..., ::-1]))

    def close(self) -> None:
        """Write the sheet."""
        plot_images(self.cells, self.target)


def save_mosaic(model: Any, images: Sequence[Path], target: Path, imgsz: int = 640) -> None:
    """Write a PNG of up to 16 of the images, evenly spaced, each above its painted map; nothing without a map.

    model: a detector in any mode, on any device, left as it is. imgsz: px, what the network fits images into.
    """
    if mapped_layer(model) is None or not images:
        return
    painted = view_at(model, imgsz)
    chosen = np.unique(np.linspace(0, len(images) - 1, SHOWN).round().astype(int))
    plot_images([_cell(painted, images[index]) for index in chosen], target)


def _cell(view: MapView, file: Path) -> tuple[str, Image]:
    """Title and image (2H, W, 3) RGB: as it is, and below it painted."""
    image = read_image(file)
    heat = view.map_of(image)
    return _title(file, heat), np.concatenate([image, paint_heat(image, heat)])[..., ::-1]


def _title(file: Path, heat: NDArray[np.float32]) -> str:
    """What colours alone do not tell: a map without contrast."""
    return f"{file.name[:40]}: mean {heat.mean():.2f}, spread {heat.std():.2f}"
