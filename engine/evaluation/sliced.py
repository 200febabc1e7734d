"""Sliced evaluation of large images: tiles go through the network, and their boxes are merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.io.images import read_image
from data.io.labels import Label
from engine.evaluation.predictions import ImagePrediction, TimedDetector
from engine.evaluation.settings import EvalSettings, Slicing
from utils.dataloader import workers_that_fit
from utils.progress import progress as show_progress
from utils.tiles import merge_tiles, tile_windows
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.data.augment import LetterBox  # noqa: E402
from ultralytics.utils import ops  # noqa: E402


@dataclass(frozen=True)
class Tiles:
    """One image ready for the network: images (k, 3, h, w) uint8, and the part of the image that each shows.

    windows: (k, 4) x1 y1 x2 y2 px; ratio_pad: from a tile's pixels to the network's, as in `ImagePrediction`.
    """

    images: Tensor
    windows: np.ndarray
    ratio_pad: Any


class TiledImages(Dataset[Tiles | None]):
    """The images of a data set as tiles; one that is no larger than a tile is the data set's own item."""

    def __init__(self, dataset: Any, slicing: Slicing) -> None:
        self.dataset, self.slicing = dataset, slicing
        known = {str(label.image): label for label in dataset.source}
        self.labels: list[Label] = [known[file] for file in dataset.im_files]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Tiles | None:
        """The tiles of an image; None where it is damaged."""
        found: Tiles | None = self.dataset.damaged.or_none(index, self._tiles)
        return found

    def _tiles(self, index: int) -> Tiles | None:
        label = self.labels[index]
        windows = tile_windows(*label.shape, self.slicing.size, self.slicing.overlap)
        if len(windows) == 1:
            item = self.dataset[index]
            return item and Tiles(item["img"][None], windows, item["ratio_pad"])
        image = read_image(label.image)
        tiles = [image[y1:y2, x1:x2] for x1, y1, x2, y2 in windows]  # (h, w, 3) BGR, of one shape
        fit = LetterBox(self.slicing.imgsz, auto=True, stride=self.slicing.stride)
        plan = fit.get_params({"img": tiles[0]})
        height, width = tiles[0].shape[:2]
        gains = plan["new_unpad"][1] / height, plan["new_unpad"][0] / width
        images = np.stack([fit(image=tile) for tile in tiles])[..., ::-1].transpose(0, 3, 1, 2)  # (k, 3, H, W) RGB
        return Tiles(torch.from_numpy(np.ascontiguousarray(images)), windows, (gains, (plan["left"], plan["top"])))


def sliced_images(
    detector: TimedDetector, dataset: Any, slicing: Slicing, progress: str = ""
) -> Iterator[ImagePrediction]:
    """Each image of the data set through its tiles, a batch of tiles at a time, compared in the image's own pixels.

    progress: what a progress line calls the images; empty for none.
    """
    settings, tiled = detector.settings, TiledImages(dataset, slicing)
    loader: DataLoader[Any] = DataLoader(tiled, batch_size=None, num_workers=workers_that_fit(settings.workers, tiled))
    images = show_progress(loader, len(tiled), progress) if progress else loader
    for label, tiles in zip(tiled.labels, images, strict=True):
        if tiles is None:
            continue
        found = [boxes for part in tiles.images.split(settings.batch_size) for boxes in detector(part)]
        with detector.watch("postprocess"):
            merged = joined(found, tiles, label.shape, slicing, settings)
        height, width = label.shape
        scale = torch.tensor((width, height, width, height), device=merged.device)
        boxes = ops.xywh2xyxy(torch.as_tensor(label.boxes, device=merged.device)) * scale  # (m, 4)
        classes = torch.as_tensor(label.classes[:, 0], device=merged.device)
        yield ImagePrediction(str(label.image), label.shape, merged, boxes, classes)


def joined(
    found: list[Tensor], tiles: Tiles, shape: tuple[int, int], slicing: Slicing, settings: EvalSettings
) -> Tensor:
    """Detections (k, 6) of each tile, in network pixels -> (n, 6) of the image (height, width), in its own."""
    (gain_y, gain_x), (pad_x, pad_y) = tiles.ratio_pad
    offset = torch.tensor((pad_x, pad_y, pad_x, pad_y), device=found[0].device)
    gain = torch.tensor((gain_x, gain_y, gain_x, gain_y), device=found[0].device)
    unpadded = [torch.cat(((boxes[:, :4] - offset) / gain, boxes[:, 4:]), 1) for boxes in found]
    if len(unpadded) == 1:  # not clipped, as the usual evaluation does not clip
        return unpadded[0]
    width, height = (int(side) for side in tiles.windows[0, 2:] - tiles.windows[0, :2])
    clipped = [ops.clip_boxes(boxes, (height, width)) for boxes in unpadded]
    options: dict[str, Any] = {"max_det": settings.max_det, "agnostic": settings.single_cls}
    return merge_tiles(clipped, tiles.windows, shape, how=slicing.merge, **options)
