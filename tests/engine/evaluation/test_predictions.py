"""The source of detections: a network whose state is left alone, and each image through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from data.config import DataConfig, load_data
from data.detection.dataset import build_dataset
from engine.evaluation import predictions as detections
from engine.evaluation.predictions import ImagePrediction, LossMeter, TimedDetector, inference_state, whole_images
from engine.evaluation.settings import EvalSettings
from engine.inference.stopwatch import Stopwatch
from models.detector import build


@pytest.fixture
def config(tiny_set: Path) -> DataConfig:
    return load_data(tiny_set)


def dataset_of(config: DataConfig) -> Any:
    return build_dataset(config, "val", imgsz=64, batch_size=2, stride=32)


def test_state_comes_back_after_an_error(config):
    model = build("yolov5n.yaml", config.names).train()
    with pytest.raises(ZeroDivisionError), inference_state(model, EvalSettings(max_det=300)):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ZeroDivisionError
    assert model.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("end2end", [False, True])
def test_head_without_nms_on_request(config, monkeypatch, end2end):
    asked: list[Any] = []
    real = detections.non_max_suppression
    monkeypatch.setattr(detections, "non_max_suppression", lambda *a, **k: asked.append(k) or real(*a, **k))
    model = build("yolo26n.yaml", config.names)
    settings = EvalSettings(2, max_det=300, end2end=end2end)
    detector = TimedDetector(model, torch.device("cpu"), settings, Stopwatch(torch.device("cpu")))
    with inference_state(model, settings):
        list(whole_images(detector, dataset_of(config)))
    assert [call["end2end"] for call in asked] == [end2end]
    assert asked[0]["max_time_img"] == float("inf")  # a slow machine loses no boxes
    assert asked[0]["multi_label"]


def test_boxes_go_back_through_the_letterbox():
    """x: (16 - 4) / 2 = 6, (40 - 4) / 2 = 18, (90 - 4) / 2 = 43, cut to the width of 30; y: (10 - 0) / 0.5 = 20, ..."""
    seen = ImagePrediction(
        "a.png", (60, 30), torch.zeros(0, 6), torch.zeros(0, 4), torch.zeros(0), ((0.5, 2.0), (4, 0))
    )
    boxes = torch.tensor([[16.0, 10, 40, 20], [16, -5, 90, 20]])
    assert seen.original(boxes).tolist() == [[6, 20, 18, 40], [6, 0, 30, 40]]
    assert boxes[0].tolist() == [16, 10, 40, 20]


def test_loss_items_are_means_over_images() -> None:
    """Two images at 1.0 and one at 4.0: (2 * 1 + 4) / 3 = 2."""
    values = iter([1.0, 4.0])
    meter = LossMeter(lambda predictions, batch: (torch.zeros(3), {"box_loss": torch.tensor(next(values))}))
    for images in (2, 1):
        meter.add(None, {"img": torch.zeros(images, 3, 8, 8), "im_file": ["a"]}, torch.device("cpu"))
    assert meter.means() == {"box_loss": 2.0}
