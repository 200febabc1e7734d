"""RichSem's teacher at work: what a CLIP's image side makes of the objects in an image.

roi   the whole image through the trunk, then ROIAlign and the attention pool for each box: CLIPs with a ResNet, as published
crop  each box cut out, scaled to the model's own size and encoded by itself: any CLIP
They agree on a box that is a whole image of the model's own size. Source: specification 2.2 and 4.3.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from models.normalize import CLIP, IMAGENET

BORDER = IMAGENET.mean  # the detector's mean colour: the published border is 0 in its units
STRIDE = 32  # px per cell of the trunk
LONGEST = 1333 / 800  # longer side, as a multiple of --short
CHUNK = 64  # crops that are encoded together


def is_cnn(visual: Any) -> bool:
    """Whether a CLIP's image side is a ResNet with an attention pool, as mode `roi` needs."""
    return all(hasattr(visual, part) for part in ("stem", "layer1", "layer2", "layer3", "layer4", "attnpool"))


def fitted_size(height: int, width: int, short: int) -> tuple[int, int]:
    """Size of an image once its shorter side is `short` px and its longer one at most 1333/800 of that.

    >>> fitted_size(480, 640, 800), fitted_size(100, 1000, 800)
    ((800, 1067), (133, 1333))
    """
    scale = min(short / min(height, width), short * LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fitted(image: Tensor, short: int) -> tuple[Tensor, tuple[int, int]]:
    """An image (3, H, W) RGB in [0, 1] scaled and normalised, in a border up to whole cells: (1, 3, h, w), and its size.

    The size, (height, width) px, is without the border.
    """
    size = fitted_size(image.shape[1], image.shape[2], short)
    height, width = (-(-side // STRIDE) * STRIDE for side in size)
    canvas = image.new_tensor(BORDER).view(1, 3, 1, 1).repeat(1, 1, height, width)
    canvas[..., : size[0], : size[1]] = resized(image, size)
    return CLIP(canvas), size


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H, W) to (1, 3, *size), smoothed where it shrinks."""
    return F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)


def roi_embeddings(visual: Any, image: Tensor, boxes: Tensor) -> Tensor:
    """Embeddings (N, D), of any length, of boxes (N, 4) x1 y1 x2 y2 px in a normalised image (1, 3, h, w)."""
    features = visual.stem(image)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        features = layer(features)
    side = isqrt(len(visual.attnpool.positional_embedding) - 1)  # 7 for images of 224 px
    regions = roi_align(features, [boxes.to(features)], side, 1 / STRIDE, 0, aligned=True)  # (N, C, side, side)
    return visual.attnpool(regions)


def crops(image: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Boxes (N, 4) px cut out of an image (3, H, W) RGB in [0, 1], without enlargement: (N, 3, side, side), normalised.

    Edges are rounded outwards; a box outside the image becomes its nearest pixel.
    """
    height, width = image.shape[1:]
    cut = []
    for x1, y1, x2, y2 in boxes.tolist():
        left, top = min(max(int(x1 + 1e-3), 0), width - 1), min(max(int(y1 + 1e-3), 0), height - 1)
        right, bottom = (max(-int(-(end - 1e-3) // 1), start + 1) for end, start in ((x2, left), (y2, top)))
        cut.append(resized(image[:, top : min(bottom, height), left : min(right, width)], (side, side)))
    return CLIP(torch.cat(cut)) if cut else image.new_zeros(0, 3, side, side)


def crop_embeddings(model: Any, images: Tensor) -> Tensor:
    """Embeddings (N, D), of any length, of normalised crops (N, 3, S, S), N > 0; some at a time."""
    return torch.cat([model.encode_image(part) for part in images.split(CHUNK)])


def text_embedding(model: Any, tokens: Tensor) -> Tensor:
    """The mean (D,) of the embeddings of a class's prompts, tokens (P, context), not normalised: as published."""
    return model.encode_text(tokens).float().mean(0)
