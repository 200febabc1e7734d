"""Long-tailed training: a class loss over few classes per image, and images of which only one class is known.

In a coarse image every object is a whole image of its own, cut and put beside others. Where the thing is in it, nobody
knows: such an object takes the points that already see its class, gives no box loss, and says nothing about classes that
were not chosen. Source: RichSem, NeurIPS 2023, for coarse images; `methods.federated` for the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from data.detection.federated import federated_labels, merged
from methods.base import Batch, Method, View
from methods.federated import FederatedSet, federated_bce, federated_set
from methods.options.longtail import LongTailOptions

CHOSEN = "federated_set"  # entry of a batch: the classes that count
COARSE_CLASSES = 50  # of a coarse image where --federated does not say


class LongTail(Method):
    """The method `longtail`, which --federated and extra images bring along."""

    name = "longtail"
    Options = LongTailOptions
    views = (View("verified", "per_image", load=federated_labels, merge=merged),)

    def __init__(self, options: LongTailOptions | None = None) -> None:
        super().__init__(options)
        self.frequency = torch.zeros(0)
        self.chosen: FederatedSet | None = None
        self.coarse: Tensor | None = None

    def check(self, labels: Sequence[Any], names: Mapping[int, str], extra: Sequence[Any] = ()) -> None:
        """Count in how many images each class is."""
        classes = [torch.from_numpy(label.classes).long().unique() for label in labels]
        self.frequency = torch.bincount(torch.cat(classes), minlength=len(names)).float()  # (C,)

    def notes(self, detector: Any) -> list[str]:
        """What the loss looks at, and the classes that nothing is learnt of."""
        absent = int((self.frequency == 0).sum())
        looks = f"{self.options.federated} classes per image" if self.options.federated else "all classes"
        lines = [f"longtail: the class loss looks at {looks}"]
        lines += [f"longtail: {absent} of {len(self.frequency)} classes are in no training image"] * (absent > 0)
        return lines

    def draw(self, batch: Batch) -> None:
        """Choose the classes of every image, from the seed of the first one."""
        images, coarse = len(batch["img"]), batch.get("coarse")
        if not self.options.federated and coarse is None:
            return
        owner, classes = batch["batch_idx"].cpu(), batch["cls"].view(-1).long().cpu()
        labels = [classes[owner == number] for number in range(images)]
        whole = torch.zeros(images, dtype=torch.bool) if self.options.federated else ~coarse.cpu()  # type: ignore[union-attr]
        everything = torch.arange(len(self.frequency))
        batch[CHOSEN] = federated_set(
            [everything if all_of_them else own for own, all_of_them in zip(labels, whole.tolist(), strict=True)],
            self.frequency,
            self.options.federated or COARSE_CLASSES,
            torch.Generator().manual_seed(int(batch["seed"][0])),
            batch.get("verified"),
            self.options.federated_batch,
        )

    def prepare(self, batch: Batch) -> None:
        """Note what the loss of this batch looks at."""
        self.coarse, self.chosen = batch.get("coarse"), batch.get(CHOSEN)

    def criterion(self, branch: Any) -> None:
        """Put the three parts of the detection loss behind ones that know coarse images and chosen classes."""
        branch.bce = ChosenClasses(self, branch.bce)
        branch.bbox_loss = FineBoxes(self, branch.bbox_loss)
        branch.assigner = CoarseAssigner(self, branch.assigner)


class LossPart(nn.Module):
    """A part of the detection loss in place of `base`, Ultralytics' own, by what `method` chose for the batch."""

    def __init__(self, method: LongTail, base: Any) -> None:
        super().__init__()
        self.method, self.base = method, base


class ChosenClasses(LossPart):
    """Binary cross-entropy over the chosen classes, summed; Ultralytics' own, by element, where none are chosen."""

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """scores, targets: (B, A, C)."""
        if self.method.chosen is None:
            return self.base(scores, targets)
        return federated_bce(scores, targets, self.method.chosen)


class FineBoxes(LossPart):
    """The box loss without the objects of coarse images."""

    def forward(self, *args: Any) -> Any:
        """Ultralytics' arguments: the seventh is the foreground (B, A) bool."""
        coarse = self.method.coarse
        if coarse is None:
            return self.base(*args)
        return self.base(*args[:6], args[6] & ~coarse[:, None], *args[7:])


class CoarseAssigner(LossPart):
    """An assigner that ranks the points in a coarse object by their score alone.

    Task alignment is score^0.5 x IoU^6. The box that a coarse image's point predicts is taken to be the object it lies in,
    so that the IoU is 1: any assigner that reads predicted boxes does then what is wanted, and the best point's target is 1.
    """

    def forward(
        self, scores: Tensor, boxes: Tensor, points: Tensor, labels: Tensor, objects: Tensor, real: Tensor, **more: Any
    ) -> Any:
        """scores: (B, A, C); boxes: (B, A, 4); points: (A, 2); labels, objects, real: (B, n, 1), (B, n, 4), (B, n, 1)."""
        coarse = self.method.coarse
        if coarse is not None and objects.shape[1]:
            boxes = torch.where(coarse[:, None, None], objects_at(points, objects, real, boxes), boxes)
        return self.base(scores, boxes, points, labels, objects, real, **more)

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of an assigner, Ultralytics' own answers."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)


def objects_at(points: Tensor, objects: Tensor, real: Tensor, otherwise: Tensor) -> Tensor:
    """The object (B, A, 4) in which each point (A, 2) lies, the last of several; `otherwise` (B, A, 4) outside all.

    objects: (B, n, 4) x1 y1 x2 y2 px; real: (B, n, 1), 0 for places without an object.
    """
    low = (points[:, None] > objects[:, None, :, :2]).all(3)  # (B, A, n)
    high = (points[:, None] < objects[:, None, :, 2:]).all(3)  # (B, A, n)
    inside = low & high & real.bool().transpose(1, 2)  # (B, A, n)
    order = torch.arange(1, objects.shape[1] + 1, device=objects.device)
    last = (inside * order).amax(2)  # (B, A), 0 outside
    at = objects.gather(1, (last - 1).clamp(min=0)[..., None].expand(-1, -1, 4))
    return torch.where(last[..., None] > 0, at.to(otherwise.dtype), otherwise)
