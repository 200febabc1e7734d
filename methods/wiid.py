"""WiiD: learn one representation for a scene by day and in the dark (Watching it in Dark, ECCV 2024; detection branch).

Each training image comes with its dark partner in the same geometry. Both get the detection loss; momentum targets of
each teach the other (BYOL, both directions), and the same cells of both are masked, so that features follow the target
and not the light. Nothing of it is left after training.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import Batch, Detector, Method, Run, Step, View
from methods.options.wiid import WiiDOptions
from models.byol import Predictor, Projector, momentum_update
from models.graph import backbone_taps, run_layers, tap_channels

HINT = (
    "Name the folder of the dark images ('pair: images/train_night'), made for instance by 'python prepare.py darken'"
)
LEARNED = "learned"  # a mask token that trains


def byol_loss(q: Sequence[Tensor], k: Sequence[Tensor], weight: float = 0.1) -> Tensor:
    """BYOL over several levels: weight / levels * sum over levels of (2 - 2 * mean over the batch of <q, k>).

    q, k: one (B, D) a level, L2-normalised. Returns a scalar in [0, 4 * weight]. Raises ValueError on unequal levels.
    Source: Grill et al., NeurIPS 2020, eq. 2; averaged over levels as in WiiD.

    >>> a = torch.tensor([[1.0, 0.0]]); b = torch.tensor([[0.0, 1.0]])
    >>> round(byol_loss([a], [b]).item(), 4)
    0.2
    """
    if len(q) != len(k) or not q:
        raise ValueError(f"byol_loss wants equally many levels of q and k, got {len(q)} and {len(k)}")
    levels = [2 - 2 * (a * b).sum(1).mean() for a, b in zip(q, k, strict=True)]
    return weight / len(levels) * torch.stack(levels).sum()


def mmd(a: Tensor, b: Tensor, kernels: int = 5, multiplier: float = 2.0, bandwidth: float | None = None) -> Tensor:
    """Squared maximum mean discrepancy between two samples, with a sum of Gaussian kernels (biased: diagonals count).

    a: (n, D), b: (m, D). The bandwidth is the mean squared distance of the pooled rows, not differentiated, or the given
    one; both are divided by multiplier ** (kernels // 2), so that the kernels lie around it. Returns a scalar.
    Source: Gretton et al., JMLR 2012, with the multi-kernel form of Long et al., ICML 2015.
    """
    rows = torch.cat([a, b])  # (n+m, D)
    distance = (rows[:, None] - rows[None]).square().sum(2)  # (n+m, n+m)
    if bandwidth is None:
        total = len(rows)
        spread = distance.detach().sum() / (total * total - total)
    else:
        spread = torch.as_tensor(bandwidth, dtype=rows.dtype, device=rows.device)
    spread = spread / multiplier ** (kernels // 2)
    spread = spread.clamp_min(torch.finfo(rows.dtype).tiny)  # equal rows everywhere: every kernel is 1
    kernel = torch.stack([torch.exp(-distance / (spread * multiplier**i)) for i in range(kernels)]).sum(0)  # (n+m, n+m)
    n = len(a)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()


def occlusion_cells(
    height: int,
    width: int,
    boxes: np.ndarray,
    grid: int = 5,
    front_ratio: float = 0.0,
    back_ratio: float = 0.0,
    rng: random.Random | None = None,
) -> list[tuple[int, int]]:
    """Choose the grid cells to mask: some that touch an object, then some that do not.

    boxes: (n, 4) xyxy in pixels. Cells are `width // grid` by `height // grid`; the rest at the right and bottom belongs
    to no cell. A cell is on an object when they overlap by more than an edge. Returns (column, row) pairs.
    Source: WiiD's region masking; front_ratio is its erasing rate, back_ratio one minus its patched-back share.
    """
    cell_w, cell_h = width // grid, height // grid
    column, row = (
        part.ravel() for part in np.meshgrid(np.arange(grid), np.arange(grid), indexing="ij")
    )  # column first
    left, top = (column * cell_w)[:, None], (row * cell_h)[:, None]  # (grid*grid, 1)
    x1, y1, x2, y2 = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T
    touching = (x1 < left + cell_w) & (x2 > left) & (y1 < top + cell_h) & (y2 > top)  # (grid*grid, n)
    on_object = np.any(touching, axis=1).tolist()
    cells = list(zip(column.tolist(), row.tolist(), strict=True))
    front = [cell for cell, hit in zip(cells, on_object, strict=True) if hit]
    back = [cell for cell, hit in zip(cells, on_object, strict=True) if not hit]
    rng = rng or random.Random(0)
    return rng.sample(front, int(front_ratio * len(front))) + rng.sample(back, int(back_ratio * len(back)))


def spectral_saliency(image: Tensor, size: int = 64) -> Tensor:
    """Where an image departs from the smooth log spectrum that images share.

    image: (B, 3, H, W) in [0, 1]. Returns (B, 1, H, W) >= 0.
    Source: Hou and Zhang, Saliency Detection: A Spectral Residual Approach (CVPR 2007).
    """
    grey = F.interpolate(image.float().mean(1, keepdim=True), (size, size), mode="bilinear", antialias=True)
    spectrum = torch.fft.fft2(grey)  # (B, 1, size, size)
    log_amplitude = spectrum.abs().clamp_min(1e-8).log()
    smooth = F.avg_pool2d(F.pad(log_amplitude, (1, 1, 1, 1), mode="circular"), 3, 1)
    residual = torch.polar((log_amplitude - smooth).exp(), spectrum.angle())
    saliency = torch.fft.ifft2(residual).abs().square()
    saliency = F.avg_pool2d(saliency, 5, 1, 2, count_include_pad=False)
    return F.interpolate(saliency, image.shape[2:], mode="bilinear")


def pixel_boxes(batch: Batch) -> list[np.ndarray]:
    """Boxes of a batch as one (n, 4) xyxy array in pixels per image."""
    height, width = batch["img"].shape[2:]
    centre, size = batch["bboxes"].cpu().float().split(2, 1)  # (n, 2) each, normalised
    scale = torch.tensor([width, height, width, height])
    corners = (torch.cat([centre - size / 2, centre + size / 2], 1) * scale).numpy()
    owner = batch["batch_idx"].cpu().numpy()
    return [corners[owner == i] for i in range(len(batch["img"]))]


def cell_mask(cells: Sequence[Sequence[tuple[int, int]]], grid: int, height: int, width: int) -> Tensor:
    """Chosen cells of each image as a (B, 1, H, W) boolean mask on the CPU."""
    chosen = torch.zeros(len(cells), grid, grid, dtype=torch.bool)
    for image, pairs in enumerate(cells):
        for column, row in pairs:
            chosen[image, row, column] = True
    return _spread(chosen[:, None], height, width)


def _spread(cells: Tensor, height: int, width: int) -> Tensor:
    """One value per cell to one value per pixel: (B, C, grid, grid) to (B, C, H, W), zeros in the remainder."""
    grid = cells.shape[-1]
    pixels = cells.repeat_interleave(height // grid, 2).repeat_interleave(width // grid, 3)
    return F.pad(pixels, (0, width - pixels.shape[3], 0, height - pixels.shape[2]))


class MomentumTarget(nn.ModuleList):
    """Slow copy of the backbone and, last, the projectors. Runs without a graph and only as far as the last tap.

    Batch norms use the statistics of the batch, as in BYOL. The online network is kept in a list: it is no part of this one.
    """

    def __init__(self, detector: Detector, projectors: nn.ModuleDict, taps: dict[str, int]) -> None:
        online = [*detector.model[: max(taps.values()) + 1], projectors]
        super().__init__(copy.deepcopy(nn.ModuleList(online)).requires_grad_(False).train())
        self.taps, self.online = taps, online

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """image: (B, 3, H, W). Returns one normalised (B, D) vector per tap, without gradient."""
        *layers, projectors = self
        features = run_layers(layers, image.detach(), self.taps)
        return [F.normalize(head(features[name]).float(), dim=1) for name, head in projectors.named_children()]

    def update(self, momentum: float) -> None:
        """Move the parameters (not the batch-norm buffers) towards the online network."""
        momentum_update(self.parameters(), nn.ModuleList(self.online).parameters(), momentum)


class WiiD(Method):
    """WiiD as a method: views `pair`, symmetric BYOL on the three backbone taps, occlusion grid, optional MMD."""

    name = "wiid"
    Options = WiiDOptions
    projectors: nn.ModuleDict
    predictors: nn.ModuleDict
    token: nn.ParameterDict
    target: MomentumTarget | None

    def __init__(self, options: WiiDOptions | None = None) -> None:
        super().__init__(options)
        self.views = (View("pair", "paired", HINT, same_colour=self.options.pair_colour == "shared"),)

    @property
    def contrasts(self) -> bool:
        """Whether the BYOL heads are needed at all."""
        return self.options.byol_weight > 0

    def attach(self, detector: Detector) -> None:
        """Build projectors, predictors, the learned tokens and the momentum target for this detector."""
        self.target = None
        if self.contrasts:
            channels = tap_channels(detector, backbone_taps(detector))
            self.projectors = nn.ModuleDict({name: Projector(c) for name, c in channels.items()})
            self.predictors = nn.ModuleDict({name: Predictor() for name in channels})
            self.target = MomentumTarget(detector, self.projectors, backbone_taps(detector))
        if self.options.mask_token == LEARNED:
            grid = self.options.num_blocks
            self.token = nn.ParameterDict({"rgb": nn.Parameter(torch.zeros(1, 3, grid, grid))})

    def taps(self, detector: Detector) -> dict[str, int]:
        """The last backbone output of strides 8, 16 and 32, when a term reads them."""
        return backbone_taps(detector) if self.contrasts or self.options.use_mmd else {}

    def prepare(self, batch: Batch) -> None:
        """Highlight the target and mask cells: the same pixels in both members."""
        keep = self._highlighted(batch)
        fill = self._masked_cells(batch)
        for view in ("img", "pair"):
            if keep is not None:
                batch[view] = batch[view] * keep
            if fill is not None:
                mask, token = fill
                batch[view] = torch.where(mask, token.to(batch[view].dtype), batch[view])

    def _highlighted(self, batch: Batch) -> Tensor | None:
        """Pixels to keep, (B, 1, H, W) of zeros and ones, or None when nothing is highlighted."""
        image = batch["img"]
        if self.options.highlight == "boxes":
            keep = torch.zeros(len(image), 1, *image.shape[2:], dtype=image.dtype)
            for i, boxes in enumerate(pixel_boxes(batch)):
                for x1, y1, x2, y2 in boxes.round().astype(int).clip(0):
                    keep[i, :, y1:y2, x1:x2] = 1
                keep[i] += float(len(boxes) == 0)  # an image without objects stays as it is
            return keep.to(image.device)
        if self.options.highlight == "saliency":
            saliency = spectral_saliency(image)
            threshold = saliency.flatten(1).quantile(self.options.highlight_quantile, dim=1)  # (B,)
            return (saliency >= threshold[:, None, None, None]).to(image.dtype)
        return None

    def _masked_cells(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Mask (B, 1, H, W) and what fills it, or None when both ratios are zero."""
        options = self.options
        if not (options.front_ratio or options.back_ratio):
            return None
        image = batch["img"]
        height, width = image.shape[2:]
        cells = [
            occlusion_cells(
                height, width, boxes, options.num_blocks, options.front_ratio, options.back_ratio, random.Random(seed)
            )
            for boxes, seed in zip(pixel_boxes(batch), batch["seed"], strict=True)
        ]
        mask = cell_mask(cells, options.num_blocks, height, width).to(image.device)
        return mask, self._token(height, width).to(image.device)

    def _token(self, height: int, width: int) -> Tensor:
        """What fills a masked pixel: (1, 3, H, W) of learned colours, or a single zero."""
        if self.options.mask_token == LEARNED:
            return _spread(self.token["rgb"], height, width)
        return torch.zeros(1, 1, 1, 1)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Detection loss of the dark member, symmetric BYOL, and MMD when asked for."""
        pair = step.forward(step.batch["pair"])
        terms = {"pair": pair.loss}
        step.log["pair"] = sum(pair.items.values(), torch.zeros(()))  # per image, as the parts of the first member
        if self.target is not None:
            q_day, q_dark = self._predict(step.taps), self._predict(pair.taps)
            k_day, k_dark = self.target(step.batch["img"]), self.target(step.batch["pair"])
            weight = self.options.byol_weight
            terms["byol"] = byol_loss(q_day, k_dark, weight) + byol_loss(q_dark, k_day, weight)
        if self.options.use_mmd:
            day, dark = (taps["P5"].float().mean((2, 3)) for taps in (step.taps, pair.taps))  # (B, C) each
            terms["mmd"] = self.options.mmd_weight * mmd(day, dark)
        return terms

    def _predict(self, taps: dict[str, Tensor]) -> list[Tensor]:
        """Online vectors: normalised predictions of the projections, (B, D) a level."""
        return [
            F.normalize(self.predictors[name](head(taps[name])).float(), dim=1)
            for name, head in self.projectors.items()
        ]

    def on_step(self, run: Run) -> None:
        """Move the momentum target."""
        if self.target is not None:
            self.target.update(self.options.byol_momentum)
