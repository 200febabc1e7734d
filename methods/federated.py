"""Federated class loss: of many classes, each image's loss looks at a few only. Pure arithmetic over tensors.

In a federated set an image is labelled for some classes; of all others nobody knows whether they are there. And where
there are a thousand classes, a rare one is background in nearly every image, which teaches the detector never to name
it. Both are eased by a loss over the labelled classes and a few drawn ones.
Source: Gupta et al., LVIS (2019), for the labels; Zhou et al., Probabilistic two-stage detection (2021), for the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from data.detection.federated import FederatedLabels, merged

__all__ = [
    "FederatedSet", "FederatedLabels", "federated_bce", "federated_classes", "federated_set", "federated_weight",
    "gather_classes", "merged",
]  # fmt: skip


def federated_classes(
    labels: Tensor, frequency: Tensor, k: int = 50, generator: torch.Generator | None = None
) -> Tensor:
    """The classes that a loss looks at: all of `labels`, each once and ascending, then drawn ones up to `k` in all.

    labels: (n,) class numbers; frequency: (C,) images of each class in the training set. A class is drawn with a
    probability proportional to the square root of its frequency, none twice, one of frequency 0 never: fewer than k
    come back where there are not enough. Returns (m,) int64 on the device of `frequency`; drawn on the CPU, so that a
    seed means the same everywhere. Raises ValueError for a label outside 0 ... C - 1.
    """
    present = labels.to("cpu", torch.int64).unique()  # sorted
    chance = frequency.detach().to("cpu", torch.float32).sqrt()
    if len(present) and not 0 <= int(present[0]) <= int(present[-1]) < len(chance):
        raise ValueError(f"labels {int(present[0])} to {int(present[-1])} do not fit {len(chance)} frequencies")
    chance[present] = 0
    more = min(k - len(present), int(chance.count_nonzero()))
    if more > 0:
        present = torch.cat([present, torch.multinomial(chance, more, generator=generator)])
    return present.to(frequency.device)


class FederatedSet(NamedTuple):
    """The classes that count in each of B images: K columns, of which some images use fewer.

    ids: (B, K) int64, class numbers, 0 where a column is not used; used: (B, K) bool; negative: (B, K) bool, whether
    points that train no object of the class count against it (never where the labels are partial).
    """

    ids: Tensor
    used: Tensor
    negative: Tensor


def federated_set(
    labels: Sequence[Tensor],
    frequency: Tensor,
    k: int = 50,
    generator: torch.Generator | None = None,
    verified: Sequence[FederatedLabels] | None = None,
    shared: bool = False,
) -> FederatedSet:
    """Choose the classes of each image: its labels, those verified to be absent, and drawn ones up to `k`.

    labels: of each image, (n,) class numbers; frequency: (C,); verified: of each image, None where nothing is known
    beyond the labels. A class with partial labels is never drawn. `shared`: all images look at the classes of the whole
    batch, as published; many classes are labelled in a large batch, and none is drawn then. Raises ValueError for
    unequal numbers of images.
    """
    known = [FederatedLabels()] * len(labels) if verified is None else list(verified)
    if len(known) != len(labels):
        raise ValueError(f"{len(known)} verified images for {len(labels)} labelled ones")
    if shared and labels:
        chosen = [federated_classes(torch.cat([row.flatten() for row in labels]), frequency, k, generator)]
        chosen *= len(labels)
    else:
        pairs = zip(labels, known, strict=True)
        chosen = [_classes_of(row, image, frequency, k, generator) for row, image in pairs]
    return _columns(chosen, known, frequency.device)


def _classes_of(
    labels: Tensor, image: FederatedLabels, frequency: Tensor, k: int, generator: torch.Generator | None
) -> Tensor:
    """The classes (m,) of one image."""
    chance = frequency.detach().clone()
    chance[list(image.partial)] = 0
    certain = torch.cat([labels.flatten().to("cpu", torch.int64), torch.tensor(image.absent, dtype=torch.int64)])
    return federated_classes(certain, chance, k, generator)


def _columns(chosen: Sequence[Tensor], known: Sequence[FederatedLabels], device: torch.device) -> FederatedSet:
    """Classes of each image (m,) side by side, padded to the most."""
    if not chosen:
        nothing = torch.zeros(0, 0, dtype=torch.int64, device=device)
        return FederatedSet(nothing, nothing.bool(), nothing.bool())
    padded = pad_sequence([row.to(device) for row in chosen], batch_first=True, padding_value=-1)  # (B, K)
    partial = [torch.tensor(image.partial, dtype=torch.int64, device=device) for image in known]
    surely = torch.stack([~torch.isin(row, those) for row, those in zip(padded, partial, strict=True)])  # (B, K)
    used = padded >= 0
    return FederatedSet(padded.clamp(min=0), used, used & surely)


def gather_classes(values: Tensor, chosen: FederatedSet) -> Tensor:
    """The columns (B, A, K) of values (B, A, C) that count in each image; unused columns hold those of class 0."""
    return values.gather(2, chosen.ids[:, None].expand(-1, values.shape[1], -1))


def federated_weight(targets: Tensor, chosen: FederatedSet) -> Tensor:
    """Which entries (B, A, K) of the loss count: bool. targets: (B, A, K) in [0, 1], as gathered.

    An entry counts where its column is used and it is a target, or the class is known or taken to be absent.
    """
    return (chosen.used[:, None] & (targets > 0)) | chosen.negative[:, None]


def federated_bce(scores: Tensor, targets: Tensor, chosen: FederatedSet) -> Tensor:
    """Binary cross-entropy over the classes that count, summed: a scalar >= 0.

    scores: (B, A, C) logits; targets: (B, A, C) in [0, 1], not differentiated. All targets of labelled classes are in
    it, so that dividing by their sum, as the whole loss does, stays right. With every class used it is the whole loss.
    """
    wanted = gather_classes(targets.detach(), chosen).to(scores.dtype)  # (B, A, K)
    loss = F.binary_cross_entropy_with_logits(gather_classes(scores, chosen), wanted, reduction="none")
    return loss.masked_fill(~federated_weight(wanted, chosen), 0.0).sum()
