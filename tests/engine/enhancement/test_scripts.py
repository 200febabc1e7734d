"""`--enhance` in val.py and detect.py: where it acts, what outputs say, and what it does not go together with."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import engine
import engine.inference.api
from data.config import load_data
from data.detection.dataset import build_dataset
from engine.enhancement.enhancer import Enhancer
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.robustness import areas
from engine.evaluation.settings import EvalSettings
from models.detector import build
from utils.errors import UserError


@pytest.fixture
def given(tiny_set: Path, checkpoint: Path, tmp_path: Path) -> dict[str, Any]:
    """Options of val.py that work."""
    folders = {"data": tiny_set / "data.yaml", "weights": checkpoint, "project": tmp_path / "runs"}
    return {**folders, "imgsz": 64, "batch_size": 2, "plots": False, "workers": 0, "device": "cpu"}


def test_the_network_sees_brightened_images_in_grey_padding(tiny_set):
    """Images of 32 x 24 become 64 x 48 in 96 x 64, as Ultralytics pads rectangles: a half is image."""
    config = load_data(tiny_set / "data.yaml")
    dataset = build_dataset(config, "val", imgsz=64, batch_size=2, stride=32, rect=True)
    model, seen = build("yolov5n.yaml", config.names).eval(), []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    white = Enhancer("white", torch.ones_like)
    settings = EvalSettings(2, progress=False, enhance=lambda images, batch: white.within(images, areas(batch)))
    evaluate_detector(model, dataset, settings, device="cpu")
    (images,) = seen
    assert images.shape == (2, 3, 64, 96)
    assert images.unique().tolist() == pytest.approx([114 / 255, 1])
    assert (images == 1).float().mean() == 0.5


def test_a_sweep_of_corruptions_names_the_enhancer(given):
    result = engine.validate(**given, enhance="gamma", corruptions="fog", severities="3")
    content = json.loads((result.save_dir / "corruptions.json").read_text())
    assert {row["enhanced"] for row in (*content["rows"], *content["summary"])} == {"gamma"}


def test_outputs_name_the_enhancer(given, capsys):
    result = engine.validate(**given, enhance="gamma", save_json=True)
    assert result.reports[0].enhanced == "gamma"
    with (result.save_dir / "metrics.csv").open() as stream:
        assert {row["enhanced"] for row in csv.DictReader(stream)} == {"gamma"}
    (labels,) = result.save_dir.rglob("labels.json")
    assert "gamma enhanced" in json.loads(labels.read_text())["info"]["description"]
    assert "enhanced by gamma" in capsys.readouterr().out


def test_without_it_nothing_is_said(given, capsys):
    result = engine.validate(**given)
    assert result.reports[0].enhanced == ""
    assert "enhanced" not in (result.save_dir / "metrics.csv").read_text()
    assert "brightened" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enhance": "gamma", "slice": 32}, "--enhance: --slice does not support it.*prepare.py enhance"),
        ({"enhance": "gamma", "enhance_scale": 4}, "only zero-dce has a network with scale"),
        ({"enhance_weights": "mine.pt"}, "--enhance none: only zero-dce"),
        ({"enhance": "zero-dce", "enhance_weights": "mine.pt"}, "mine.pt: there is no such file"),
        ({"enhance": "retinex"}, "option enhance: 'retinex' does not fit"),
        ({"enhance": "zero-dce", "enhance_scale": 3}, "option enhance_scale: 3 does not fit"),
    ],
)
def test_mistakes_write_nothing(given, options, message):
    with pytest.raises(UserError, match=message):
        engine.validate(**given, **options)
    assert not given["project"].exists()


def test_detect_brightens_the_image_before_all_else(monkeypatch, make_image, tmp_path, checkpoint):
    """An image of mean .25 comes to .5 = 127.5 by gamma; the caller's own step, here halving, comes first."""
    asked: list[Any] = []

    def spy(options: Any, preprocess: Any) -> Any:
        asked.append(preprocess)
        raise UserError("seen enough")

    monkeypatch.setattr(engine.inference.api, "open_predictor", spy)
    source = make_image(tmp_path / "a.png")
    given: dict[str, Any] = {"weights": checkpoint, "source": str(source), "device": "cpu"}
    for options in ({"enhance": "gamma"}, {"enhance": "gamma", "preprocess": lambda image: image // 2}, {}):
        with pytest.raises(UserError, match="seen enough"):
            engine.detect(**given, **options)
    quarter, half = np.full((4, 4, 3), 64, np.uint8), np.full((4, 4, 3), 128, np.uint8)
    assert abs(asked[0](quarter).astype(int) - 128).max() <= 1
    assert abs(asked[1](half).astype(int) - 128).max() <= 1
    assert asked[2] is None
