"""WiiD: learn one representation for a scene by day and in the dark (Watching it in Dark, ECCV 2024).

Each training image or clip comes with a dark one in the same geometry. Both get the task loss; momentum targets of
each teach the other (BYOL, both directions), and the same pixels of both are masked, so that features follow the target
and not the light. Detectors are taught at three levels of the backbone, classifiers of images and clips by their pooled
features. Nothing of it is left after training.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from methods.base import Batch, Forward, Method, Run, Step, Term, View, image_size
from methods.options.wiid import WIID_KEYS, WiiDOptions
from methods.wiid_masks import SALIENCY, cells_beside, inside, salient, spread, squares_or_saliency, whole_boxes
from methods.wiid_masks import occlusion_cells as occlusion_cells  # noqa: F401 - a public name of this module
from models.byol import Predictor, Projector, VectorProjector, momentum_update, side_by_side, use_batch_statistics
from models.graph import backbone_taps, run_layers, tap_channels
from models.normalize import IMAGENET
from utils.errors import UserError

HINT = (
    "Name the folder of the dark images ('pair: images/train_night'), made for instance by 'python prepare.py darken'"
)
PUBLISHED_WEIGHT = 0.1
PUBLISHED_SHARE = (
    0.055  # of YOLOv5's gradient in the backbone at that weight, with the published gains; docs/methods/wiid.md
)
LEARNED = "learned"  # a mask token that trains
PRODUCTS = (nn.Linear, nn.Conv2d, nn.Conv3d)  # what autocast computes in half precision
POOLED = "pooled"  # the tap of a classifier
UNLABELED = "unlabeled"  # the view of unlabelled night images, of classifiers
KEEP, CELLS = "wiid_keep", "wiid_cells"  # entries of a batch: what its masks keep, the cells that are filled
MASK_DRAW = 3  # which draw of a batch decides its mask; a task's colours take those before


def byol_loss(q: Sequence[Tensor], k: Sequence[Tensor], weight: float = 0.1) -> Tensor:
    """BYOL over several levels: weight / levels * sum over levels of (2 - 2 * mean over the batch of <q, k>).

    q, k: one (B, D) a level, L2-normalised. Returns a scalar in [0, 4 * weight]. Raises ValueError on unequal levels.
    Source: Grill et al., NeurIPS 2020, eq. 2; averaged over levels as in WiiD.

    >>> a = torch.tensor([[1.0, 0.0]]); b = torch.tensor([[0.0, 1.0]])
    >>> round(byol_loss([a], [b]).item(), 4)
    0.2
    """
    if len(q) != len(k) or not q:
        raise ValueError(f"byol_loss expects equally many levels of q and k, got {len(q)} and {len(k)}")
    levels = [byol_distance(a, b) for a, b in zip(q, k, strict=True)]
    return weight / len(levels) * torch.stack(levels).sum()


def byol_distance(q: Tensor, k: Tensor) -> Tensor:
    """2 - 2 * mean over the batch of <q, k>, in [0, 4]. q, k: (..., B, D), L2-normalised. Returns (...)."""
    return 2 - 2 * (q * k).sum(-1).mean(-1)


def unit_vectors(
    projectors: nn.ModuleDict, views: Sequence[Mapping[str, Tensor]], predictors: nn.ModuleDict | None = None
) -> Tensor:
    """What the heads make of features, normalised: (V, L, B, D) for V views and L levels, each a batch of its own.

    views: of each, name of the level -> its features. Levels and views go through the heads side by side.
    """
    heads: dict[str, Any] = dict(projectors.items())
    stems = torch.stack([head.stem(taps[name]) for name, head in heads.items() for taps in views])  # (L*V, B, C)
    after: Any = predictors if predictors is not None else dict.fromkeys(heads, ())
    chains = [[*head.rest, *after[name]] for name, head in heads.items()]
    vectors = side_by_side(chains, stems.unflatten(0, (len(heads), len(views))))  # (L, V, B, D)
    return F.normalize(vectors.float(), dim=-1).transpose(0, 1)


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


class MomentumTarget(nn.ModuleList):
    """Slow copy of the backbone and, last, the projectors. Runs without a graph and, of a detector, only to the last tap.

    Batch norms use the statistics of the batch, as in BYOL. The online network is kept in a list: it is no part of this one.
    """

    def __init__(self, network: Any, projectors: nn.ModuleDict, taps: dict[str, Any]) -> None:
        backbone = [network] if POOLED in taps else network.model[: max(taps.values()) + 1]
        online = [*backbone, projectors]
        super().__init__(copy.deepcopy(nn.ModuleList(online)).requires_grad_(False).train())
        use_batch_statistics(self)
        self.taps, self.online = taps, online
        products = [(name, part) for name, part in self.named_modules() if isinstance(part, PRODUCTS)]
        self.weights = [f"{name}.{own}" for name, part in products for own, _ in part.named_parameters(recurse=False)]

    @torch.no_grad()
    def forward(self, *views: Tensor, cast: bool = True) -> Tensor:
        """views: V times (B, 3, H, W), or clips. Returns normalised vectors (V, L, B, D) at L taps, without gradient."""
        kind = views[0].device.type
        if cast and torch.is_autocast_enabled(kind):
            found: Tensor = functional_call(self, self._cast(torch.get_autocast_dtype(kind)), views, {"cast": False})
            return found
        parts: list[Any] = [*self]
        *layers, projectors = parts
        if POOLED in self.taps:
            return unit_vectors(projectors, [{POOLED: layers[0].pooled(view.detach())} for view in views])
        return unit_vectors(projectors, [run_layers(layers, view.detach(), self.taps) for view in views])

    def _cast(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Weights of products in the precision of autocast, by one copy: it keeps its own casts of what trains only."""
        weights: list[Tensor] = [self.get_parameter(name) for name in self.weights]
        copies = [torch.empty_like(weight, dtype=dtype) for weight in weights]
        torch._foreach_copy_(copies, weights)
        return dict(zip(self.weights, copies, strict=True))

    def update(self, momentum: float) -> None:
        """Move the parameters (not the batch-norm buffers) towards the online network."""
        momentum_update(self.parameters(), nn.ModuleList(self.online).parameters(), momentum)


class WiiD(Method):
    """WiiD as a method: the view `pair`, symmetric BYOL, masks, optional MMD.

    detect: BYOL at three levels of the backbone, an occlusion grid, MMD between the two of a pair.
    classify: BYOL of pooled features, squares or saliency, MMD from the darkened to unlabelled night images (`unlabeled`).
    action: BYOL of pooled features, an occlusion grid on what moves (`motion`).
    """

    name = "wiid"
    Options = WiiDOptions
    keys = WIID_KEYS
    tasks = ("detect", "classify", "action")
    task = "detect"
    without_mmd = ""  # why a classifier trains without MMD
    projectors: nn.ModuleDict
    predictors: nn.ModuleDict
    token: nn.ParameterDict
    target: MomentumTarget | None

    def __init__(self, options: WiiDOptions | None = None) -> None:
        super().__init__(options)
        self.views = (View("pair", "paired", HINT, same_colour=self.options.pair_colour == "shared"),)
        self.least_batch = 2 if self.options.byol_weight else 1  # the projectors normalise vectors over the batch

    @property
    def occludes(self) -> bool:
        """Whether cells are masked."""
        return self.task != "classify" and bool(self.options.front_ratio or self.options.back_ratio)

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """MMD of a classifier, where nothing else is said, follows from the data. Raises UserError where it is impossible."""
        if data is None or data.task == "detect":
            self.options = replace(self.options, use_mmd=bool(self.options.use_mmd))
            return {"use_mmd": self.options.use_mmd}
        self.task, options = data.task, self.options
        if self.task == "action":
            self.options = replace(options, use_mmd=False)
            self.views += (View("motion", "per_image"),) if self.occludes else ()
            return {}
        if options.mask_squares + options.mask_saliency > 1:
            raise UserError(
                f"--mask-squares {options.mask_squares} and --mask-saliency {options.mask_saliency}: are fractions of the "
                "batches, of which no two may overlap. Lower one, so that they sum to 1 at most."
            )
        there = UNLABELED in data.splits
        if options.use_mmd and not there:
            raise UserError(
                f"--use-mmd: {data.file} names no unlabelled night images for training. Add a line '{UNLABELED}: FOLDER' "
                "(never one of the test split), or omit the option."
            )
        self.options = replace(options, use_mmd=there and options.use_mmd is not False)
        if self.options.use_mmd and options.mmd_weight > 0:
            self.views += (View(UNLABELED, "unpaired"),)
        self.without_mmd = f"{data.file.name} has no '{UNLABELED}' line: WiiD trains without MMD" if not there else ""
        return {"use_mmd": self.options.use_mmd}

    def attach(self, detector: Any) -> None:
        """Build projectors, predictors, the learned tokens and the momentum target for this network."""
        self.target = None
        if self.options.byol_weight:
            taps = self.taps(detector)
            heads: dict[str, nn.Module]
            if POOLED in taps:
                heads = {POOLED: VectorProjector(detector.width)}
            else:
                heads = {name: Projector(channels) for name, channels in tap_channels(detector, taps).items()}
            self.projectors = nn.ModuleDict(heads)
            self.predictors = nn.ModuleDict({name: Predictor() for name in heads})
            use_batch_statistics(self.projectors)
            use_batch_statistics(self.predictors)
            self.target = MomentumTarget(detector, self.projectors, taps)
        if self.options.mask_token == LEARNED:
            grid = self.options.num_blocks
            self.token = nn.ParameterDict({"rgb": nn.Parameter(torch.zeros(1, 3, grid, grid))})

    def taps(self, detector: Any) -> dict[str, Any]:
        """Where the terms read features, when one does."""
        if not self.options.byol_weight and not self.options.use_mmd:
            return {}
        return {POOLED: "features"} if hasattr(detector, POOLED) else backbone_taps(detector)

    def notes(self, detector: Any) -> list[str]:
        """What the data made of the options."""
        return [self.without_mmd] if self.without_mmd else []

    def terms(self) -> dict[str, Term]:
        """A detector's BYOL is brought to its published strength; that of others is beside the published loss already."""
        share = PUBLISHED_SHARE * self.options.byol_weight / PUBLISHED_WEIGHT if self.task == "detect" else None
        return {
            "pair": Term(task=True),
            "night": Term(task=True),
            "byol": Term("byol_weight", share=share),
            "mmd": Term("mmd_weight"),
        }

    def draw(self, batch: Batch) -> None:
        """Choose what is masked."""
        options = self.options
        if self.task == "classify":
            odds = (options.mask_squares, options.mask_saliency)
            batch[KEEP] = squares_or_saliency(image_size(batch)[1], batch["seed"], (*batch["draw"], MASK_DRAW), odds)
        elif options.highlight == "boxes":
            batch[KEEP] = whole_boxes(batch)
        if self.occludes:
            batch[CELLS] = cells_beside(batch, options.num_blocks, options.front_ratio, options.back_ratio)

    def prepare(self, batch: Batch) -> None:
        """Mask the same pixels in all views of the scene."""
        keep, fill = self._kept(batch)
        for view in batch["scenes"]:
            if keep is not None:
                batch[view] = torch.where(keep, batch[view], fill)
        if self.occludes:
            self._occlude(batch)

    def _kept(self, batch: Batch) -> tuple[Tensor | None, Tensor | float]:
        """Pixels to keep, (B, 1, H, W) bool, or None; and the colour of the others."""
        options, image, keep = self.options, batch["img"], batch.get(KEEP)
        fill = IMAGENET.mean_like(image) if self.task == "classify" else 0.0
        if keep == SALIENCY if isinstance(keep, str) else options.highlight == "saliency":
            return salient(image, options.highlight_quantile), fill
        if options.highlight == "boxes" and keep is not None:
            return inside(keep, *image.shape[2:]), fill
        return keep, fill

    def _occlude(self, batch: Batch) -> None:
        """Fill some cells of all views, or clips in every frame."""
        size = batch["img"].shape[-2:]
        mask = spread(batch[CELLS], *size)  # (B, 1, H, W)
        learned = self.options.mask_token == LEARNED
        token = spread(self.token["rgb"], *size) if learned else batch["img"].new_zeros(())  # (1, 3, H, W), or black
        mask = mask[:, :, None] if batch["img"].ndim == 5 else mask
        for view in batch["scenes"]:
            batch[view] = torch.where(mask, token, batch[view])

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Task loss of the dark image, symmetric BYOL, and MMD when asked for."""
        pair = step.forward(step.batch["pair"])
        name = "pair" if self.task == "detect" else "night"
        terms = {name: pair.loss}
        step.log[name] = sum(pair.items.values(), torch.zeros(()))  # per image, as the parts of the first one
        if self.target is not None:
            terms["byol"] = self._contrast(step, pair, self.target)
        if self.options.use_mmd:
            terms["mmd"] = self.options.mmd_weight * mmd(*self._samples(step, pair))
        return terms

    def _contrast(self, step: Step, pair: Forward, target: MomentumTarget) -> Tensor:
        """BYOL both ways: added for a detector, averaged for pooled features, as published."""
        q = unit_vectors(self.projectors, [step.taps, pair.taps], self.predictors)  # (2, L, B, D)
        k = target(step.batch["pair"], step.batch["img"])  # each view predicts the other's
        distance = byol_distance(q, k)  # (2, L)
        weight = self.options.byol_weight
        if self.task == "detect":
            return (weight / distance.shape[1] * distance.sum(1)).sum()
        return weight / distance.numel() * distance.sum()

    def _samples(self, step: Step, pair: Forward) -> tuple[Tensor, Tensor]:
        """What MMD brings together, (B, D) each: both of a pair; of classifiers, the darkened and real night images.

        The latter pass without a graph: they are the target of the darkened ones.
        """
        if self.task == "detect":
            return step.taps["P5"].float().mean((2, 3)), pair.taps["P5"].float().mean((2, 3))
        network: Any = step.detector
        with torch.no_grad():
            night_features = network.pooled(step.batch[UNLABELED]).float()
        return pair.taps[POOLED].float(), night_features

    def on_step(self, run: Run) -> None:
        """Move the momentum target."""
        if self.target is not None:
            self.target.update(self.options.byol_momentum)
