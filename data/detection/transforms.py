"""What happens to a training image: geometry on all its views at once, then colour and format of each.

The stock transforms do the work; the classes here let what belongs to an object or an image travel with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from data.detection.federated_views import MixUpVerified, MosaicVerified
from data.detection.options import AugmentOptions
from data.soft_labels.columns import AffineShares, MosaicShares, TakeRows
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.data.augment import (  # noqa: E402
    Compose,
    Format,
    MixUp,
    Mosaic,
    RandomFlip,
    RandomHSV,
    RandomPerspective,
)

if TYPE_CHECKING:
    from data.detection.dataset import ViewDataset


class SplitViews:
    """Six channels back to images, then colour: `img` and one entry a view, each (H, W, 3) BGR."""

    def __init__(self, views: Sequence[str], colour: RandomHSV | None, shared: bool) -> None:
        self.views, self.colour, self.shared = views, colour, shared

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """labels: one item of the transforms, `img` with all its channels."""
        stack = labels["img"]  # (H, W, 3 * members)
        state = np.random.get_state()
        for position, view in enumerate(["img", *self.views]):
            if self.shared:
                np.random.set_state(state)  # every member draws the same colour change
            labels[view] = self._coloured(np.ascontiguousarray(stack[..., 3 * position : 3 * position + 3]))
        return labels

    def _coloured(self, image: np.ndarray) -> np.ndarray:
        return self.colour({"img": image})["img"] if self.colour else image


class FormatViews(Format):
    """The stock formatting for `img`, and the same for the other views: uint8 (3, H, W) RGB tensors."""

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__(bbox_format="xywh", normalize=True, batch_idx=True)
        self.views = views

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """labels: one item, `img` and every view (H, W, 3) BGR uint8."""
        for view in self.views:
            labels[view] = self._format_img(labels[view])
        return super().__call__(labels)


class KnownMosaic(MosaicVerified, Mosaic):
    """The stock mosaic; joins what is known of its tiles."""


class RowMosaic(MosaicShares, KnownMosaic):
    """The same; notes how much of each object it keeps."""


class KnownMixUp(MixUpVerified, MixUp):
    """The stock mixup; joins what is known of both images."""


class RowPerspective(AffineShares, RandomPerspective):
    """The stock affine; notes how much of each object it keeps."""


def training_transforms(dataset: ViewDataset, options: AugmentOptions, mixing: bool) -> Compose:
    """Geometry on the stacked image, then split, colour and format. Without `mixing`: no mosaic, no mixup."""
    size = dataset.imgsz
    mosaic, perspective = (RowMosaic, RowPerspective) if dataset.rows is not None else (KnownMosaic, RandomPerspective)
    geometry = Compose(
        [
            mosaic(dataset, imgsz=size, p=options.mosaic if mixing else 0.0),
            perspective(
                degrees=options.degrees,
                translate=options.translate,
                scale=options.scale,
                shear=options.shear,
                perspective=options.perspective,
                size=(size, size),
            ),
        ]
    )
    return Compose(
        [
            geometry,
            KnownMixUp(dataset, pre_transform=geometry, p=options.mixup if mixing else 0.0),
            RandomFlip(direction="vertical", p=options.flipud),
            RandomFlip(direction="horizontal", p=options.fliplr),
            *([] if dataset.rows is None else [TakeRows()]),
            SplitViews(
                dataset.stacked,
                RandomHSV(options.hsv_h, options.hsv_s, options.hsv_v),
                shared=options.pair_colour == "shared",
            ),
            FormatViews(dataset.stacked),
        ]
    )
