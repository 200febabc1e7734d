"""The robustness table: means by hand, agreement with the usual evaluation, independence of batches, and the files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.config import load_data
from data.degradations.corruption_sets import choose_corruptions
from data.detection.dataset import build_dataset
from engine.evaluation import robustness as corruptions
from engine.evaluation.evaluator import evaluate_detector
from engine.evaluation.robustness import (
    Images,
    RobustnessPlan,
    Sweep,
    areas,
    name_below,
    summary,
    sweep,
    time_line,
    write,
)
from engine.evaluation.settings import EvalSettings
from engine.results import Report

CPU = torch.device("cpu")


class Averages(nn.Module):
    """Finds one box in the middle of every image, as sure as the image is bright: it sees every corruption."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names, self.model = names, nn.ModuleList([nn.Identity()])

    def forward(self, images: Tensor, augment: bool = False) -> tuple[Tensor, None]:
        """(B, 3, H, W) in [0, 1] -> (B, 4 + classes, 2)."""
        height, width = images.shape[2:]
        out = torch.zeros(len(images), 4 + len(self.names), 2)
        out[:, :4, 0] = torch.tensor((width / 2, height / 2, width / 4, height / 2))
        out[:, 4, 0] = images.mean((1, 2, 3))
        return out, None


def plan_of(names: str, severities: list[int], root: Path = Path(), **options: Any) -> RobustnessPlan:
    settings = EvalSettings(progress=False, **options)
    return RobustnessPlan(choose_corruptions(names), severities, settings, CPU, root)


@pytest.fixture
def small(tiny_set: Path) -> Any:
    """The train split of the tiny set (four images of 32 x 24), and a function from batch size to data set."""
    config = load_data(tiny_set / "data.yaml")
    return config, lambda size, **more: build_dataset(config, "train", imgsz=64, batch_size=size, rect=True, **more)


def report(ap: float, ap50: float) -> Report:
    metrics = {"precision": 0.0, "recall": 0.0, "mAP50": ap50, "mAP50-95": ap}
    return Report("night", "val", 4, 8, metrics, [], {})


def by_hand() -> Sweep:
    """Clean 0.5; rain 0.4 and 0.2; COCO-C's fog 0.3 and 0.1."""
    plan = plan_of("rain,coco-c:fog", [1, 3])
    (rain, fog), values = plan.corrupters, (0.4, 0.2, 0.3, 0.1)
    places = [(rain, 1), (rain, 3), (fog, 1), (fog, 3)]
    found = {place: report(value, 2 * value) for place, value in zip(places, values, strict=True)}
    seconds = {
        "loading": 1.0,
        "corruptions": 2.0,
        "preprocess": 0.5,
        "inference": 5.0,
        "postprocess": 1.0,
        "total": 10.0,
    }
    return Sweep(plan, report(0.5, 0.9), found, seconds)


def test_means_by_hand():
    """mPC of a set is the mean over its severities: 0.3 and 0.2; rPC divides by the clean 0.5: 0.6 and 0.4."""
    found = by_hand()
    rows = summary(found)
    assert [row["set"] for row in rows] == ["physical", "coco-c"]
    assert [row["mPC"] for row in rows] == pytest.approx([0.3, 0.2])
    assert [row["rPC"] for row in rows] == pytest.approx([0.6, 0.4])
    assert found.table(1).tolist() == [[0.8, 0.4], [0.6, 0.2]]


def test_time_by_hand():
    """5 of 10 s in the network; what no stage took (0.5 s) is matching and averaging."""
    line = time_line(by_hand())
    assert by_hand().outside == pytest.approx(0.5)
    for part in ("10.0 s, 50.0 % of them outside", "corruptions 20.0 %", "loading 15.0 %", "averaging 5.0 %"):
        assert part in line


def test_without_objects_there_is_no_ratio(tmp_path, capsys):
    found = by_hand()
    found.clean = report(0.0, 0.0)
    write([found], tmp_path)
    assert json.loads((tmp_path / "corruptions.json").read_text())["summary"][0]["rPC"] is None


def test_files(tmp_path, capsys):
    write([by_hand()], tmp_path)
    with (tmp_path / "corruptions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["corruption"], row["severity"], row["mAP50-95"]) for row in rows[:3]] == [
        ("clean", "0", "0.5"),
        ("rain", "1", "0.4"),
        ("rain", "3", "0.2"),
    ]
    assert rows[-1]["set"] == "coco-c" and rows[-1]["resolution"] == "upsampled"
    content = json.loads((tmp_path / "corruptions.json").read_text())
    assert content["measures"] == ["mAP50-95", "mAP50"] and len(content["rows"]) == 5
    assert content["seconds"]["val-night"]["outside network"] == pytest.approx(0.5)
    assert (tmp_path / "corruptions-val-night.png").stat().st_size > 5000
    assert "mPC" in capsys.readouterr().out


@pytest.mark.parametrize("native", [False, True])
def test_clean_is_the_usual_evaluation_and_batches_do_not_matter(small, native):
    config, dataset_of = small
    model, found = Averages(config.names), []
    for size in (1, 3):
        plan = plan_of("gaussian_noise,snow", [2, 5], config.root, batch_size=size, protocol="coco")
        found.append(sweep(model, dataset_of(size, native=native), plan, split="train", condition="day"))
    usual = evaluate_detector(
        model,
        dataset_of(2, native=native),
        EvalSettings(batch_size=2, progress=False, protocol="coco", max_det=300),
        device="cpu",
    )
    for one in found:
        assert one.clean.metrics == pytest.approx(usual.metrics, nan_ok=True)
        assert one.clean.resolution == ("native" if native else "upsampled")
        assert one.plan.measures == ("AP", "AP50")
    for place in found[0].reports:
        sure = [{p.file: p.conf for p in one.reports[*place].per_image} for one in found]
        assert sure[0].keys() == sure[1].keys()
        assert all(sure[0][file] == pytest.approx(sure[1][file], abs=2e-4) for file in sure[0])
    first, last = (found[0].reports[found[0].plan.corrupters[1], step].per_image[0].conf[0] for step in (2, 5))
    assert first != last  # the model sees the snow


def test_images_are_loaded_once_unless_memory_is_short(small, monkeypatch):
    _, dataset_of = small
    dataset, reads = dataset_of(2), []
    load_image = type(dataset).load_image
    monkeypatch.setattr(type(dataset), "load_image", lambda self, i, *a: (reads.append(i), load_image(self, i, *a))[1])
    images = Images(dataset, plan_of("rain", [1], batch_size=2))
    assert [len(list(images)) for _ in range(2)] == [2, 2] and len(reads) == 4
    monkeypatch.setattr(corruptions, "KEPT", 0.0)
    images = Images(dataset, plan_of("rain", [1], batch_size=2))
    assert [len(list(images)) for _ in range(2)] == [2, 2] and len(reads) == 12


def test_where_images_lie_in_their_padding():
    """30 x 40 px at twice its size with 16 px of grey at each side, and one at its own size."""
    batch = {"ori_shape": [(30, 40), (24, 32)], "ratio_pad": [((2.0, 2.0), (16, 2)), ((1.0, 1.0), (0, 4))]}
    assert areas(batch) == [(2, 16, 60, 80), (4, 0, 24, 32)]


def test_seeds_do_not_know_the_machine(tmp_path):
    assert name_below(str(tmp_path / "images" / "a.png"), tmp_path) == "images/a.png"
    assert name_below("/elsewhere/a.png", tmp_path) == "a.png"
