"""Ultralytics' detection loss without waiting for the device: the same numbers, in one function of ours.

Ultralytics makes the anchors of every batch anew from the host, asks the device how many objects the fullest image has,
and looks up matched pairs with `nonzero`: 16 stops of the host a loss. Here geometry is kept by image size, counts come
with the batch, and on a device the pairs are computed for all places at once, or for as many as there can be.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.loss.rows import rows_of
from utils.ultralytics_env import contain_ultralytics

contain_ultralytics()

from ultralytics.utils.loss import BboxLoss  # noqa: E402
from ultralytics.utils.metrics import bbox_iou  # noqa: E402
from ultralytics.utils.ops import xywh2xyxy, xyxy2xywh  # noqa: E402
from ultralytics.utils.tal import TaskAlignedAssigner, bbox2dist, make_anchors  # noqa: E402

MOST = "most_objects"  # of a batch: how many objects its fullest image has, an int
SHARED = "made_of_labels"  # of a batch: a dict, in which losses over the same labels find what another has made of them
MOST_PAIRS = 2**23  # of objects and points that are compared at once on a device; above, matched pairs are looked up


class Geometry(NamedTuple):
    """Of one image size: points (A, 2) and their strides (A, 1), in cells; points (A, 2) px; height and width, px."""

    points: Tensor
    strides: Tensor
    places: Tensor
    size: Tensor
    scale: Tensor  # (4,) width, height, width, height


@lru_cache(maxsize=128)
def geometry(
    levels: tuple[tuple[int, int], ...], strides: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Geometry:
    """levels: (rows, columns) of each feature map, strides in px."""
    cpu = [torch.empty(1, 1, *level, dtype=dtype) for level in levels]
    points, steps = make_anchors(cpu, torch.tensor(strides), 0.5)
    size = torch.tensor(levels[0], dtype=dtype) * torch.tensor(strides[0])  # (2,)
    found = Geometry(points, steps, points * steps, size, size[[1, 0, 1, 0]])
    return Geometry(*(part.to(device) for part in found))


def most_objects(owners: Tensor) -> int:
    """How many objects the fullest image has. owners: (N,) the image of each object; waits unless it lies on the host."""
    return int(torch.bincount(owners.view(-1).long()).max()) if len(owners) else 0


def padded_objects(batch: dict[str, Any], images: int, device: torch.device) -> Tensor:
    """Objects of each image side by side, (images, most, 5): class, and xywh as fractions; 0 where there are fewer."""
    rows = torch.cat([batch["batch_idx"].view(-1, 1), batch["cls"].view(-1, 1), batch["bboxes"]], 1).to(
        device
    )  # (N, 6)
    most = batch[MOST] if MOST in batch else most_objects(batch["batch_idx"])
    padded = torch.zeros(images, most, 5, device=device)
    if len(rows):
        owner = rows[:, 0].long()
        before = torch.zeros(images + 1, dtype=torch.long, device=device)
        before = before.scatter_add_(0, owner + 1, torch.ones_like(owner)).cumsum(0)  # objects of the images before
        padded[owner, torch.arange(len(rows), device=device) - before[owner]] = rows[:, 1:]
    return padded


class Objects(NamedTuple):
    """Of a batch, padded: class (B, n, 1), xyxy px (B, n, 4), and 1 where there is an object, 0 where not (B, n, 1)."""

    labels: Tensor
    boxes: Tensor
    real: Tensor


def objects_in(batch: dict[str, Any], images: int, grid: Geometry) -> Objects:
    """The objects of a batch at the size of a grid."""
    labels, boxes = padded_objects(batch, images, grid.points.device).split((1, 4), 2)
    boxes = xywh2xyxy(boxes * grid.scale)  # (B, n, 4) px
    return Objects(labels, boxes, boxes.sum(2, keepdim=True).gt_(0.0))


def assigned_loss(
    branch: Any, strides: tuple[float, ...], gains: Tensor, preds: dict[str, Any], batch: dict[str, Any], **extra: Any
) -> Any:
    """What `v8DetectionLoss.get_assigned_targets_and_loss` returns, bit for bit on the CPU.

    gains: (3,), of box, class and distance loss. preds: of one branch: boxes (B, 4 * bins, A), scores (B, C, A), feats.
    batch: labels, and MOST and SHARED where they are known.
    """
    levels = tuple((int(level.shape[2]), int(level.shape[3])) for level in preds["feats"])
    distances, scores = (preds[name].permute(0, 2, 1).contiguous() for name in ("boxes", "scores"))  # (B, A, .)
    grid = geometry(levels, strides, scores.dtype, scores.device)
    shared = batch.get(SHARED, {})
    if levels not in shared:
        shared[levels] = objects_in(batch, len(scores), grid)
    labels, objects, real = shared[levels]
    boxes = branch.bbox_decode(grid.points, distances)  # (B, A, 4), in cells
    _, target_boxes, targets, positive, owners = branch.assigner(
        scores.detach().sigmoid(),
        (boxes.detach() * grid.strides).type(objects.dtype),
        grid.places,
        labels,
        objects,
        real,
        **extra,
    )
    whole = targets.sum().clamp_(min=1)
    by_class = branch.bce(scores, targets.to(scores.dtype))  # (B, A, C)
    if branch.class_weights is not None:
        by_class *= branch.class_weights
    overlap, distance = branch.bbox_loss(
        distances, boxes, grid.points, target_boxes / grid.strides, targets, whole, positive, grid.size, grid.strides
    )
    loss = torch.stack([overlap.float(), (by_class.sum() / whole).float(), distance.float()]) * gains
    items = dict(zip(branch.loss_names, loss.detach(), strict=False))
    return (positive, owners, target_boxes, grid.points, grid.strides), loss, items


class DenseAssigner(TaskAlignedAssigner):
    """Ultralytics' assigner that compares every object with every point instead of looking up the pairs that can match.

    shared: as SHARED of the batch; also holds, for each tensor of boxes, which points lie in them.
    """

    shared: dict[Any, Any] | None = None

    def get_box_metrics(
        self, pd_scores: Tensor, pd_bboxes: Tensor, gt_labels: Tensor, gt_bboxes: Tensor, mask_gt: Tensor, **extra: Any
    ) -> tuple[Tensor, Tensor]:
        """Alignment and overlap (b, n, A), 0 where mask_gt (b, n, A) is."""
        if mask_gt.numel() > MOST_PAIRS or extra:
            return super().get_box_metrics(pd_scores, pd_bboxes, gt_labels, gt_bboxes, mask_gt, **extra)
        inside, label = mask_gt.bool(), gt_labels.long()  # (b, n, A), (b, n, 1)
        scores = pd_scores.transpose(1, 2).gather(1, label.expand(-1, -1, pd_scores.shape[1]))  # (b, n, A)
        overlaps = self.iou_calculation(gt_bboxes[:, :, None], pd_bboxes[:, None])  # (b, n, A)
        overlaps = overlaps.masked_fill(~inside, 0).to(pd_bboxes.dtype)
        return (scores.pow(self.alpha) * overlaps.pow(self.beta)).masked_fill(~inside, 0), overlaps

    def select_candidates_in_gts(
        self, xy_centers: Tensor, gt_bboxes: Tensor, mask_gt: Tensor, eps: float = 1e-9
    ) -> Tensor:
        """Which points (A, 2) lie in each object, (b, n, A); sides below `stride_val` count as that long."""
        shared = {} if self.shared is None else self.shared
        key = id(gt_bboxes), self.stride_val
        if key not in shared:  # with the tensor, so that its id stays its own
            shared[key] = gt_bboxes, self._inside(xy_centers, gt_bboxes, mask_gt, eps)
        inside: Tensor = shared[key][1]
        return inside

    def _inside(self, xy_centers: Tensor, gt_bboxes: Tensor, mask_gt: Tensor, eps: float) -> Tensor:
        middle = xyxy2xywh(gt_bboxes)
        side = middle[..., 2:]
        side = side.masked_fill((side < self.stride_val) & mask_gt.bool(), self.stride_val)
        low, high = xywh2xyxy(torch.cat([middle[..., :2], side], -1)).unsqueeze(2).chunk(2, 3)  # (b, n, 1, 2) each
        return ((xy_centers - low > eps) & (high - xy_centers > eps)).all(3)


class RowBoxLoss(nn.Module):
    """`BboxLoss` over the matched points, of which there are at most so many per object: their number stays on the device."""

    def __init__(self, base: BboxLoss) -> None:
        super().__init__()
        self.base, self.objects = base, 0

    def forward(
        self, distances: Tensor, boxes: Tensor, points: Tensor, target_boxes: Tensor, targets: Tensor, whole: Tensor,
        positive: Tensor, size: Tensor, strides: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `BboxLoss`. Rows beyond the matched ones count 0."""
        image, point, real = rows_of(positive, self.objects)
        mine = distances[image, point], boxes[image, point], target_boxes[image, point]
        weight = targets[image, point].sum(-1, keepdim=True) * real[:, None]  # (K, 1)
        overlap = ((1.0 - bbox_iou(mine[1], mine[2], xywh=False, CIoU=True)) * weight).sum() / whole
        if self.base.dfl_loss:
            bins = self.base.dfl_loss.reg_max
            sides = bbox2dist(points[point], mine[2], bins - 1)
            return overlap, (self.base.dfl_loss(mine[0].view(-1, bins), sides) * weight).sum() / whole
        unit = strides[point] / size.flip(0).repeat(2)  # (K, 4)
        away = (mine[0] * unit - bbox2dist(points[point], mine[2]) * unit).abs().mean(-1, keepdim=True)
        return overlap, (away * weight).sum() / whole


def without_waits(branch: Any, device: torch.device) -> None:
    """Let a detection loss of Ultralytics run without a stop of the host. On the CPU its numbers stay, bit for bit."""
    strides = tuple(branch.stride.tolist())
    gains = torch.tensor([branch.hyp.box, branch.hyp.cls, branch.hyp.dfl], device=device)
    dense: DenseAssigner | None = None
    if device.type != "cpu":
        kept = branch.assigner
        branch.assigner = dense = DenseAssigner(
            kept.topk, kept.num_classes, kept.alpha, kept.beta, kept.stride, kept.eps, kept.topk2
        )
        boxes = branch.bbox_loss = RowBoxLoss(branch.bbox_loss)

    def loss(preds: dict[str, Any], batch: dict[str, Any], **extra: Any) -> Any:
        if dense is not None:
            boxes.objects, dense.shared = len(batch["cls"]), batch.get(SHARED)
        found = assigned_loss(branch, strides, gains, preds, batch, **extra)
        if dense is not None:
            dense.shared = None  # so that no memory outlives the step
        return found

    branch.get_assigned_targets_and_loss = loss
