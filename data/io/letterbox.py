"""From an image as files give it to what a network sees, and boxes back."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

BORDER = (114, 114, 114)  # the grey of the padding, in training too


def to_tensor(image: np.ndarray) -> Tensor:
    """BGR (H, W, 3) as files give it to RGB (3, H, W), uint8."""
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))


class Letterbox:
    """Scale an image into a size and fill up with grey, keeping its aspect; map boxes back.

    size: (height, width) to fit into; stride: with `rectangular`, padding ends at the next multiple of it.
    """

    def __init__(self, size: tuple[int, int], stride: int = 32, rectangular: bool = True) -> None:
        self.size, self.stride, self.rectangular = size, stride, rectangular

    def plan(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """((new height, new width), (top, left), (padded height, padded width)) of an image, in pixels."""
        scale = min(self.size[0] / height, self.size[1] / width)
        new = max(1, round(height * scale)), max(1, round(width * scale))
        whole = tuple(-(-side // self.stride) * self.stride for side in new) if self.rectangular else self.size
        return new, ((whole[0] - new[0]) // 2, (whole[1] - new[1]) // 2), (whole[0], whole[1])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """image: (H, W, 3) uint8. Returns the padded image: the same one where nothing is to do."""
        (height, width), (top, left), whole = self.plan(*image.shape[:2])
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        bottom, right = whole[0] - height - top, whole[1] - width - left
        if image.shape[:2] == whole:
            return image
        return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=BORDER)

    def back(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """boxes: (n, 6) x1 y1 x2 y2 in padded pixels, ... Returns them in pixels of the (height, width) image."""
        (new_height, new_width), (top, left), _ = self.plan(height, width)
        boxes = boxes.clone()
        boxes[:, 0:4:2] = ((boxes[:, 0:4:2] - left) * (width / new_width)).clamp(0, width)
        boxes[:, 1:4:2] = ((boxes[:, 1:4:2] - top) * (height / new_height)).clamp(0, height)
        return boxes
