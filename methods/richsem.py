"""RichSem: learn the class names' likenesses from what a frozen CLIP says of every object (Meng et al., NeurIPS 2023).

A linear branch on the penultimate class feature predicts the teacher's distribution over all names at every anchor that is
assigned to an object. The branch is dropped at the end; the class branch keeps the feature that it helped to form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.detection.columns import IGNORE
from data.soft_labels.cache import TeacherCache
from methods.base import Batch, Detector, Method, Step, Term, View
from methods.federated import federated_classes
from methods.options.richsem import RICHSEM_COMMANDS, RICHSEM_KEYS, RichSemOptions
from models.loss.rows import Rows, rows_of
from models.semantic import SemanticBranch, anchor_features, penultimate_channels, penultimate_names
from utils.errors import UserError

__all__ = ["RichSem", "federated_classes", "object_weights", "semantic_loss"]

LABELS = "soft_labels"  # entry of a batch
ASSIGNED = "assigned"  # entry of a branch's predictions


class AnchorMatches(NamedTuple):
    """What the assigner decided for one branch of predictions, (B, A) each.

    objects: the place of each anchor's object in its image's list; foreground: bool, which anchors have one; quality:
    how good each is, the largest target score.
    """

    objects: Tensor
    foreground: Tensor
    quality: Tensor


class SoftLabels(NamedTuple):
    """Of a batch: rows (B, most) int64, the place of each object's embedding among `embeddings` (m, D), or IGNORE."""

    rows: Tensor
    embeddings: Tensor


class RichSem(Method):
    """The method `richsem`: a semantic branch beside the class branches, and the KL divergence to the cached teacher."""

    name = "richsem"
    Options = RichSemOptions
    commands = RICHSEM_COMMANDS
    keys = RICHSEM_KEYS
    views = (View("soft_label_index", "per_object"),)
    names: Sequence[str] = ()
    branch: SemanticBranch

    @cached_property
    def cache(self) -> TeacherCache:
        """The teacher cache. Raises UserError where none is named, or where it is damaged."""
        if self.options.teacher is None:
            raise UserError(
                "--method richsem: needs the teacher cache of the training set; give --teacher FOLDER. Make one with "
                "'python prepare.py teacher --data YAML --checkpoint FILE' (or --train-demo; and --extra for extra images)."
            )
        return TeacherCache(self.options.teacher)

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """Nothing to resolve; a cache that is missing or damaged is found before anything else happens."""
        _ = self.cache
        return {}

    def check(self, labels: Sequence[Any], names: Mapping[int, str], extra: Sequence[Any] = ()) -> None:
        """Raise UserError where the cache belongs to other labels or class names than this training has."""
        self.cache.check([labels, extra] if len(extra) else [labels], list(names.values()))

    def attach(self, detector: Detector) -> None:
        """Build the branch. Raises UserError for a head without class branches."""
        try:
            self.names = penultimate_names(detector)
            channels = penultimate_channels(detector)
        except ValueError as problem:
            raise UserError(f"--method richsem: {problem}. Choose a YOLO detector such as yolov8n.") from None
        self.branch = SemanticBranch(channels, torch.from_numpy(self.cache.text), self.cache.meta.scale)

    def taps(self, detector: Detector) -> dict[str, Any]:
        """The penultimate class feature of each level, by the name of its module."""
        return {f"semantic{level}": name for level, name in enumerate(penultimate_names(detector))}

    def notes(self, detector: Detector) -> list[str]:
        """Whose soft labels these are."""
        meta, (rows, dimensions) = self.cache.meta, self.cache.embeddings.shape
        source, names = f"{meta.model} ({meta.mode})", len(self.cache.text)
        return [f"richsem: {rows} soft labels of {dimensions} numbers by {source}, {names} names"]

    def criterion(self, branch: Any) -> None:
        """Let the branch of the loss leave beside its predictions what was assigned to which anchor.

        The assigner is looked up at each call: whichever method puts in another one, it is the last that counts.
        """
        original = branch.get_assigned_targets_and_loss

        def watched(preds: dict[str, Any], batch: Batch, **options: Any) -> Any:
            assigner = branch.assigner
            seen: list[Any] = []

            def noting(*args: Any, **kwargs: Any) -> Any:
                seen[:] = assigner(*args, **kwargs)
                return tuple(seen)

            branch.assigner = noting
            try:
                result = original(preds, batch, **options)
            finally:
                branch.assigner = assigner
            _, _, scores, foreground, objects = seen
            preds[ASSIGNED] = AnchorMatches(objects.long(), foreground.bool(), scores.detach().amax(2))
            return result

        branch.get_assigned_targets_and_loss = watched

    def terms(self) -> dict[str, Term]:
        """What sets the weight of `semantic`."""
        return {"semantic": Term("semantic_weight")}

    def draw(self, batch: Batch) -> None:
        """Read the soft labels of a batch, each once."""
        rows = padded_rows(batch["batch_idx"], batch["soft_label_index"], len(batch["img"]))
        once, places = rows.cpu().unique(return_inverse=True)
        known = once[once != IGNORE]
        embeddings = torch.from_numpy(np.ascontiguousarray(self.cache.rows(known.numpy())))  # (m, D)
        batch[LABELS] = SoftLabels(places - (len(once) - len(known)), embeddings)  # IGNORE, the least, becomes -1

    def loss(self, step: Step) -> dict[str, Tensor]:
        """`semantic`, the KL divergence averaged over the objects that have an anchor and a soft label."""
        features = anchor_features([step.taps[f"semantic{level}"] for level in range(len(self.names))])  # (B, A, c)
        predictions = step.predictions
        if not isinstance(predictions, dict):
            raise UserError(
                "--freeze: the detector's head is frozen, and --method richsem teaches through it. Freeze fewer layers."
            )
        assigned: AnchorMatches = predictions.get("one2many", predictions)[ASSIGNED]
        labels: SoftLabels = step.batch[LABELS]
        anchors, rows, objects = labelled_anchors(assigned, labels.rows, len(step.batch["cls"]))
        image, point, real = anchors
        teacher = self.branch.logits(labels.embeddings[rows])  # (M, C)
        weight = object_weights(assigned.quality[image, point], objects, labels.rows.numel(), real)
        value = self.options.semantic_weight * semantic_loss(self.branch(features[image, point]), teacher, weight)
        step.log["semantic"] = value.detach()
        return {"semantic": value * step.images}


def padded_rows(batch_idx: Tensor, soft_label_index: Tensor, images: int) -> Tensor:
    """Rows (N,) of a batch's objects as (images, most), IGNORE where there is none, packed as the detection loss packs.

    batch_idx: (N,) the image of each object, in rising order.

    >>> padded_rows(torch.tensor([0.0, 0.0, 2.0]), torch.tensor([5, 6, 7]), 3).tolist()
    [[5, 6], [-1, -1], [7, -1]]
    """
    owner = batch_idx.view(-1).long()
    counts = torch.bincount(owner, minlength=images)
    starts = counts.cumsum(0) - counts
    place = torch.arange(len(owner), device=owner.device) - starts[owner]
    most = int(counts.max()) if len(owner) else 0
    rows = torch.full((images, max(most, 1)), IGNORE, dtype=torch.long, device=owner.device)
    rows[owner, place] = soft_label_index.to(owner.device)
    return rows


def labelled_anchors(assigned: AnchorMatches, rows: Tensor, objects: int) -> tuple[Rows, Tensor, Tensor]:
    """Which anchors have an object with a soft label, (M,); `rows` (M,) of each of these, and a number (M,) of the object
    in this batch: an image may be in it twice. rows: (B, most). objects: of the batch.
    """
    images, most = rows.shape
    place = assigned.objects.clamp(max=most - 1)  # (B, A)
    row = rows.gather(1, place)  # (B, A)
    chosen = assigned.foreground & (row != IGNORE)
    number = place + most * torch.arange(images, device=rows.device)[:, None]  # (B, A)
    anchors = rows_of(chosen, objects)
    image, point, real = anchors
    return anchors, row[image, point] * real, number[image, point]


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
        raise ValueError(f"semantic_loss expects (M, C), (M, C) and (M,), got {', '.join(map(str, shapes))}")
    wide = torch.promote_types(student.dtype, torch.float32)
    log_q = student.to(wide).log_softmax(1)  # (M, C)
    log_p = teacher.detach().to(wide).log_softmax(1)  # (M, C)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1)  # (M,)
    w = torch.ones_like(divergence) if weight is None else weight.to(wide)
    return (w * divergence).sum() / w.sum().clamp(min=torch.finfo(wide).tiny)


def object_weights(quality: Tensor, objects: Tensor, most: int, real: Tensor | None = None) -> Tensor:
    """Weights (M,) of anchors, such that those of one object sum to 1, in proportion to their quality.

    quality: (M,), not negative, the assigner's target scores; objects: (M,) integers in 0 ... most - 1, the object of each
    anchor. Anchors of an object whose qualities are all 0 share evenly. real: (M,) bool, False in rows that weigh nothing.

    >>> object_weights(torch.tensor([0.6, 0.2, 0.5]), torch.tensor([4, 4, 9]), 10)
    tensor([0.7500, 0.2500, 1.0000])
    """
    share = quality.detach().float().clamp(min=1e-9)
    share = share if real is None else share * real
    sums = share.new_zeros(most).index_add_(0, objects, share)
    return share / sums[objects].clamp(min=1e-12)
