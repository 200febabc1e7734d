"""LCP: learn where the picture fails, and catch up with clear ones there (Fu et al., TCSVT 2024).

Two learners in the network train in turn, an epoch each. U: the catch-up learner pulls the features of degraded crux
regions towards those of clear pictures. C: everything behind it, and the crux learner, learn to detect.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CATCH_UP, CRUX = "U", "C"


def catch_up_loss(low_quality: Tensor, favoured: Tensor, weight: float = 100.0) -> Tensor:
    """Pull where the features of degraded pictures have their mass towards where those of clear pictures have it.

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
