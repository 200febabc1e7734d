"""Detection in tiles: a large image goes through the detector piece by piece, so that its small objects stay large.

    from engine import Predictor
    from engine.inference.sliced import SlicedPredictor, Tiling
    find = SlicedPredictor(Predictor(network), Tiling(640))
    (boxes,) = find([image])          # (n, 6) in the image's own pixels, as from the Predictor itself

Source: Akyon et al., Slicing Aided Hyper Inference (ICIP 2022, arXiv 2202.06934). See docs/slicing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.inference.predictor import Predictor, Preprocess
from engine.options.detect import DetectOptions
from utils.errors import UserError
from utils.tiles import merge_tiles, tile_windows

MERGING = "merging"  # the stage that slicing adds


@dataclass(frozen=True)
class Tiling:
    """How an image is looked at: tiles of size x size px, of which neighbours share `overlap` of a side, in [0, 0.9].

    how: "nmm" or "nms", see utils.tiles.merge_tiles. batch: tiles that go through the network together, also of several
    images. whole: look at the whole image too. max_det: boxes kept of an image, after merging; each tile may give
    as many as the predictor keeps. agnostic: boxes of different classes may be one object.
    """

    size: int
    overlap: float = 0.2
    how: str = "nmm"
    batch: int = 16
    whole: bool = False
    max_det: int = 1000
    agnostic: bool = False

    def windows(self, height: int, width: int) -> NDArray[np.int64]:
        """(n, 4) x1 y1 x2 y2 px: what is looked at of such an image; one that is no larger than a tile, as it is."""
        tiles = tile_windows(height, width, self.size, self.overlap)
        return np.concatenate([tiles, [[0, 0, width, height]]]) if self.whole and len(tiles) > 1 else tiles

    def merge(self, found: Sequence[Tensor], windows: NDArray[np.int64], shape: tuple[int, int]) -> Tensor:
        """The image's boxes (m, 6) from those of its windows, (k, 6) each in the window's own pixels."""
        return merge_tiles(found, windows, shape, how=self.how, max_det=self.max_det, agnostic=self.agnostic)


def tiling_of(options: DetectOptions, stride: int) -> Tiling | None:
    """The tiles that options ask for, None without --slice.

    Raises UserError for tiles below the detector's stride (px), and for --slice-whole without tiles.
    """
    if options.slice is None:
        if options.slice_whole:
            raise UserError("--slice-whole: adds the whole image to its tiles. Give their side, such as --slice 640.")
        return None
    if options.slice < stride:
        raise UserError(
            f"--slice {options.slice}: expected tiles at least as large as the detector's stride, {stride} px, such as "
            "--slice 640."
        )
    looks = (options.slice, options.overlap, options.merge, options.slice_batch, options.slice_whole)
    return Tiling(*looks, options.max_det, options.agnostic_nms)


class SlicedPredictor:
    """A `Predictor` that looks at images in tiles; called like it, and with its counters.

    preprocess: as the Predictor's, but given the whole image (the predictor's own would see tiles). After a call, `tiles`
    holds how many each image was cut into, and `shapes` (height, width) of its first as the network saw it.
    """

    def __init__(self, predictor: Predictor, tiling: Tiling, preprocess: Preprocess | None = None) -> None:
        self.predictor, self.tiling, self.preprocess = predictor, tiling, preprocess
        self.names = predictor.names
        self.shapes: list[tuple[int, int]] = []
        self.tiles: list[int] = []
        self.milliseconds = 0.0
        self.spent = predictor.spent
        self.spent.setdefault(MERGING, 0.0)
        self.seen = 0

    def __call__(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """images: (H, W, 3) uint8 each, blue-green-red, of any shapes. Returns what a Predictor returns."""
        before = self.spent["inference"]
        imgs = [self.preprocess(image) for image in images] if self.preprocess else images
        windows = [self.tiling.windows(*img.shape[:2]) for img in imgs]
        self.tiles = [len(places) for places in windows]
        cuts = [(img, place) for img, places in zip(imgs, windows, strict=True) for place in places.tolist()]
        looks = [img[y1:y2, x1:x2] for img, (x1, y1, x2, y2) in cuts]  # views: nothing is copied
        rest = iter(self._detect(looks))
        with self.predictor.watch(MERGING):
            merged = [
                self.tiling.merge([next(rest) for _ in places], places, (img.shape[0], img.shape[1]))
                for img, places in zip(imgs, windows, strict=True)
            ]
        self.seen += len(images)
        self.milliseconds = 1000 * (self.spent["inference"] - before) / max(1, len(images))
        return merged

    def _detect(self, tiles: Sequence[np.ndarray]) -> list[Tensor]:
        """Boxes (k, 6) of each tile in its own pixels; `shapes` becomes those of the images."""
        found: list[Tensor] = []
        shapes: list[tuple[int, int]] = []
        for start in range(0, len(tiles), self.tiling.batch):
            found += self.predictor(tiles[start : start + self.tiling.batch])
            shapes += self.predictor.shapes
        self.shapes = [shapes[end - count] for count, end in zip(self.tiles, np.cumsum(self.tiles), strict=True)]
        return found
