"""Where a class is confident, boxes are those of the plain head, whether candidates are few, many or none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.inference.backends.candidates import CandidateBoxes, boxes_of_candidates
from engine.inference.backends.pytorch import TorchBackend
from engine.inference.predictor import Predictor
from models.detector import build


class Logits(nn.Module):
    """A class branch whose scores differ from cell to cell, whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn(len(x), 2, *x.shape[2:], generator=torch.Generator().manual_seed(x.shape[2]))


def detector(name: str = "yolov8n") -> Any:
    torch.manual_seed(0)
    model = build(name, {0: "a", 1: "b"}).eval().fuse(verbose=False)
    model.model[-1].cv3 = nn.ModuleList(Logits() for _ in range(3))
    return model


def images() -> Tensor:
    return torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolo26n"])
@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.5, 1.0])
@torch.no_grad()
def test_boxes_equal_the_plain_heads(name: str, fraction: float) -> None:
    model, x = detector(name), images()
    expected = model(x)[0]
    confidence = expected[:, 4:].amax(1)  # (2, N)
    conf = float(confidence.flatten().sort(descending=True).values[round(fraction * (confidence.numel() - 1))])
    conf = 0.0 if fraction == 1.0 else conf
    assert boxes_of_candidates(model, conf)
    found = model(x)[0]
    kept = confidence > conf
    assert kept.float().mean().item() == pytest.approx(fraction, abs=0.005)
    torch.testing.assert_close(found[:, 4:], expected[:, 4:], atol=1e-6, rtol=1e-5)
    boxes, others = found[:, :4].transpose(1, 2), expected[:, :4].transpose(1, 2)  # (2, N, 4)
    torch.testing.assert_close(boxes[kept], others[kept], atol=1e-3, rtol=1e-5)
    assert not boxes[~kept].any()


@torch.no_grad()
def test_a_candidate_in_each_corner_sees_the_same_padding() -> None:
    head = detector().model[-1]
    branch = CandidateBoxes(head, 0.0)
    x = torch.rand(2, 64, 7, 9, generator=torch.Generator().manual_seed(2))
    image = torch.tensor([0, 0, 0, 0, 1, 1])
    row, column = torch.tensor([0, 0, 6, 6, 3, 1]), torch.tensor([0, 8, 0, 8, 4, 7])
    expected = head.cv2[0](x)[image, :, row, column]  # (6, 4 * reg_max)
    torch.testing.assert_close(branch._nearby(0, x, image, row, column), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_other_heads_stay_as_they_are() -> None:
    torch.manual_seed(0)
    model = build("yolo26n", {0: "a"}).eval()
    model.end2end = True
    model = model.fuse(verbose=False)
    expected = model(images())[0]
    assert not boxes_of_candidates(model, 0.5)
    assert torch.equal(model(images())[0], expected)
    wide = detector()
    wide.model[-1].cv2[1][0].conv.kernel_size = (5, 5)
    assert not boxes_of_candidates(wide, 0.5)


@pytest.mark.parametrize("augment", [False, True])
def test_detections_are_the_same(augment: bool) -> None:
    shown = [np.random.default_rng(n).integers(0, 255, (90, 120, 3), dtype=np.uint8) for n in range(3)]
    conf = 0.9
    plain, quick = (
        Predictor(TorchBackend(detector(), augment=augment, conf=given), imgsz=(128, 128), conf=conf)(shown)
        for given in (None, conf)
    )
    assert sum(map(len, plain)) > 3
    for ours, theirs in zip(quick, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-5)
