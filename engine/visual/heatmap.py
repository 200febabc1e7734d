"""The crux map of a detector with LCP's rows, painted over images: which regions it pushes (`--show-crux`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from data.io.images import read_image
from data.io.letterbox import Letterbox, to_tensor
from engine.results import ImageResult
from models.crux import CruxSplit, find_split
from utils.draw import confident_boxes, draw_boxes, enlarge_small, paint_heat
from utils.errors import UserError
from utils.plots import plot_images

Image = NDArray[np.uint8]
SHOWN = 16  # images on a sheet


@dataclass(frozen=True)
class CruxView:
    """Paints the crux map of a model over images, in the images' own pixels.

    letterbox, preprocess: how an image becomes what the network sees; the map is of that, without the padding.
    """

    split: CruxSplit
    letterbox: Letterbox
    preprocess: Callable[[np.ndarray], np.ndarray] | None = None

    @torch.inference_mode()
    def map_of(self, image: Image) -> NDArray[np.float32]:
        """image (H, W, 3) uint8, blue-green-red -> its map (H, W) in [0, 1]."""
        height, width = image.shape[:2]
        seen = self.letterbox(self.preprocess(image) if self.preprocess else image)
        pixels = to_tensor(seen)[None]  # (1, 3, H', W') RGB
        like = next(self.split.parameters())
        mask = self.split.mask_of(pixels.to(like.device, like.dtype) / 255)[0, 0].float().cpu().numpy()
        (new_height, new_width), (top, left), _ = self.letterbox.plan(height, width)
        inner = mask[top : top + new_height, left : left + new_width]
        return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    def __call__(self, image: Image) -> Image:
        """A new image: `image` (H, W, 3) uint8, blue-green-red, below the colours of its map."""
        return paint_heat(image, self.map_of(image))


def split_of(model: Any) -> CruxSplit:
    """The row that makes the map. Raises UserError for a model without."""
    split = find_split(model)
    if split is None:
        raise UserError(
            "--show-crux: this detector has no crux rows, so there is no map to show. Train one that has: "
            "python train.py --cfg models/yolov8n-crux.yaml --method lcp."
        )
    return split


def view_of(detector: Any) -> CruxView:
    """The view for a detector of the detection loop. Raises UserError where it has no map for a whole image."""
    if hasattr(detector, "tiling"):
        raise UserError("--show-crux: every tile of --slice has a map of its own. Leave one of the two options out.")
    model = getattr(getattr(detector, "network", None), "model", None)
    if model is None:
        raise UserError(
            "--show-crux: an exported network does not give its map away. Name the PyTorch checkpoint (.pt or "
            ".safetensors) with --weights."
        )
    return CruxView(split_of(model), detector.letterbox, detector.preprocess)


def view_at(model: Any, imgsz: int) -> CruxView:
    """The view for a model that sees images fitted into imgsz px. Raises UserError for one without crux rows."""
    return CruxView(split_of(model), Letterbox((imgsz, imgsz), int(max(model.stride))))


class CruxSheet:
    """A contact sheet of a validation: the first images below their crux maps, with what was detected."""

    def __init__(self, target: Path, view: CruxView, names: Mapping[int, str]) -> None:
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
    """Write a PNG of up to 16 of the images, evenly spaced, each above its painted map; nothing without crux rows.

    model: a detector in any mode, on any device, left as it is. imgsz: px, what the network fits images into.
    """
    if find_split(model) is None or not images:
        return
    view = view_at(model, imgsz)
    chosen = np.unique(np.linspace(0, len(images) - 1, SHOWN).round().astype(int))
    plot_images([_cell(view, images[index]) for index in chosen], target)


def _cell(view: CruxView, file: Path) -> tuple[str, Image]:
    """Title and image (2H, W, 3) RGB: as it is, and below it painted."""
    image = read_image(file)
    heat = view.map_of(image)
    return _title(file, heat), np.concatenate([image, paint_heat(image, heat)])[..., ::-1]


def _title(file: Path, heat: NDArray[np.float32]) -> str:
    """What colours alone do not tell: a map without contrast."""
    return f"{file.name[:40]}: mean {heat.mean():.2f}, spread {heat.std():.2f}"
