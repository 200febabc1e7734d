"""AERIS: learn from degraded views of clean images, and to restore the clean one (Cui et al., ECCV 2022).

Each batch is blurred, made smaller and noisy before the detector sees it; a decoder on the detector's features is asked for the
clean image. The decoder is dropped at the end; the detector then runs on small, bad images at their own size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from data.degrade import AERISParameters, batch_draw, degrade_batch, draw_parameters, draw_size, image_random
from methods.base import Batch, Detector, Method, Step, Term, image_size
from methods.options.aeris import AERISOptions
from models.graph import first_concat
from models.restore import RestorationBranch

STRIDES = {1: 16, 2: 8}  # stage of the publication -> stride of the features that the decoder reads
PUBLISHED_WEIGHT = 0.4
PUBLISHED_SHARE = (
    0.03  # of CenterNet's gradient in the early backbone at that weight: 0.019 at the start, 0.030 soon after
)
VIEW, AGAIN = 0, 1  # streams of random numbers: of the view, and of a second one
DRAWS = ("aeris_view", "aeris_again")  # entries of a batch with the draws of each


def restoration_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute difference over batch, channels and pixels, padding included, in float32. (B, 3, H, W) each."""
    difference = (restored.float() - clean.float()).abs()
    return difference.sum() / difference.numel()  # a mean would write its whole gradient out once more


def consistency_loss(a: Tensor, b: Tensor) -> Tensor:
    """One minus the cosine between two views' features at each place, averaged. (B, C, h, w) each; in [0, 2]."""
    return 1 - F.cosine_similarity(a.float(), b.float(), dim=1).mean()


class AERIS(Method):
    """The method `aeris`: degrades the batch on its device, and adds the decoder's loss."""

    name = "aeris"
    Options = AERISOptions
    branch: RestorationBranch | None

    def attach(self, detector: Detector) -> None:
        """Build the decoder for the features that it reads, unless it has no weight."""
        channels = first_concat(detector, STRIDES[self.options.restore_stage]).channels
        self.branch = RestorationBranch(channels, (512, 512)) if self.options.restore_weight else None

    def taps(self, detector: Detector) -> dict[str, int]:
        """The features that are restored from, and kept alike."""
        wanted = self.options.restore_weight or self.options.consistency_weight
        return {"aeris": first_concat(detector, STRIDES[self.options.restore_stage]).index} if wanted else {}

    def terms(self) -> dict[str, Term]:
        """The decoder is brought to its published strength; consistency is no part of the publication."""
        share = PUBLISHED_SHARE * self.options.restore_weight / PUBLISHED_WEIGHT
        return {"restore": Term("restore_weight", share=share), "consistency": Term("consistency_weight")}

    def draw(self, batch: Batch) -> None:
        """Draw how the images of a batch are degraded, to one size; a second time for consistency."""
        shape = image_size(batch)
        size = draw_size(image_random(batch["seed"][0], VIEW), shape, self.options.degrade_sizes)
        for stream in (VIEW, AGAIN)[: 1 + bool(self.options.consistency_weight)]:
            batch[DRAWS[stream]] = batch_draw(self._draws(batch, shape, size, stream))
        batch["size"] = batch[DRAWS[VIEW]].draws[0].size

    def degrade(self, batch: Batch) -> None:
        """Put degraded views in place of the images, of one size per batch; the clean ones stay as `clean`."""
        clean, views = batch["img"], [*batch["scenes"]]
        if self.options.consistency_weight:
            batch["again"] = degrade_batch(clean, batch[DRAWS[AGAIN]])
            batch["scenes"].append("again")
        for name in views:
            batch[name] = degrade_batch(batch[name], batch[DRAWS[VIEW]])
        batch.setdefault(
            "clean", clean
        )  # a method before this one may have kept what was there before its own degradation

    def _draws(self, batch: Batch, shape: tuple[int, int], size: tuple[int, int], stream: int) -> list[AERISParameters]:
        """The draw of each image; one kind of interpolation or blur follows from its own seed alone."""
        scope = self.options.degrade_scope
        return [draw_parameters(image_random(seed, 1 + stream), shape, size, scope) for seed in batch["seed"]]

    def loss(self, step: Step) -> dict[str, Tensor]:
        """`restore` and `consistency`, as far as they have weight; each grows with the batch, as detection losses do."""
        terms, clean = {}, step.batch["clean"]
        if self.branch is not None:
            self.branch.decoder.size = tuple(clean.shape[2:])
            terms["restore"] = self.options.restore_weight * restoration_loss(self.branch(step.taps["aeris"]), clean)
        if self.options.consistency_weight:
            again = step.forward(step.batch["again"]).taps["aeris"]
            terms["consistency"] = self.options.consistency_weight * consistency_loss(step.taps["aeris"], again)
        step.log.update({name: term.detach() for name, term in terms.items()})
        return {name: term * step.images for name, term in terms.items()}
