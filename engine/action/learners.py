"""What a clip classifier learns from in a step: the day alone, or WiiD's pairs of day and dark clips.

Source of WiiD: Watching it in Dark (ECCV 2024), action branch, of which nothing is released. The contrast is that of the
classification branch; the masks are erase and patch on the motion foreground, the same cells in both clips and all frames.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from engine.classification.learners import DayLearner, FeatureTarget, PairLearner
from engine.options.classify import ClassifyOptions
from methods.options.wiid import WiiDOptions
from methods.wiid import cell_mask, occlusion_cells
from models.action import normalise
from models.byol import Predictor
from models.classifier import VectorProjector, head

VIEWS = ("img", "pair")
MOVING = 0.02  # share of a cell that must move for the cell to count as foreground


class DayClips(DayLearner):
    """The plain run: cross-entropy of the labelled day clips."""

    def __init__(self, network: nn.Module, name: str, seed: int = 0) -> None:
        super().__init__(network, ClassifyOptions(), seed)
        self.name = name

    def prepare(self, batch: Mapping[str, Any], iteration: int) -> dict[str, Any]:
        """uint8 clips (B, 3, T, S, S) to what the network takes."""
        return {**batch, "img": normalise(batch["img"].float() / 255, self.name)}


class PairedClips(PairLearner):
    """WiiD: cross-entropy of both members of a pair, BYOL between their pooled features both ways, erase and patch.

    loss = CE(day) + CE(dark) + byol_loss([q_day, q_dark], [k_dark, k_day], byol_weight)
    """

    def __init__(self, network: nn.Module, name: str, wiid: WiiDOptions, seed: int = 0) -> None:
        DayLearner.__init__(self, network, ClassifyOptions(), seed)  # the parent's own wants a linear head
        self.name, self.wiid = name, wiid
        self.target: FeatureTarget | None = None
        if wiid.byol_weight > 0:
            self.projector, self.predictor = VectorProjector(feature_width(network)), Predictor()
            self.target = FeatureTarget(network, self.projector)

    def prepare(self, batch: Mapping[str, Any], iteration: int) -> dict[str, Any]:
        """As the plain run's, both members; masked cells become black before that."""
        blank = self._blank(batch)
        ready = dict(batch)
        for view in VIEWS:
            clip = batch[view].float() / 255  # (B, 3, T, S, S)
            ready[view] = normalise(clip if blank is None else clip.masked_fill(blank, 0.0), self.name)
        return ready

    def _blank(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Pixels to blank, (B, 1, 1, S, S) bool, or None when both ratios are zero."""
        wiid = self.wiid
        if not (wiid.front_ratio or wiid.back_ratio):
            return None
        cells = [
            masked_cells(moving, int(seed), wiid)
            for moving, seed in zip(batch["motion"].cpu().numpy(), batch["seed"], strict=True)
        ]
        height, width = batch["motion"].shape[1:]
        return cell_mask(cells, wiid.num_blocks, height, width)[:, :, None].to(batch["img"].device)


def masked_cells(moving: np.ndarray, seed: int, wiid: WiiDOptions) -> list[tuple[int, int]]:
    """The (column, row) of each cell to blank: `front_ratio` of those in which something moves, `back_ratio` of the others.

    moving: (H, W) bool, the foreground. A cell counts as moving where MOVING of its pixels do.
    """
    (height, width), boxes, grid = moving.shape, moving_cells(moving, wiid.num_blocks), wiid.num_blocks
    rng = random.Random(seed)
    return occlusion_cells(height, width, boxes, grid, wiid.front_ratio, wiid.back_ratio, rng)


def moving_cells(moving: np.ndarray, grid: int) -> np.ndarray:
    """Boxes (n, 4) xyxy px of the cells in which something moves; cells are H // grid by W // grid px."""
    high, wide = (side // grid for side in moving.shape)
    shares = moving[: high * grid, : wide * grid].reshape(grid, high, grid, wide).mean((1, 3))  # (grid, grid)
    rows, columns = np.nonzero(shares >= MOVING)
    return np.stack([columns * wide, rows * high, (columns + 1) * wide, (rows + 1) * high], 1)


def feature_width(network: nn.Module) -> int:
    """How many pooled features the head reads: 512 for r3d_18, 1024 for s3d. Raises ValueError for an unknown head."""
    for layer in head(network).modules():
        if isinstance(layer, nn.Linear):
            return layer.in_features
        if isinstance(layer, nn.Conv3d):
            return layer.in_channels
    raise ValueError(f"the head of {type(network).__name__} has no layer that reads features")
