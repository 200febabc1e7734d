"""What happens to an image that is classified: crops and flips drawn from a seed, the centre at test, colour by batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import functional

Image = NDArray[np.uint8]
MARGIN = 8 / 7  # at test the shorter side is this many times the side that is cut out: 256 to 224 px, as is usual
ASPECTS = (3 / 4, 4 / 3)  # width over height of a crop
TRIES = 10


class Crop(NamedTuple):
    """A drawn part of an image, in px, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool = False

    def __call__(self, image: Image, side: int) -> Image:
        """The part of (H, W, C), scaled to (side, side, C)."""
        part = image[self.top : self.top + self.height, self.left : self.left + self.width]
        return _scaled(part[:, ::-1] if self.mirrored else part, (side, side))


def draw_crop(entropy: Sequence[int], height: int, width: int, least: float) -> Crop:
    """A crop of a fraction of the image between `least` and 1, of another aspect, mirrored half of the time.

    It depends on the entropy alone: whole numbers >= 0. An image so narrow that no crop fits keeps its middle.
    Source: Szegedy et al., Going Deeper with Convolutions (CVPR 2015), section 6.
    """
    rng = np.random.default_rng(list(entropy))
    mirrored = bool(rng.random() < 0.5)
    for _ in range(TRIES):
        area = height * width * rng.uniform(least, 1)
        aspect = math.exp(rng.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
        h, w = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < h <= height and 0 < w <= width:
            return Crop(int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w, mirrored)
    side = min(height, width)
    return Crop((height - side) // 2, (width - side) // 2, side, side, mirrored)


def centre(image: Image, side: int) -> Image:
    """The middle (side, side, C) of an image whose shorter side is scaled to 8/7 of that."""
    height, width = image.shape[:2]
    scale = round(side * MARGIN) / min(height, width)
    scaled = _scaled(image, (max(round(height * scale), side), max(round(width * scale), side)))
    top, left = (scaled.shape[0] - side) // 2, (scaled.shape[1] - side) // 2
    return scaled[top : top + side, left : left + side]


def _scaled(image: Image, shape: tuple[int, int]) -> Image:
    """To (height, width) px: averaged when it shrinks, linear when it grows."""
    if image.shape[:2] == shape:
        return image
    how = cv2.INTER_AREA if shape[0] < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), shape[::-1], interpolation=how).astype(np.uint8, copy=False)


def draw_hole(entropy: Sequence[int], side: int, probability: float) -> tuple[slice, slice]:
    """Rows and columns of a square image of `side` px to blacken; empty with probability 1 - `probability`.

    2 to 33 % of the image, its height 0.3 to 3.3 times its width. Source: Zhong et al., Random Erasing (AAAI 2020), with
    the numbers of torchvision's RandomErasing. All depends on the entropy alone.
    """
    rng = np.random.default_rng(list(entropy))
    wanted = rng.uniform() < probability
    for _ in range(TRIES if wanted else 0):
        area = side * side * rng.uniform(0.02, 0.33)
        ratio = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
        height, width = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < height < side and 0 < width < side:
            top, left = (int(rng.integers(side - extent + 1)) for extent in (height, width))
            return slice(top, top + height), slice(left, left + width)
    return slice(0, 0), slice(0, 0)


def jittered(images: Tensor, entropy: Sequence[int], strength: float = 0.4, hue: float = 0.4) -> Tensor:
    """One change of brightness, contrast, saturation and hue for the whole batch (B, 3, H, W) of RGB in [0, 1].

    The first three are multiplied by a number in [1 - strength, 1 + strength], the hue is turned by up to `hue` of
    half a circle each way; in which order is drawn too. All depends on the entropy alone.
    """
    rng = np.random.default_rng(list(entropy))
    factors = [float(factor) for factor in rng.uniform(1 - strength, 1 + strength, 3)]
    turn = float(rng.uniform(-hue, hue))
    changes = [
        *zip((functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation), factors,
             strict=True),
        (functional.adjust_hue, turn),
    ]  # fmt: skip
    for number in rng.permutation(len(changes)):
        change, amount = changes[number]
        if amount != (0.0 if change is functional.adjust_hue else 1.0):
            images = change(images, amount)
    return images
