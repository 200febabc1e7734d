"""From images to boxes: letterbox, network, NMS, and back to the image's own pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from data.io.letterbox import Letterbox
from engine.inference.backends import Backend
from engine.inference.nms import DetectionFilter
from engine.inference.stopwatch import Stopwatch

Preprocess = Callable[[np.ndarray], np.ndarray]


class Predictor:
    """A detector as a function of images.

    imgsz: (height, width) that images are fitted into, in pixels; a network made for one size keeps its own.
    conf, iou: in [0, 1]. classes: numbers to keep, () = all. preprocess: an image (H, W, 3) uint8 blue-green-red to
    another of the same shape, before all else.

    After a call, `shapes` holds (height, width) as the network saw each image, `milliseconds` its inference time a
    image; `spent` sums seconds by stage over all calls and `seen` counts images.
    """

    def __init__(
        self,
        network: Backend,
        *,
        imgsz: tuple[int, int] = (640, 640),
        conf: float = 0.25,
        iou: float = 0.45,
        max_det: int = 1000,
        classes: Sequence[int] = (),
        agnostic: bool = False,
        preprocess: Preprocess | None = None,
    ) -> None:
        self.network, self.preprocess = network, preprocess
        self.names = network.names
        self.letterbox = Letterbox(network.size or imgsz, network.stride, rectangular=network.size is None)
        self.select = DetectionFilter(conf, iou, max_det, tuple(classes), agnostic, network.overlaps)
        self.shapes: list[tuple[int, int]] = []
        self.milliseconds = 0.0
        self.watch = Stopwatch()
        self.spent = self.watch.seconds
        self.seen = 0

    def __call__(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """images: (H, W, 3) uint8 each, blue-green-red, of any shapes.

        Returns float32 (n, 6) on the CPU for each: x1 y1 x2 y2 in its own pixels, confidence, class; by descending confidence.
        """
        before = self.spent["inference"]
        with self.watch("preprocess"):
            ready = [self.letterbox(self.preprocess(image) if self.preprocess else image) for image in images]
        self.shapes = [img.shape[:2] for img in ready]
        found = self._detect(ready)
        self.seen += len(images)
        self.milliseconds = 1000 * (self.spent["inference"] - before) / max(1, len(images))
        return [self.letterbox.back(boxes, *image.shape[:2]) for boxes, image in zip(found, images, strict=True)]

    def _detect(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """Boxes in padded pixels; images of equal shape go through the network together."""
        found: list[Tensor] = [torch.zeros(0, 6)] * len(images)
        for shape in dict.fromkeys(self.shapes):
            group = [index for index, other in enumerate(self.shapes) if other == shape]
            with self.watch("inference"):
                predictions = self.network([images[index] for index in group])
                if predictions.is_cuda:
                    torch.cuda.synchronize(predictions.device)
            with self.watch("postprocess"):
                for index, boxes in zip(group, self.select(predictions), strict=True):
                    found[index] = boxes
        return found
