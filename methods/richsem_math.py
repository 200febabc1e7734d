"""RichSem's loss: how far a student's distribution over the class names is from the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor


def semantic_loss(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """The weighted mean of KL(teacher || student) over rows, softmax over all classes.

    student, teacher: logits (M, C), cosines already multiplied by the temperature's inverse (about 100); the teacher is
    not differentiated. weight: (M,), not negative; None weighs all rows alike. Returns a scalar, 0 without rows or
    without weight, in float32 at least. Raises ValueError on unequal shapes.
    Source: RichSem, NeurIPS 2023; specification 2.4.

    >>> loss = semantic_loss(torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log())
    >>> round(loss.item(), 6)   # 0.75 ln 1.5 + 0.25 ln 0.5
    0.130812
    """
    if student.shape != teacher.shape or (weight is not None and weight.shape != student.shape[:1]):
        shapes = [tuple(t.shape) for t in (student, teacher, weight) if t is not None]
        raise ValueError(f"semantic_loss wants (M, C), (M, C) and (M,), got {', '.join(map(str, shapes))}")
    wide = torch.promote_types(student.dtype, torch.float32)
    log_q = student.to(wide).log_softmax(1)  # (M, C)
    log_p = teacher.detach().to(wide).log_softmax(1)  # (M, C)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1)  # (M,)
    w = torch.ones_like(divergence) if weight is None else weight.to(wide)
    return (w * divergence).sum() / w.sum().clamp(min=torch.finfo(wide).tiny)


def object_weights(quality: Tensor, objects: Tensor) -> Tensor:
    """Weights (M,) of anchors, such that those of one object sum to 1, in proportion to their quality.

    quality: (M,), not negative, the assigner's target scores; objects: (M,) integers, the object of each anchor. Anchors of
    an object whose qualities are all 0 share evenly.

    >>> object_weights(torch.tensor([0.6, 0.2, 0.5]), torch.tensor([4, 4, 9]))
    tensor([0.7500, 0.2500, 1.0000])
    """
    share = quality.detach().float().clamp(min=1e-9)
    _, places = objects.unique(return_inverse=True)
    sums = share.new_zeros(len(share)).index_add_(0, places, share)  # at most one object an anchor
    return share / sums[places]
