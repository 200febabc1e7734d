"""Equal to Ultralytics' NMS, bit for bit, by hand on three boxes, and without torchvision."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine.inference.nms import CROWDED, DetectionFilter, nms


def output(anchors: int, classes: int = 3, images: int = 2, seed: int = 0) -> torch.Tensor:
    """Raw predictions (B, 4 + classes, N) of crowded boxes."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(images, 2, anchors, generator=generator) * 200
    sides = torch.rand(images, 2, anchors, generator=generator) * 60 + 4
    return torch.cat([centres, sides, torch.rand(images, classes, anchors, generator=generator)], 1)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"conf": 0.9, "iou": 0.1},
        {"agnostic": True},
        {"classes": (1, 2)},
        {"max_det": 7},
        {"conf": 1.0},
    ],
)
def test_equal_to_ultralytics(given: dict) -> None:
    from ultralytics.utils.nms import non_max_suppression

    raw = output(400)
    mine = DetectionFilter(**{"conf": 0.6, **given})
    theirs = non_max_suppression(
        raw.clone(), mine.conf, mine.iou, classes=list(mine.classes) or None, agnostic=mine.agnostic, max_det=mine.max_det,
        max_time_img=float("inf"),
    )  # fmt: skip
    for found, expected in zip(mine(raw), theirs, strict=True):
        assert torch.equal(found, expected)


def test_crowded_images_give_the_same() -> None:
    raw = output(3 * CROWDED, images=1)
    boxes = raw[0, :4].T.contiguous()
    boxes[:, 2:] += boxes[:, :2]
    scores = raw[0, 4]
    few = nms(boxes[:CROWDED], scores[:CROWDED], 0.5)
    from torchvision.ops import nms as compiled

    assert torch.equal(few, compiled(boxes[:CROWDED], scores[:CROWDED], 0.5))
    assert torch.equal(nms(boxes, scores, 0.5), compiled(boxes, scores, 0.5))


def test_by_hand() -> None:
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4.8], [50, 50, 60, 60]]
    )  # IoU with the first: 0.5, 0.48
    scores = torch.tensor([0.9, 0.8, 0.7, 0.95])
    assert nms(boxes, scores, 0.5).tolist() == [3, 0, 1]  # 0.5 is not above 0.5; the third has 0.96 with the second
    assert nms(boxes, scores, 0.49).tolist() == [3, 0, 2]  # the second goes, and with it what it suppressed
    assert nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_what_has_no_overlaps_is_only_cut() -> None:
    rows = torch.tensor([[[0.0, 0, 9, 9, 0.9, 1], [0, 0, 9, 9, 0.8, 1], [0, 0, 9, 9, 0.7, 0], [0, 0, 9, 9, 0.1, 1]]])
    (found,) = DetectionFilter(0.25, max_det=3, classes=(1,), overlaps=False)(rows)
    assert torch.equal(found, rows[0, :2])


def test_torchvision_is_not_imported() -> None:
    code = (
        "import sys, torch, engine.inference.api; from engine.inference.nms import DetectionFilter;"
        "DetectionFilter()(torch.rand(1, 6, 50)); heavy = {'torchvision', 'seaborn', 'matplotlib', 'scipy', 'sympy', 'pandas'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "assert 'engine.evaluation' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
