"""LCP: learn where the image fails, and catch up with clear ones there (Fu et al., TCSVT 2024).

Two learners in the network train in turn, an epoch each. U: the catch-up learner pulls the features of degraded crux
regions towards those of clear images. C: everything behind it, and the crux learner, learn to detect.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import Detector, Method, Run, Step, View
from methods.options.lcp import LCPOptions
from models.crux import CatchUpFuse, crux_features, find_row, find_split, shallow_rows, shared_features
from utils.errors import UserError

CATCH_UP, CRUX, BOTH = "U", "C", "B"
CLEAR = View("favoured", "unpaired", "Name a folder of clear images ('favoured: images/favoured'; no labels, no pairs)")


def catch_up_loss(low_quality: Tensor, favoured: Tensor, weight: float = 100.0) -> Tensor:
    """Pull where the features of degraded images have their mass towards where those of clear images have it.

    low_quality, favoured: (B, C, H, W), any real values. Each map is read as one categorical distribution over channel x
    row x column, so the loss ignores a constant added to a map, but not its scale. The favoured side is not
    differentiated. Returns weight * mean over the batch of KL(favoured || low_quality), in float32 at least. Raises
    ValueError on unequal shapes. Source: the catch-up step; the original's loss over positions.

    >>> loss = catch_up_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.75, 0.25]]]]).log(), weight=1.0)
    >>> round(loss.item(), 6)   # 0.75 ln 1.5 + 0.25 ln 0.5
    0.130812
    """
    if low_quality.shape != favoured.shape:
        raise ValueError(
            f"catch_up_loss wants equal shapes, got {tuple(low_quality.shape)} and {tuple(favoured.shape)}"
        )
    wide = torch.promote_types(low_quality.dtype, torch.float32)
    log_p = low_quality.flatten(1).to(wide).log_softmax(1)  # (B, C*H*W)
    log_t = favoured.detach().flatten(1).to(wide).log_softmax(1)  # (B, C*H*W)
    return weight * F.kl_div(log_p, log_t, reduction="batchmean", log_target=True)


def alternation(epochs: int) -> str:
    """Which learner trains in each epoch: a quarter U, a quarter C, then in turn, U first and C last.

    For 24 epochs the published order; for other lengths the same proportions, a remainder going to C. Raises ValueError
    for less than one epoch.

    >>> alternation(24)
    'UUUUUUCCCCCCUCUCUCUCUCUC'
    """
    if epochs < 1:
        raise ValueError(f"alternation wants at least one epoch, got {epochs}")
    quarter = epochs // 4
    rest = epochs - 2 * quarter
    return CATCH_UP * quarter + CRUX * (quarter + rest % 2) + (CATCH_UP + CRUX) * (rest // 2)


def turns(text: str, epochs: int) -> str:
    """One letter per epoch: the given text, repeated as often as needed, or the published order where there is none.

    Raises UserError for another letter, a text longer than the run, or an order that ends with U.

    >>> turns("UCC", 6)
    'UCCUCC'
    """
    letters = (text.upper() * epochs)[: max(epochs, len(text))] if text else alternation(epochs)
    if set(letters) <= {CATCH_UP, CRUX, BOTH} and len(letters) == epochs and not letters.endswith(CATCH_UP):
        return letters
    raise UserError(
        f"--lcp-turns {text}: expected up to {epochs} letters (--epochs), each U, C or B, so that the last epoch is no U; "
        "leave it out for the published order."
    )


@contextmanager
def shallow_norms(detector: Detector, training: bool) -> Iterator[None]:
    """Inside, the batch norms of the shallow layers follow the images they see (training), or stay as they are."""
    norms = [part for row in shallow_rows(detector) for part in row.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [norm.training for norm in norms]
    for norm in norms:
        norm.train(training)
    try:
        yield
    finally:
        for norm, mode in zip(norms, before, strict=True):
            norm.train(mode)


def follow_statistics(detector: Detector, images: Tensor) -> None:
    """Let the batch statistics of the shallow layers follow images (B, 3, H, W), and nothing else change."""
    with shallow_norms(detector, training=True), torch.no_grad():
        shared_features(detector, images)


class LCP(Method):
    """The method `lcp`: freezes the right parts in each epoch, and pulls crux features towards clear ones in U."""

    name = "lcp"
    Options = LCPOptions
    letters = ""  # of the run, a letter an epoch
    letter = ""  # of the current epoch

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """The letters of the run. Clear images are asked for only where some epoch looks at them."""
        self.letters = turns(self.options.lcp_turns, epochs)
        self.views = (CLEAR,) if set(self.letters) & {CATCH_UP, BOTH} else ()
        return {"lcp_turns": self.letters}

    def attach(self, detector: Detector) -> None:
        """Raise UserError for a model without crux rows."""
        if find_split(detector) is None or find_row(detector, CatchUpFuse) is None:
            stem = Path(str(detector.yaml.get("yaml_file", ""))).stem
            better = f"{stem}-crux" if stem else "yolov8n-crux"
            raise UserError(
                f"--method lcp: {stem or 'this network'} has no crux rows. Name a model that has, such as "
                f"--cfg models/{better}.yaml; --weights of the plain model go into it."
            )

    def notes(self, detector: Detector) -> list[str]:
        """The order of the turns, and what never trains."""
        rows = [layer.i for layer in shallow_rows(detector)]
        order = f"lcp: epochs {self.letters} (U: catch-up learner alone, C: crux learner and detector, B: both at once)"
        still = f"lcp: rows {rows[0]} to {rows[-1]} keep the weights they start with; give them --weights "
        still += "trained on clear images"
        return [order, still] if self.options.lcp_shallow == "rest" else [order]

    def rates(self, detector: Detector) -> dict[nn.Module, float]:
        """The crux learner's own multiple of the learning rate."""
        split = find_split(detector)
        return {split: self.options.crux_lr_gain} if split is not None else {}

    def on_epoch(self, run: Run) -> None:
        """U: all but the catch-up learner is frozen, without task loss. C: it is frozen, and the shallow layers. B: only they."""
        letter = self.letters[run.epoch]
        fuse = find_row(run.detector, CatchUpFuse)
        if letter == CATCH_UP:
            run.frozen += [layer for layer in run.detector.model if layer is not fuse] + [fuse.fusion]
            run.with_task_loss = False
        else:
            places = {"rest": run.frozen, "steady": run.bn_eval}
            if self.options.lcp_shallow in places:
                places[self.options.lcp_shallow].extend(shallow_rows(run.detector))
            run.frozen += [] if self.options.train_catch_up or letter == BOTH else [fuse.catch_up]
        run.skip_validation |= not self.letters[: run.epoch + 1].strip(CATCH_UP)
        run.log["lcp"] = letter
        self.letter = letter

    def loss(self, step: Step) -> dict[str, Tensor]:
        """In U and B: features of the pushed cruxes against those of clear images' cruxes. In C: nothing of its own."""
        if self.letter == CRUX:
            return {}
        low_quality, favoured = step.batch["img"], step.batch["favoured"]
        if self.options.adapt_statistics and self.letter == CATCH_UP:
            follow_statistics(step.detector, low_quality)
        with (
            shallow_norms(step.detector, training=False),
            torch.no_grad(),
        ):  # this loss is for the catch-up learner alone
            shallow, deep = crux_features(step.detector, torch.cat([low_quality, favoured]))
        size = len(low_quality)
        pushed = deep[:size] + find_row(step.detector, CatchUpFuse).catch_up(shallow[:size])
        return {"catch_up": catch_up_loss(pushed, deep[size:], self.options.catch_up_weight)}
